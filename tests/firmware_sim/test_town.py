import json

import numpy as np
import pytest

from firmware_sim import cartography, people
from firmware_sim import town as towns
from firmware_sim.geometry import distance_to_line_m
from firmware_sim.town import Town


@pytest.mark.parametrize("seed", [1, 7, 2026])
def test_every_seed_gives_sixty_gateways_and_streets_that_hang_together(seed: int) -> None:
    town = towns.build(seed)
    assert len(town.gateways) == 60
    assert len({gateway.id for gateway in town.gateways}) == 60
    assert np.isfinite(town.streets.distances_m).all()
    assert town.streets.bridges.sum() == len(towns.BRIDGE_COLUMNS)


def test_the_same_seed_draws_the_same_map() -> None:
    assert cartography.geojson(towns.build(3)) == cartography.geojson(towns.build(3))
    assert cartography.geojson(towns.build(3)) != cartography.geojson(towns.build(4))


def test_no_building_stands_in_the_river_and_every_site_has_its_own(town: Town) -> None:
    for building in town.buildings:
        assert distance_to_line_m(building.outline, town.river).min() > towns.RIVER_WIDTH_M / 2
    assert all(town.buildings[s.building].use == s.kind for s in town.sites.values() if s.building >= 0)


def test_school_gates_stand_just_inside_the_radius_that_counts_as_school(town: Town) -> None:
    schools = [site for site in town.sites.values() if site.kind == "school"]
    gates = [gateway for gateway in town.gateways if gateway.label_ja.endswith("門")]
    assert len(gates) == 4
    for gate in gates:
        gaps = [np.hypot(gate.x_m - site.spot.x_m, gate.y_m - site.spot.y_m) for site in schools]
        assert 0.75 * towns.SCHOOL_RADIUS_M < min(gaps) < towns.SCHOOL_RADIUS_M


def test_every_ward_lives_near_a_gateway_and_away_from_school(town: Town) -> None:
    posts = np.array([(gateway.x_m, gateway.y_m) for gateway in town.gateways])
    wards = people.inhabitants(town)[: people.PUPILS + people.ELDERS]
    gaps = [np.linalg.norm(posts - town.buildings[ward.home].middle, axis=1).min() for ward in wards]
    assert max(gaps) < 70
    assert len({ward.home for ward in wards}) == len(wards)


def test_the_map_is_geojson_with_names_in_two_languages(town: Town) -> None:
    features = json.loads(json.dumps(cartography.geojson(town)))["features"]
    kinds = {feature["properties"]["kind"] for feature in features}
    assert kinds == {"land", "river", "park", "road", "building", "poi"}
    for feature in features:
        properties, geometry = feature["properties"], feature["geometry"]
        assert ("name_ja" in properties) == ("name_en" in properties)
        if geometry["type"] == "Polygon":
            ring = geometry["coordinates"][0]
            assert ring[0] == ring[-1]
            assert 139.6 < ring[0][0] < 139.8
            assert 35.5 < ring[0][1] < 35.6
