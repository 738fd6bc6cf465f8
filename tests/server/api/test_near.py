"""The nearest named place."""

import json

import pytest

from server.api.near import Landmark, distance_m, nearest, of_map

LIBRARY = Landmark("図書館", "Library", 34.7600, 134.8400)
SCHOOL = Landmark("小学校", "School", 34.7610, 134.8400, radius_m=80)


def test_a_thousandth_of_a_degree_is_a_hundred_and_eleven_metres() -> None:
    assert distance_m(LIBRARY, 34.7610, 134.8400) == pytest.approx(111.2, abs=0.1)
    assert distance_m(LIBRARY, 34.7600, 134.8410) == pytest.approx(91.3, abs=0.1)


def test_inside_a_place_the_distance_is_nothing() -> None:
    assert distance_m(SCHOOL, 34.7612, 134.8401) == 0


def test_the_nearest_wins_and_the_first_of_equals() -> None:
    assert nearest([LIBRARY, SCHOOL], 34.7601, 134.84) is LIBRARY
    assert nearest([LIBRARY, SCHOOL], 34.7610, 134.84) is SCHOOL
    assert nearest([SCHOOL, Landmark("公園", "Park", 34.7610, 134.84)], 34.7610, 134.84) is SCHOOL


def test_nothing_is_near_beyond_a_quarter_of_a_kilometre() -> None:
    assert nearest([LIBRARY], 34.7622, 134.84) is LIBRARY
    assert nearest([LIBRARY], 34.7623, 134.84) is None
    assert nearest([], 34.76, 134.84) is None


def test_landmarks_of_a_map_are_its_named_points_buildings_and_parks() -> None:
    square = [[[134.0, 34.0], [134.002, 34.0], [134.002, 34.002], [134.0, 34.002]]]
    features = [
        {"properties": {"kind": "park", "name_ja": "公園"}, "geometry": {"type": "Polygon", "coordinates": square}},
        {"properties": {"kind": "road", "name_ja": "道", "name_en": "Road"}, "geometry": {"coordinates": [1, 2]}},
        {"properties": {"kind": "poi"}, "geometry": {"coordinates": [1, 2]}},
        {"properties": None, "geometry": None},
        {"properties": {"kind": "poi", "name_ja": "無"}, "geometry": None},
    ]
    [park] = of_map(json.dumps({"type": "FeatureCollection", "features": features}).encode())
    assert (park.name_ja, park.name_en) == ("公園", "公園")
    assert [park.lat_deg, park.lon_deg] == pytest.approx([34.001, 134.001])


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"\xff", b"null"])
def test_what_is_no_map_has_no_landmarks(data: bytes) -> None:
    assert of_map(data) == []
