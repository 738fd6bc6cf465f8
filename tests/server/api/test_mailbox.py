"""One stream's queue: bounded, in order, empty once closed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.mailbox import MAX_EVENTS, Letter, Mailbox, decode_cursor, encode_cursor
from server.api.schemas import LiveEvent, LivePlace


def place(lat_deg: float = 34.0, heard_at_ms: int = 1) -> LivePlace:
    return LivePlace(
        ward_id="w",
        lat_deg=lat_deg,
        lon_deg=134.0,
        accuracy_m=1,
        heard_at_ms=heard_at_ms,
        received_at_ms=1,
        late=False,
        near=None,
        battery_pct=None,
        sos=False,
        traceable=False,
    )


def event(number: int) -> LiveEvent:
    return LiveEvent(ward_id="w", id=str(number), kind="sos", place=None, at_ms=1, received_at_ms=1)


@pytest.fixture
def box() -> Mailbox:
    made = Mailbox(b"token", "g", frozenset({"w"}))
    made.start({"w": 0})
    return made


def drain(box: Mailbox) -> list[tuple[str, str]]:
    letters: list[Letter] = []
    while letter := box.next():
        letters.append(letter)
    return [(letter.kind, letter.cursor) for letter in letters]


def test_events_come_in_order_before_places_and_carry_their_own_cursor(box: Mailbox) -> None:
    box.put_place(place())
    box.put_event(event(1))
    box.put_event(event(2))
    assert drain(box) == [("event", "w=1"), ("event", "w=2"), ("place", "w=2")]


def test_an_event_is_put_once(box: Mailbox) -> None:
    for number in (1, 1, 2, 1):
        box.put_event(event(number))
    assert len(drain(box)) == 2


def test_only_the_newest_place_waits(box: Mailbox) -> None:
    for heard_at_ms in range(1000):
        box.put_place(place(heard_at_ms=heard_at_ms))
    letter = box.next()
    assert letter
    assert isinstance(letter.body, LivePlace)
    assert letter.body.heard_at_ms == 999
    assert box.next() is None


def test_a_place_does_not_repeat_and_does_not_go_back(box: Mailbox) -> None:
    box.put_place(place(heard_at_ms=5))
    box.next()
    box.put_place(place(heard_at_ms=5))
    box.put_place(place(heard_at_ms=4))
    assert box.next() is None


def test_a_slow_reader_gets_what_there_is_room_for_and_then_the_rest_without_a_gap(box: Mailbox) -> None:
    for number in range(1, MAX_EVENTS + 3):
        box.put_event(event(number))
    assert box.next()
    box.put_event(event(MAX_EVENTS + 3))
    box.catch_up()
    assert box.behind == {"w"}
    assert len(drain(box)) == MAX_EVENTS - 1
    box.put_event(event(MAX_EVENTS + 3))
    assert box.is_hungry
    box.catch_up()
    for number in range(box.cursor["w"] + 1, MAX_EVENTS + 4):
        box.put_event(event(number))
    assert drain(box) == [("event", f"w={MAX_EVENTS + more}") for more in (1, 2, 3)]
    assert box.closed is None


def test_after_the_end_nothing_is_left_to_send(box: Mailbox) -> None:
    box.put_event(event(1))
    box.put_place(place())
    box.close("guardianship")
    box.close("later")
    assert box.closed == "guardianship"
    assert box.next() is None


async def test_waiting_ends_with_news_or_with_time(box: Mailbox) -> None:
    assert not await box.wait(0.01)
    box.put_event(event(1))
    assert await box.wait(1)


def test_a_cursor_from_the_future_is_brought_back() -> None:
    ahead = Mailbox(b"t", "g", frozenset({"w"}), cursor={"w": 10**12})
    ahead.start({"w": 7})
    assert ahead.cursor == {"w": 7}


IDS = st.text("abcXYZ019_-", min_size=1, max_size=64)


@given(st.dictionaries(IDS, st.integers(0, 10**18 - 1), max_size=8))
def test_cursors_survive_the_round_trip(cursor: dict[str, int]) -> None:
    assert decode_cursor(encode_cursor(cursor)) == cursor


@given(st.text())
def test_any_text_is_a_cursor_or_none(text: str) -> None:
    assert all(0 <= event_id < 10**18 for event_id in decode_cursor(text).values())
