from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_sim.port import MAX_WAITING, Port

ACTIONS = st.lists(st.sampled_from(["hear", "send", "take", "ack", "kill"]), max_size=200)


@given(ACTIONS)
@settings(max_examples=200)
def test_whatever_is_killed_every_packet_is_taken_once(actions: list[str]) -> None:
    """The host keeps `safe` packets on disk; on the way to it the socket holds what a kill loses."""
    port, heard, safe, on_the_way = Port(), 0, [], b""
    port.resume(0)
    for action in actions:
        if action == "hear":
            assert port.hear(bytes((heard % 256,)))
            heard += 1
        elif action == "send":
            on_the_way += port.unsent()
        elif action == "take":
            safe += list(on_the_way[:2])
            on_the_way = on_the_way[2:]
        elif action == "ack":
            assert port.acknowledge(len(safe))
        else:
            on_the_way = b""
            assert port.resume(len(safe))
    safe += list(on_the_way + port.unsent())
    assert safe == [number % 256 for number in range(heard)]


def test_a_radio_begun_anew_counts_on_from_what_the_host_has() -> None:
    port = Port()
    assert not port.resume(40)
    port.hear(b"a")
    assert not port.acknowledge(42)
    assert port.acknowledge(41)
    assert port.done == 41


def test_a_host_begun_anew_gets_what_waits() -> None:
    port = Port()
    port.resume(10)
    port.hear(b"a")
    port.unsent()
    assert not port.resume(0)
    assert port.unsent() == b"a"


def test_a_full_controller_counts_what_it_misses() -> None:
    port = Port()
    taken = [port.hear(b"x") for _ in range(MAX_WAITING + 3)]
    assert taken.count(False) == port.missed == 3
    port.resume(0)
    port.acknowledge(1)
    assert port.hear(b"x")


def test_the_receiver_is_on_exactly_between_its_switchings() -> None:
    port = Port()
    port.scan(100, is_on=True)
    port.scan(200, is_on=False)
    port.scan(300, is_on=True)
    assert [port.is_on(at) for at in (99, 100, 199, 200, 299, 300)] == [False, True, True, False, False, True]
    port.settle(250)
    assert [port.is_on(at) for at in (250, 299, 300)] == [False, False, True]
    port.scan(400, is_on=False)
    port.settle(1000)
    assert not port.may_hear()
