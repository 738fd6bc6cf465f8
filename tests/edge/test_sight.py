import pytest

from edge import sight as sights
from edge.sight import Sight
from wire import hci
from wire.formats import Formats
from wire.frames import EidFrame, EtlmFrame, Frame, TlmFrame, UidFrame, encode, uuid_text
from wire.hci import Report
from wire.merge import Merge

EID = EidFrame(-10, b"\x00\x01\x02\x03\x04\x05\x06\x07", b"sealed")
ETLM = EtlmFrame(b"e" * 12, b"sa", b"mi")
ADDRESS = b"\xc0\0\0\0\0\1"
HEADPHONES = bytes.fromhex("0201060303f0ff05ff34120102")
TRUNCATED = bytes.fromhex("02010603")


@pytest.fixture
def sight() -> Sight:
    return Sight(Formats.parse(["eid"]), Merge(10_000))


def hear(sight: Sight, frame: Frame, at_ms: int = 0, rssi_dbm: int | None = -70) -> None:
    sight.hear(encode(frame), rssi_dbm, at_ms=at_ms, address=ADDRESS)


def test_an_enrolled_frame_becomes_a_row(sight: Sight) -> None:
    hear(sight, EID)
    (row,) = sight.merge.ready
    assert (row.kind, row.id, row.sealed, row.count) == (0, EID.eid, b"sealed", 1)
    assert sight.urgent.is_set()


@pytest.mark.parametrize(
    ("data", "rssi_dbm", "at_ms", "reason"),
    [
        (HEADPHONES, -70, 0, "not-enrolled"),
        (encode(UidFrame(-10, b"n" * 10, b"i" * 6)), -70, 0, "not-enrolled"),
        (TRUNCATED, -70, 0, "malformed"),
        (encode(EID), None, 0, "no-rssi"),
        (encode(EID), -70, -1, "bad-time"),
        (encode(EID), -70, 1 << 50, "bad-time"),
    ],
)
def test_what_is_dropped_is_counted_by_its_reason(
    sight: Sight, data: bytes, rssi_dbm: int | None, at_ms: int, reason: str
) -> None:
    for _ in range(2):
        sight.hear(data, rssi_dbm, at_ms=at_ms, address=ADDRESS)
    assert dict(sight.dropped) == {reason: 2}
    assert (sight.advertisements, sight.accepted, sight.merge.ready) == (2, 0, [])


def test_nothing_of_a_foreign_advertisement_is_kept(sight: Sight) -> None:
    sight.hear(HEADPHONES, -70, at_ms=0, address=ADDRESS)
    assert (sight._sounds, sight._owners, sight._last) == ({}, {}, {})
    assert sight.merge.dump() == b""


def test_telemetry_joins_the_tag_of_its_address(sight: Sight) -> None:
    hear(sight, EID)
    hear(sight, EID, 1_000)
    hear(sight, ETLM, 1_100)
    hear(sight, TlmFrame(3000, None, 1, 1), 1_200)
    sight.merge.close()
    assert sight.merge.ready[-1].telemetry == b"e" * 12 + b"sami"
    assert (sight.accepted, sight.lone_telemetry) == (4, 1)


def test_a_flood_of_ids_is_refused_beyond_the_limit() -> None:
    sight = Sight(Formats.parse(["eid"]), Merge(10_000, max_rows=10))
    for n in range(50):
        hear(sight, EidFrame(-10, n.to_bytes(8, "big"), b"sealed"))
    assert (sight.accepted, sight.dropped["too-many"], sight.is_full) == (10, 40, True)


def test_what_is_remembered_has_a_limit(sight: Sight, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sights, "CACHED_FRAMES", 5)
    monkeypatch.setattr(sights, "CACHED_ADDRESSES", 5)
    for n in range(100):
        data = encode(EidFrame(-10, n.to_bytes(8, "big"), b"sealed"))
        sight.hear(data, -70, at_ms=0, address=n.to_bytes(6, "big"))
        assert len(sight._sounds) <= 5
        assert len(sight._owners) <= 5
    assert sight.accepted == 100


def test_packets_are_taken_apart_and_malformed_ones_counted(sight: Sight) -> None:
    report = Report("ADV_NONCONN_IND", ADDRESS, -70, encode(EID))
    sight.hear_packet(hci.legacy_event([report, report]), 0)
    sight.hear_packet(b"\x04\x3e\x05", 0)
    sight.hear_packet(b"\x04\x0e\x00", 0)
    assert (sight.accepted, dict(sight.dropped)) == (2, {"malformed": 1})


def test_fragments_and_scan_responses_are_no_sightings(sight: Sight) -> None:
    sight.hear_report(Report("ADV_EXT_IND", ADDRESS, -70, encode(EID), is_whole=False), 0)
    sight.hear_report(Report("SCAN_RSP", ADDRESS, -70, encode(EID)), 0)
    assert (sight.advertisements, sight.accepted, dict(sight.dropped)) == (0, 0, {"fragment": 1})


def test_call_backs_of_a_bluetooth_stack_are_the_same_sightings(sight: Sight) -> None:
    service_data = {uuid_text(0xFEAA): encode(EID)[11:21], uuid_text(0xFC00): b"sealed"}
    for rssi_dbm in (-70, -70, -71, None):
        sight.hear_fields(service_data, {}, rssi_dbm=rssi_dbm, at_ms=0, address="C0:00:00:00:00:01")
    sight.hear_fields({uuid_text(0xFEAA): b"\x30"}, {}, rssi_dbm=-70, at_ms=0, address="x")
    sight.hear_fields({}, {0x1234: b""}, rssi_dbm=-70, at_ms=0, address="y")
    assert (sight.accepted, sight.merge.ready[0].id) == (2, EID.eid)
    assert dict(sight.dropped) == {"no-rssi": 1, "malformed": 1, "not-enrolled": 1}
