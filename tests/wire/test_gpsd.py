import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.gpsd import DEFAULT_ACCURACY_M, KEPT, Position, Track, read_tpv, watch

NOW_MS = 1_800_000_000_000
TPV = {"class": "TPV", "mode": 3, "time": "2027-01-15T08:00:00.500Z", "lat": 34.76, "lon": 134.84, "speed": 8.0}


def read(**changes: object) -> Position | None:
    return read_tpv(json.dumps(TPV | changes).encode(), lambda: NOW_MS)


def test_a_report_gives_a_position() -> None:
    assert read(eph=7.5) == Position(1_800_000_000_500, 34.76, 134.84, 7.5, 8.0)


def test_without_a_horizontal_error_the_two_axes_are_taken() -> None:
    position = read(epx=3.0, epy=4.0)
    assert position is not None
    assert position.accuracy_m == 5.0


def test_a_report_without_a_time_counts_from_now() -> None:
    line = json.dumps({name: value for name, value in TPV.items() if name != "time"}).encode()
    position = read_tpv(line, lambda: NOW_MS)
    assert position is not None
    assert position.at_ms == NOW_MS


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"[]",
        b"3",
        b"{}",
        b'{"class":"SKY"}',
        b'{"class":"TPV","mode":1}',
        b'{"class":"TPV","mode":2}',
        b'{"class":"TPV","mode":2,"lat":91,"lon":0}',
        b'{"class":"TPV","mode":2,"lat":NaN,"lon":0}',
        b'{"class":"TPV","mode":2,"lat":"x","lon":0}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"time":"yesterday"}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"time":3}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":"much"}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":[1]}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":NaN}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":1e400}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"eph":-1}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"epx":NaN}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"speed":NaN}',
        b'{"class":"TPV","mode":2,"lat":0,"lon":0,"speed":-5}',
        b"[" * 100_000,
    ],
)
def test_any_other_line_gives_none(line: bytes) -> None:
    assert read_tpv(line, lambda: NOW_MS) is None


def track(*positions: Position) -> Track:
    made = Track(max_age_s=60.0, drift_mps=15.0)
    for position in positions:
        made.add(position)
    return made


START = Position(0, 34.0, 134.0, 5.0, 10.0)
END = Position(10_000, 34.001, 134.002, 7.0, 10.0)


def test_between_two_positions_the_way_is_interpolated() -> None:
    assert track(START, END).at(5_000) == Position(5_000, 34.0005, 134.001, 7.0, 10.0, 5_000)


def test_too_far_from_what_is_known_there_is_no_position() -> None:
    assert track().at(0) is None
    assert track(START, END).at(70_001) is None
    assert track(START, Position(200_000, 35.0, 135.0, 5.0, 0.0)).at(100_000) is None


def test_a_clock_set_back_starts_the_track_anew() -> None:
    made = track(START, END)
    made.add(Position(5_000, 35.0, 135.0, 5.0, 0.0))
    position = made.at(9_000)
    assert position is not None
    assert position.lat_deg == 35.0


def test_beside_the_last_position_the_speed_it_told_is_believed_for_a_while() -> None:
    made = Track(max_age_s=60.0, drift_mps=15.0, trusted_s=2.0)
    made.add(START)
    assert made.at(2_000) == Position(2_000, 34.0, 134.0, 5.0 + 2 * 10.0, 10.0, 2_000)
    assert made.at(2_001) == Position(2_001, 34.0, 134.0, 5.0 + 2.001 * 15.0, 10.0, 2_001)


def test_a_speed_above_the_supposed_one_is_what_the_reach_counts_by() -> None:
    made = Track(max_age_s=60.0, drift_mps=6.0)
    made.add(START)
    assert made.at(3_000) == Position(3_000, 34.0, 134.0, 5.0 + 3 * 10.0, 10.0, 3_000)


def test_a_track_forgets_its_oldest_positions() -> None:
    made = Track(max_age_s=1.0, drift_mps=0.0)
    for at_s in range(KEPT + 2):
        made.add(Position(at_s * 1000, 34.0, 134.0, 5.0))
    assert made.at(0) is None
    assert made.at(2_000) == Position(2_000, 34.0, 134.0, 5.0)


def test_what_a_report_does_not_tell_is_supposed() -> None:
    line = b'{"class":"TPV","mode":2,"time":"1970-01-01T00:00:01Z","lat":1,"lon":2}'
    assert read_tpv(line, lambda: 0) == Position(1000, 1.0, 2.0, DEFAULT_ACCURACY_M, 0.0)
    assert read_tpv(line, lambda: 0, unknown_speed_mps=15.0) == Position(1000, 1.0, 2.0, DEFAULT_ACCURACY_M, 15.0)


@pytest.mark.parametrize(("device", "asked"), [("car-1", {"device": "car-1"}), ("", {})])
def test_gpsd_is_asked_for_one_device_or_for_any(device: str, asked: dict[str, str]) -> None:
    line = watch(device)
    assert line.endswith(b";\n")
    assert json.loads(line.removeprefix(b"?WATCH=").rstrip(b";\n")) == {"enable": True, "json": True} | asked


def test_what_a_clock_set_back_left_behind_answers_for_nothing() -> None:
    made = Track(max_age_s=10.0, drift_mps=6.0)
    made.add(Position(100_000, 34.0, 134.0, 5.0))
    made.add(Position(0, 35.0, 135.0, 5.0))
    assert made.at(100_000) is None
    assert made.at(0) == Position(0, 35.0, 135.0, 5.0)


@pytest.mark.parametrize("fields", [{"mode": 1}, {"lat": 91}, {"lon": "x"}, {"class": "SKY"}, {"time": 5}, {"eph": -1}])
def test_what_is_no_fix_gives_no_position(fields: dict[str, object]) -> None:
    assert read(**fields) is None


@given(st.binary(max_size=200))
def test_any_line_of_gpsd_is_survived(line: bytes) -> None:
    read_tpv(line, lambda: 0)


def test_forgetting_keeps_what_later_moments_need() -> None:
    made = track(*(Position(1000 * n, 34.0 + n, 134.0, 5.0, 1.0) for n in range(10)))
    made.forget(4_500)
    assert len(made) == 6
    assert made.at(4_500) == Position(4_500, 38.5, 134.0, 5.0, 1.0, 500)
    made.forget(10**9)
    assert len(made) == 1


def test_an_age_is_said_in_whole_seconds_rounded_up() -> None:
    ages_ms = (0, 1, 1_000, 1_001, 10**12)
    assert [START._replace(age_ms=age_ms).age_s for age_ms in ages_ms] == [0, 1, 1, 2, 65_534]
