"""The town as GeoJSON (RFC 7946), with Japanese and English names, for the web app's map."""

from collections.abc import Sequence
from typing import Any

from firmware_sim.geometry import Floats
from firmware_sim.town import HALF_M, RIVER_WIDTH_M, STREET_NAMES, Town

Feature = dict[str, Any]


def geojson(town: Town) -> dict[str, Any]:
    """A FeatureCollection; property `kind` is land, river, park, road, building or poi, in drawing order."""
    edge_m = 1.3 * HALF_M
    land = _closed([(-edge_m, -edge_m), (edge_m, -edge_m), (edge_m, edge_m), (-edge_m, edge_m)])
    features = [_feature(town, "land", "Polygon", land)]
    features.append(
        _feature(
            town, "river", "LineString", town.river, width_m=RIVER_WIDTH_M, name_ja="見守川", name_en="Mimamori River"
        )
    )
    for key, outline in town.parks:
        site = town.sites[key]
        features.append(_feature(town, "park", "Polygon", outline, name_ja=site.name_ja, name_en=site.name_en))
    features += _roads(town) + _buildings(town) + _points(town)
    return {"type": "FeatureCollection", "features": features}


def _roads(town: Town) -> list[Feature]:
    """One line per unbroken stretch of a street; a bridge belongs to its street and is marked on its own as well."""
    streets = town.streets
    roads = []
    for number, (name_ja, name_en) in enumerate(STREET_NAMES):
        importance = "major" if number % 4 == 0 else "minor"
        named = {"class": importance, "name_ja": name_ja, "name_en": name_en}
        stretches = _stretches([(int(a), int(b)) for a, b in streets.edges[streets.names == number]])
        roads += [_feature(town, "road", "LineString", streets.nodes[stretch], **named) for stretch in stretches]
    for a, b in streets.edges[streets.bridges]:
        roads.append(_feature(town, "road", "LineString", streets.nodes[[a, b]], **{"class": "bridge"}))
    return roads


def _stretches(pieces: Sequence[tuple[int, int]]) -> list[list[int]]:
    stretches: list[list[int]] = []
    for a, b in sorted(pieces):
        if stretches and stretches[-1][-1] == a:
            stretches[-1].append(b)
        else:
            stretches.append([a, b])
    return stretches


def _buildings(town: Town) -> list[Feature]:
    named = {site.building: site for site in town.sites.values() if site.building >= 0}
    features = []
    for number, building in enumerate(town.buildings):
        site = named.get(number)
        names = {"name_ja": site.name_ja, "name_en": site.name_en} if site else {}
        features.append(_feature(town, "building", "Polygon", building.outline, use=building.use, **names))
    return features


def _points(town: Town) -> list[Feature]:
    features = []
    for site in town.sites.values():
        lat_deg, lon_deg = town.plane.to_geo(site.spot.x_m, site.spot.y_m)
        properties = {"kind": "poi", "use": site.kind, "name_ja": site.name_ja, "name_en": site.name_en}
        point = {"type": "Point", "coordinates": [round(lon_deg, 6), round(lat_deg, 6)]}
        features.append({"type": "Feature", "properties": properties, "geometry": point})
    return features


def _closed(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [*corners, corners[0]]


def _feature(
    town: Town, kind: str, geometry: str, points: Floats | Sequence[tuple[float, float]], **properties: object
) -> Feature:
    line = []
    for x_m, y_m in points:
        lat_deg, lon_deg = town.plane.to_geo(float(x_m), float(y_m))
        line.append([round(lon_deg, 6), round(lat_deg, 6)])
    coordinates = [line] if geometry == "Polygon" else line
    return {
        "type": "Feature",
        "properties": {"kind": kind, **properties},
        "geometry": {"type": geometry, "coordinates": coordinates},
    }
