import random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mobile_detector.ear import Ear
from mobile_detector.location import WALK_MPS, FixedLocation, GpsdLocation
from mobile_detector.zones import EARTH_RADIUS_M, Zone, Zones, distance_m
from wire.formats import Formats
from wire.frames import EidFrame, UidFrame, encode
from wire.gpsd import Position, Track
from wire.hci import Report, legacy_event
from wire.merge import Merge

START_MS = 1_795_000_000_000
HOME = (34.7567, 134.8300)


def _event(eid: bytes, rssi_dbm: int | None = -60) -> bytes:
    data = encode(EidFrame(tx_power_dbm=0, eid=eid, sealed=b"sealed"))
    return legacy_event([Report("ADV_NONCONN_IND", b"\x11" * 6, rssi_dbm, data)])


def _ear(zones: Zones | None = None) -> Ear:
    location = FixedLocation(*HOME, 10.0)
    return Ear(Formats.parse(["eid"]), location, Merge(10_000), Zones() if zones is None else zones)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32), speed_mps=st.floats(0.5, 6.0), accuracy_m=st.floats(1, 30))
def test_no_byte_heard_inside_a_zone_ever_leaves(seed: int, speed_mps: float, accuracy_m: float) -> None:
    """Walk through a zone with a packet of another tag every 100 ms: what becomes a row was heard outside."""
    rng = random.Random(seed)
    zone = Zone("home", *HOME, rng.uniform(50, 120))
    track = Track(30.0, WALK_MPS)
    location = GpsdLocation("unix:/none", "phone", track, lambda: 0)
    ear = Ear(Formats.parse(["eid"]), location, Merge(10_000), Zones([zone]))
    heard: dict[bytes, bool] = {}
    rows = []
    bearing = rng.choice((-1, 1))
    for step in range(600):
        at_ms = START_MS + step * 100
        east_m = bearing * (step / 10 - 30) * speed_mps
        place = (HOME[0], HOME[1] + east_m / (EARTH_RADIUS_M * 0.8216) * 57.29578)
        if step % 10 == 0 and rng.random() < 0.9:  # now and then gpsd has no fix
            track.add(Position(at_ms, *place, accuracy_m, speed_mps))
        eid = step.to_bytes(8, "big")
        heard[eid] = distance_m(*HOME, *place) <= zone.radius_m
        ear.hear_packet(_event(eid), at_ms)
        if rng.random() < 0.02:
            merged = ear.close()
            rows += [row for row in map(ear.row, merged) if row]
            ear.merge.settle(len(merged))
    rows += [row for row in map(ear.row, ear.close()) if row]
    assert not [row for row in rows if heard[row.id]]
    assert all(distance_m(*HOME, row.lat_deg or 0, row.lon_deg or 0) > zone.radius_m for row in rows)
    assert ear.dropped["zone"] > 0 or not any(heard.values())


def test_without_a_position_nothing_is_recorded() -> None:
    ear = _ear()
    ear.location = GpsdLocation("unix:/none", "phone", Track(30.0, WALK_MPS), lambda: 0)
    ear.hear_packet(_event(b"12345678"), START_MS)
    assert ear.close() == []
    assert ear.dropped == {"no-position": 1}


def test_unreadable_zones_cover_the_whole_world() -> None:
    ear = _ear()
    ear.zones = None
    assert not ear.may_hear(START_MS)
    ear.hear_packet(_event(b"12345678"), START_MS)
    assert ear.close() == []


def test_a_zone_added_while_a_window_is_open_takes_its_rows_back() -> None:
    ear = _ear()
    ear.hear_packet(_event(b"12345678"), START_MS)
    ear.zones = Zones([Zone("home", *HOME, 100.0)])
    assert [ear.row(merged) for merged in ear.close()] == [None]


def test_what_is_not_enrolled_or_malformed_is_counted_and_dropped() -> None:
    ear = _ear()
    uid = encode(UidFrame(0, b"n" * 10, b"i" * 6))
    ear.hear_packet(legacy_event([Report("ADV_NONCONN_IND", b"\x11" * 6, -60, uid)]), START_MS)
    ear.hear_packet(b"\x04\x3e\x05\x02", START_MS)
    ear.hear_packet(legacy_event([Report("ADV_NONCONN_IND", b"\x11" * 6, -60, b"\x05\x16\xaa")]), START_MS)
    ear.hear_packet(_event(b"12345678", rssi_dbm=None), START_MS)
    assert ear.dropped == {"not-enrolled": 1, "malformed": 2, "no-rssi": 1}
    assert ear.close() == []


def test_a_burst_is_noticed_and_a_new_tag_alone_is_none() -> None:
    ear = _ear()
    for step in range(3):
        ear.hear_packet(_event(b"12345678"), START_MS + step * 1000)
    assert ear.burst_at_ms == 0
    for step in range(5):
        ear.hear_packet(_event(b"12345678"), START_MS + 5000 + step * 100)
    assert ear.burst_at_ms == START_MS + 5400


def test_a_call_back_that_says_nothing_new_is_no_packet() -> None:
    ear = _ear()
    data = {"0000feaa-0000-1000-8000-00805f9b34fb": b"\x30\x00" + b"12345678"}
    for rssi_dbm in (-60, -60, -61, None):
        ear.hear_fields(data, {}, rssi_dbm=rssi_dbm, at_ms=START_MS, address="AA")
    assert sum(merged.count for merged in ear.close()) == 2


def test_rows_carry_where_the_phone_was() -> None:
    ear = _ear()
    for step in range(3):
        ear.hear_packet(_event(b"12345678", rssi_dbm=-60 - step), START_MS + step * 1000)
    rows = [ear.row(merged) for merged in ear.close()]
    assert sum(row.count for row in rows if row) == 3
    assert {(row.lat_deg, row.lon_deg, row.position_accuracy_m) for row in rows if row} == {(*HOME, 10.0)}
