"""Arrivals and departures: a change of side that has lasted, hysteresis in time."""

from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from server.core.fences import Fence

MIN_HITS: Final = 3
"""So many places on the other side make a change, however long they span: one lucky packet from afar makes none."""
SILENCE_MS: Final = 180_000
"""Someone heard twice inside, then not at all for so long, has stayed where few detectors are: at home, say."""


class Kind(Enum):
    """What is told to a family."""

    ARRIVED = "arrived"
    DEPARTED = "departed"
    SOS = "sos"


@dataclass(frozen=True, slots=True)
class Presence:
    """Where a ward stands towards a place.

    Attributes:
        is_inside: the side that the family knows of.
        since_ms: UTC, since when.
        candidate_since_ms: first place on the other side; None: no change is being waited for.
        candidate_last_ms: newest place on the other side.
        candidate_hits: how many places there have been on the other side.
    """

    is_inside: bool
    since_ms: int
    candidate_since_ms: int | None = None
    candidate_last_ms: int | None = None
    candidate_hits: int = 0


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a ward. The same one is the same key, however often it is found."""

    ward: str
    place: str | None
    kind: Kind
    at_ms: int


def step(
    presence: Presence | None, fence: Fence, *, is_inside: bool | None, at_ms: int
) -> tuple[Presence | None, Event | None]:
    """Return the presence after a place, and the event if a change has now lasted for the fence's dwell.

    Args:
        presence: None when nothing is known of the ward and this place: the first side is taken and not told, for
            nobody has moved.
        fence: ward, place and dwell.
        is_inside: as `fences.side_of` says; None changes nothing.
        at_ms: UTC; callers pass places in order, the same moment again changes nothing.
    """
    if is_inside is None:
        return presence, None
    if presence is None:
        return Presence(is_inside, at_ms), None
    if is_inside == presence.is_inside:
        return (presence if presence.candidate_hits == 0 else _settled(presence)), None
    since_ms = at_ms if presence.candidate_since_ms is None else presence.candidate_since_ms
    last_ms = presence.candidate_last_ms
    hits = presence.candidate_hits + (last_ms is None or at_ms > last_ms)
    waiting = replace(presence, candidate_since_ms=since_ms, candidate_last_ms=max(at_ms, last_ms or at_ms))
    waiting = replace(waiting, candidate_hits=hits)
    if at_ms - since_ms < fence.dwell_ms or (hits < MIN_HITS and fence.dwell_ms > 0):
        return waiting, None
    return _changed(waiting, fence, since_ms)


def sweep(presence: Presence, fence: Fence, now_ms: int) -> tuple[Presence, Event | None]:
    """Return the presence when nothing new was heard until `now_ms`: a waiting arrival may be complete.

    Leaving is never concluded from silence; silence has its own explanation.
    """
    since_ms, last_ms = presence.candidate_since_ms, presence.candidate_last_ms
    if presence.is_inside or since_ms is None or last_ms is None or presence.candidate_hits < 2:
        return presence, None
    if now_ms - last_ms < max(fence.dwell_ms, SILENCE_MS):
        return presence, None
    return _changed(presence, fence, since_ms)


def _settled(presence: Presence) -> Presence:
    return Presence(presence.is_inside, presence.since_ms)


def _changed(presence: Presence, fence: Fence, since_ms: int) -> tuple[Presence, Event]:
    is_inside = not presence.is_inside
    kind = Kind.ARRIVED if is_inside else Kind.DEPARTED
    return Presence(is_inside, since_ms), Event(fence.ward, fence.place, kind, since_ms)
