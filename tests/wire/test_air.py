import json

from wire import btsnoop
from wire.air import AirSession, Packet


def test_packets_are_numbered_from_where_the_client_is() -> None:
    session = AirSession("gw-001", resume=41)
    octets = btsnoop.header() + btsnoop.record(b"\x04a", at_us=5_000_000) + btsnoop.record(b"\x04b", at_us=6_000_999)
    assert session.feed(octets) == [Packet(42, 5_000, b"\x04a"), Packet(43, 6_000, b"\x04b")]


def test_what_the_receiver_missed_is_told() -> None:
    session = AirSession("gw-001", resume=0)
    session.feed(btsnoop.header() + btsnoop.record(b"\x04", at_us=0, missed=7))
    assert session.missed == 7


def test_each_line_is_one_json_object() -> None:
    session = AirSession("gw-001", resume=41)
    lines = [session.hello(), session.ack(43), session.scan(is_on=False)]
    assert [json.loads(line) for line in lines] == [{"detector": "gw-001", "resume": 41}, {"ack": 43}, {"scan": False}]
    assert all(line.endswith(b"\n") and line.count(b"\n") == 1 for line in lines)
