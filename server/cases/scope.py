"""Which cameras and times a request names, brought into one form, and what the ordinance counts of it.

Source: docs/ORDINANCE.md, rules 5, 8, 10 and 11.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final, Literal, TypeAlias

from server.store.camera import Camera
from server.store.case import Window
from wire.orders import MAX_WINDOW_MS

Kept: TypeAlias = Literal["all", "part", "gone", "frozen", "unknown"]
"""How much of a window is still there; frozen: the gateway keeps it for this case, or the export is here."""

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS


def normal(windows: Iterable[Window]) -> tuple[Window, ...]:
    """Return the same times: those of a camera that touch are one, what is longer than an order takes is cut."""
    ordered = sorted(windows, key=lambda one: (one.detector, one.from_ms, one.to_ms))
    merged = (span for _, group in groupby(ordered, key=lambda one: one.detector) for span in _merged(group))
    return tuple(part for span in merged for part in _cut(span))


def _merged(windows: Iterable[Window]) -> Iterator[Window]:
    open_: Window | None = None
    for one in windows:
        if open_ is not None and one.from_ms <= open_.to_ms:
            open_ = Window(one.detector, open_.from_ms, max(open_.to_ms, one.to_ms))
            continue
        if open_ is not None:
            yield open_
        open_ = one
    if open_ is not None:
        yield open_


def _cut(window: Window) -> Iterator[Window]:
    for start_ms in range(window.from_ms, window.to_ms, MAX_WINDOW_MS):
        yield Window(window.detector, start_ms, min(start_ms + MAX_WINDOW_MS, window.to_ms))


@dataclass(frozen=True, slots=True)
class Scope:
    """What the ordinance counts of a request.

    Attributes:
        cameras: how many different ones.
        longest_ms: all time asked of the camera that most is asked of: cutting a window in two does not shorten it.
        total_ms: of all cameras.
        from_ms: start of the earliest window; 0 without any.
        to_ms: end of the latest.
    """

    cameras: int
    longest_ms: int
    total_ms: int
    from_ms: int
    to_ms: int

    @property
    def camera_hours(self) -> int:
        """Hours of all cameras together, rounded up."""
        return -(-self.total_ms // HOUR_MS)


def scope(windows: Sequence[Window]) -> Scope:
    """Return what is counted of windows that do not overlap."""
    spans: dict[str, int] = {}
    for one in windows:
        spans[one.detector] = spans.get(one.detector, 0) + one.to_ms - one.from_ms
    return Scope(
        cameras=len(spans),
        longest_ms=max(spans.values(), default=0),
        total_ms=sum(spans.values()),
        from_ms=min((one.from_ms for one in windows), default=0),
        to_ms=max((one.to_ms for one in windows), default=0),
    )


def kept_from_ms(camera: Camera | None, *, retention_days: int, now_ms: int) -> int | None:
    """Return from when on a camera still keeps footage; None: nobody knows.

    Never before the limit of the ordinance, whatever the gateway says: it deletes within the hour.
    """
    if camera is None or camera.footage_from_ms is None:
        return None
    return max(camera.footage_from_ms, now_ms - retention_days * DAY_MS)


def kept(window: Window, kept_ms: int | None) -> Kept:
    """Return how much of a window is there, given from when on its camera keeps footage."""
    if kept_ms is None:
        return "unknown"
    if window.to_ms <= kept_ms:
        return "gone"
    return "all" if window.from_ms >= kept_ms else "part"


def kept_of(
    windows: Sequence[Window], cameras: Mapping[str, Camera], *, retention_days: int, now_ms: int
) -> tuple[Kept, ...]:
    """Return how much of each window is there, in their order."""
    return tuple(
        kept(one, kept_from_ms(cameras.get(one.detector), retention_days=retention_days, now_ms=now_ms))
        for one in windows
    )
