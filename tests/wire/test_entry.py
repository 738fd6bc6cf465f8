from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.entry import FIRST, Entry, digest, first_fault
from wire.errors import MessageError


def _log(length: int) -> list[bytes]:
    encoded: list[bytes] = []
    for number in range(length):
        previous = digest(encoded[-1]) if encoded else FIRST
        encoded.append(Entry(number + 1, 1_000 + number, "order.done", {"sequence": number}, previous).encode())
    return encoded


def test_a_log_is_without_fault() -> None:
    assert first_fault(_log(5)) is None
    assert first_fault([]) is None


def test_a_part_of_a_log_is_checked_against_what_went_before() -> None:
    log = _log(5)
    assert first_fault(log[2:], digest(log[1]), 3) is None
    assert first_fault(log[2:], digest(log[0]), 3) == 3


def _changed(log: list[bytes]) -> None:
    log[1] = replace(Entry.decode(log[1]), at_ms=9).encode()


def _removed(log: list[bytes]) -> None:
    del log[1]


def _added(log: list[bytes]) -> None:
    log.insert(1, Entry(2, 9, "order.done", {}, digest(log[0])).encode())


def _swapped(log: list[bytes]) -> None:
    log[1], log[2] = log[2], log[1]


@pytest.mark.parametrize("bend", [_changed, _removed, _added, _swapped])
def test_whoever_bends_a_log_is_found(bend: Callable[[list[bytes]], None]) -> None:
    log = _log(5)
    bend(log)
    assert first_fault(log) in {2, 3}


def test_the_last_entry_alone_can_be_cut_off_unseen() -> None:
    # Hence the heartbeat tells the newest: what the city has heard of cannot be missing.
    assert first_fault(_log(5)[:-1]) is None


@given(st.binary(max_size=100))
def test_any_octets_are_an_entry_or_an_error(data: bytes) -> None:
    try:
        Entry.decode(data)
    except MessageError:
        assert first_fault([data]) == 1


@given(st.integers(0, 2**53 - 1), st.integers(0, 2**53 - 1), st.text(max_size=40), st.binary(min_size=32, max_size=32))
def test_an_entry_survives_encoding(sequence: int, at_ms: int, kind: str, previous: bytes) -> None:
    entry = Entry(sequence, at_ms, kind, {"n": 1}, previous)
    assert Entry.decode(entry.encode()) == entry
