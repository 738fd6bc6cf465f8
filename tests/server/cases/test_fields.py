"""The typed fields of a request: forms of numbers, dates and windows, by example and by chance."""

import itertools
from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from privacy.terms import Basis, Purpose
from server.cases.errors import CaseInputError
from server.cases.fields import Against, basis_of, checked
from server.cases.scope import Scope, kept, normal, scope
from server.store.camera import Camera
from server.store.case import Window
from tests.casework import DAY_MS, HOUR_MS, NOW_MS, WINDOW, draft
from wire.orders import MAX_WINDOW_MS

CAMERA = Camera(
    id="gw-1", label_ja="駅前", label_en="Station", lat_deg=34.7, lon_deg=134.8, state="recording", footage_from_ms=0
)
AGAINST = Against({"gw-1": CAMERA}, NOW_MS, ZoneInfo("Asia/Tokyo"))
TODAY = date(2026, 11, 26)


def _faults(*windows: Window, **over: Any) -> list[tuple[str, str]]:
    try:
        checked(draft(**over), windows or (WINDOW,), AGAINST)
    except CaseInputError as error:
        return [(fault.where, fault.what) for fault in error.faults]
    return []


@pytest.mark.parametrize("number", ["加古川捜発第123号", "加古川捜発第１２３号", "刑一第45-2号", "R8-123", "第1号", ""])
def test_numbers_of_inquiries_as_they_are_written(number: str) -> None:
    assert _faults(inquiry_number=number) == []


@pytest.mark.parametrize("number", ["123", "第号", "なし", "'; DROP TABLE case", "第1234567号", "<b>第1号</b>"])
def test_what_is_no_number_of_an_inquiry(number: str) -> None:
    assert _faults(inquiry_number=number) == [("inquiry.number", "malformed")]


@pytest.mark.parametrize("number", ["令和8年(る)第123号", "令和８年（る）第１２３号", "R8(る)123", "2026(る)第12号"])
def test_numbers_of_warrants_as_they_are_written(number: str) -> None:
    assert _faults(warrant_number=number) == []


@pytest.mark.parametrize("number", ["123", "令状あり", "第123号", "令和8年第123号", "(る)123", "令和8年(る)号"])
def test_a_malformed_warrant_number_is_refused(number: str) -> None:
    assert _faults(warrant_number=number) == [("warrant_number", "malformed")]


@pytest.mark.parametrize(
    ("day", "what"),
    [
        (TODAY, None),
        (TODAY + timedelta(days=1), "future"),
        (TODAY - timedelta(days=365), None),
        (TODAY - timedelta(days=366), "expired"),
    ],
)
def test_an_inquiry_is_neither_of_tomorrow_nor_of_the_year_before_last(day: date, what: str | None) -> None:
    assert _faults(inquiry_on=day) == ([("inquiry.dated_on", what)] if what else [])


def test_the_day_is_the_citys() -> None:
    evening = Against({"gw-1": CAMERA}, NOW_MS + 10 * HOUR_MS, ZoneInfo("Asia/Tokyo"))  # midnight in Japan
    checked(draft(inquiry_on=TODAY + timedelta(days=1)), (WINDOW,), evening)


@pytest.mark.parametrize(
    ("window", "what"),
    [
        (Window("gw-9", 0, 1000), "unknown"),
        (Window("gw-1", 1000, 1000), "empty"),
        (Window("gw-1", 2000, 1000), "empty"),
        (Window("gw-1", 1, 2000), "fraction"),
        (Window("gw-1", NOW_MS - 1000, NOW_MS + 1000), "future"),
        (Window("gw-1", NOW_MS - 32 * DAY_MS, NOW_MS), "too-long"),
    ],
)
def test_a_window_is_of_a_camera_and_of_the_past(window: Window, what: str) -> None:
    assert _faults(WINDOW, window) == [("cameras.1", what)]


def test_every_fault_is_told_at_once() -> None:
    found = _faults(Window("gw-9", 0, 1000), warrant_number="x", missing_kind="lost", last_confirmed_ms=NOW_MS + 1)
    assert [where for where, _ in found] == ["warrant_number", "missing_kind", "last_confirmed_ms", "cameras.0"]


@pytest.mark.parametrize("purpose", [Purpose.CRIME, Purpose.MISSING_PERSON])
def test_a_basis_that_nobody_names_is_the_purposes(purpose: Purpose) -> None:
    expected = {Purpose.CRIME: Basis.INQUIRY, Purpose.MISSING_PERSON: Basis.ARTICLE_69}
    assert basis_of(purpose, has_warrant=False) is expected[purpose]
    assert basis_of(Purpose.CRIME, has_warrant=True) is Basis.WARRANT


_SECONDS = st.integers(0, 200_000)
_WINDOWS = st.lists(
    st.builds(
        lambda camera, start, length: Window(camera, start * 1000, (start + length) * 1000),
        st.sampled_from(["gw-1", "gw-2"]),
        _SECONDS,
        st.integers(1, 60_000),
    ),
    max_size=12,
)


@given(_WINDOWS)
def test_the_one_form_of_windows_is_the_same_time_in_pieces_that_gateways_take(windows: list[Window]) -> None:
    made = normal(windows)
    for camera in ("gw-1", "gw-2"):
        before = {
            second for w in windows if w.detector == camera for second in range(w.from_ms // 1000, w.to_ms // 1000)
        }
        pieces = [(w.from_ms, w.to_ms) for w in made if w.detector == camera]
        assert sum(end - start for start, end in pieces) == 1000 * len(before)
        assert all(0 < end - start <= MAX_WINDOW_MS for start, end in pieces)
        assert all(end <= start for (_, end), (start, _) in itertools.pairwise(pieces))
    assert normal(made) == made


@given(_WINDOWS)
def test_cutting_a_window_makes_no_camera_shorter(windows: list[Window]) -> None:
    made = normal(windows)
    halves = [
        half
        for w in made
        for half in (
            Window(w.detector, w.from_ms, (w.from_ms + w.to_ms) // 2000 * 1000),
            Window(w.detector, (w.from_ms + w.to_ms) // 2000 * 1000, w.to_ms),
        )
        if half.from_ms < half.to_ms
    ]
    assert scope(halves) == scope(made)


def test_nothing_asked_is_nothing_counted() -> None:
    assert scope(()) == Scope(0, 0, 0, 0, 0)
    assert scope((Window("a", 0, HOUR_MS + 1000),)).camera_hours == 2


@pytest.mark.parametrize(
    ("kept_ms", "what"), [(None, "unknown"), (0, "all"), (1000, "all"), (1001, "part"), (2999, "part"), (3000, "gone")]
)
def test_how_much_of_a_window_is_kept(kept_ms: int | None, what: str) -> None:
    assert kept(Window("a", 1000, 3000), kept_ms) == what
