import json
import random
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mobile_detector.errors import ZoneError
from mobile_detector.zones import Zone, Zones, around, distance_m

HOME = (34.7567, 134.8300)


@given(
    lat_deg=st.floats(-80, 80),
    lon_deg=st.floats(-179.9, 179.9),
    radius_m=st.floats(50, 5000),
    seed=st.integers(0, 2**32),
    bearing_seed=st.integers(0, 2**32),
)
def test_a_zone_covers_all_that_was_asked_for(
    lat_deg: float, lon_deg: float, radius_m: float, seed: int, bearing_seed: int
) -> None:
    zone = around("home", lat_deg, lon_deg, radius_m=radius_m, rng=random.Random(seed))
    rng = random.Random(bearing_seed)
    for _ in range(20):
        lat = lat_deg + rng.uniform(-1, 1) * radius_m / 111_195
        lon = lon_deg + rng.uniform(-1, 1) * radius_m / 111_195
        if distance_m(lat_deg, lon_deg, lat, lon) <= radius_m:
            assert zone.covers(lat, lon, 0.0)


def test_a_zone_is_not_centred_on_what_it_hides() -> None:
    zones = [around("home", *HOME, radius_m=200, rng=random.Random(seed)) for seed in range(200)]
    moved_m = sorted(distance_m(*HOME, zone.lat_deg, zone.lon_deg) for zone in zones)
    assert moved_m[10] > 10
    assert moved_m[-1] <= 101


def test_zones_survive_a_restart_and_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "zones.json"
    zones = Zones([Zone("自宅", *HOME, 200.0), Zone("職場", 34.8, 134.9, 100.0)])
    zones.save(path)
    assert Zones.load(path).zones == zones.zones
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_without_a_file_there_are_no_zones(tmp_path: Path) -> None:
    assert Zones.load(tmp_path / "zones.json").zones == ()


@pytest.mark.parametrize("text", ["", "{", "[1]", '[{"name": "x"}]', json.dumps([{"name": "x", "lat_deg": 999}])])
def test_a_broken_file_is_never_taken_for_no_zones(tmp_path: Path, text: str) -> None:
    path = tmp_path / "zones.json"
    path.write_text(text)
    with pytest.raises(ZoneError):
        Zones.load(path)


@pytest.mark.parametrize(
    ("lat_deg", "lon_deg", "radius_m"), [(91, 0, 100), (0, 181, 100), (0, 0, 49), (0, 0, 20_001), (0, 0, float("nan"))]
)
def test_an_impossible_zone_is_refused(lat_deg: float, lon_deg: float, radius_m: float) -> None:
    with pytest.raises(ZoneError):
        around("x", lat_deg, lon_deg, radius_m=radius_m, rng=random.Random(1))


def test_uncertainty_counts_as_inside() -> None:
    zone = Zone("x", *HOME, 100.0)
    lat_150_m = HOME[0] + 150 / 111_195
    assert not zone.covers(lat_150_m, HOME[1], 10.0)
    assert zone.covers(lat_150_m, HOME[1], 50.0)
