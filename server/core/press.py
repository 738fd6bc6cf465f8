"""One SOS for one press of the button, however many detectors hear it, and in whatever order."""

from dataclasses import dataclass
from typing import Final

EPISODE_GAP_MS: Final = 900_000
"""A tag says SOS for ten minutes after a press; what is heard within this of it is the same press, held or repeated."""


@dataclass(frozen=True, slots=True)
class Press:
    """The newest press of a tag: UTC of the first and the last sighting that showed it."""

    from_ms: int
    until_ms: int


def step(press: Press | None, at_ms: int) -> tuple[Press, bool]:
    """Return the newest press after a sighting with SOS, and whether it is a new one that must be told.

    A sighting that came late and is older than the newest press by more than an episode is a press of its own: the
    caller is told, the newest press stays.
    """
    if press is None or at_ms > press.until_ms + EPISODE_GAP_MS:
        return Press(at_ms, at_ms), True
    if at_ms < press.from_ms - EPISODE_GAP_MS:
        return press, True
    return Press(min(press.from_ms, at_ms), max(press.until_ms, at_ms)), False
