"""When the receiver is open, and what that costs: more while moving, all the time after a tag in haste.

Pure: the caller gives the time and carries out what comes back.
"""

from dataclasses import dataclass, field, replace
from typing import Final

SETTLE_S: Final = 0.3
"""Seconds of open receiver that one wake-up costs in energy. An assumption, to be replaced by a measurement."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """Scan for `scan_s`, rest until `cycle_s` have gone; town seconds."""

    scan_s: float
    cycle_s: float

    def __post_init__(self) -> None:
        if not 0 < self.scan_s <= self.cycle_s:
            raise ValueError("a cycle scans for some of its time, and for no more than all of it")

    @property
    def share(self) -> float:
        """Share of the time that the receiver is open, 0..1."""
        return self.scan_s / self.cycle_s


@dataclass(frozen=True, slots=True)
class DutyPlan:
    """Which cycle to follow.

    Args:
        rest: while the phone stands still.
        moving: while it moves: it passes tags, and has little time for each.
        alert_s: after a tag in haste was heard, scan without a pause for so long.
    """

    rest: Cycle = Cycle(2.0, 20.0)
    moving: Cycle = Cycle(2.0, 10.0)
    alert_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What the detector cost so far; the only figures about its use that are kept.

    Args:
        on_s: town seconds since detection was switched on, all runs together.
        scanning_s: of these, with the receiver open.
        wakes: times it was opened.
        in_zone_s: spent inside no-report zones, or without a position.
    """

    on_s: float = 0.0
    scanning_s: float = 0.0
    wakes: int = 0
    in_zone_s: float = 0.0

    @property
    def scanning_share(self) -> float:
        """Share of the time with the receiver open, 0..1."""
        return self.scanning_s / self.on_s if self.on_s else 0.0

    @property
    def energy_share(self) -> float:
        """Energy compared with a receiver that is never closed, 0..1: open time plus `SETTLE_S` a wake-up."""
        return min(1.0, (self.scanning_s + self.wakes * SETTLE_S) / self.on_s) if self.on_s else 0.0

    @property
    def wakes_per_hour(self) -> float:
        """Times an hour that the receiver was opened."""
        return self.wakes * 3600 / self.on_s if self.on_s else 0.0


@dataclass(slots=True)
class Duty:
    """The receiver's timetable.

    Args:
        plan: the cycles.
        phase_s: where in its first cycle this phone starts, so that the phones of a town do not wake together.
    """

    plan: DutyPlan
    phase_s: float = 0.0
    is_scanning: bool = field(default=False, init=False)
    usage: Usage = field(default_factory=Usage)
    _alert_until_ms: int = field(default=0, init=False)
    _cycle_from_ms: int | None = field(default=None, init=False)
    _last_ms: int | None = field(default=None, init=False)

    def alert(self, now_ms: int) -> None:
        """Note that a tag in haste was heard: keep the receiver open for a while."""
        self._alert_until_ms = now_ms + round(self.plan.alert_s * 1000)

    def step(self, now_ms: int, *, is_moving: bool, may_scan: bool) -> float:
        """Decide whether the receiver is open from `now_ms` on (`is_scanning`), and return for how many town seconds.

        Args:
            now_ms: town time; never goes back far, a jump starts a new cycle.
            is_moving: see `DutyPlan`.
            may_scan: False inside a no-report zone, or without a position: the receiver stays closed.
        """
        self._account(now_ms, may_scan=may_scan)
        cycle = self.plan.moving if is_moving else self.plan.rest
        if not may_scan:
            self._cycle_from_ms = None
            return self._set(now_is=False, for_s=1.0)
        if now_ms < self._alert_until_ms:
            return self._set(now_is=True, for_s=min(1.0, (self._alert_until_ms - now_ms) / 1000))
        if self._cycle_from_ms is None or now_ms < self._cycle_from_ms:
            self._cycle_from_ms = now_ms - round(1000 * (self.phase_s % cycle.cycle_s))
        into_s = (now_ms - self._cycle_from_ms) / 1000
        if into_s >= cycle.cycle_s:
            whole = int(into_s // cycle.cycle_s)
            self._cycle_from_ms += round(whole * cycle.cycle_s * 1000)
            into_s -= whole * cycle.cycle_s
        if into_s < cycle.scan_s:
            return self._set(now_is=True, for_s=cycle.scan_s - into_s)
        return self._set(now_is=False, for_s=cycle.cycle_s - into_s)

    def _set(self, *, now_is: bool, for_s: float) -> float:
        if now_is and not self.is_scanning:
            self.usage = replace(self.usage, wakes=self.usage.wakes + 1)
        self.is_scanning = now_is
        return max(for_s, 0.001)

    def _account(self, now_ms: int, *, may_scan: bool) -> None:
        gone_s = max(0.0, (now_ms - (self._last_ms if self._last_ms is not None else now_ms)) / 1000)
        self._last_ms = now_ms
        self.usage = replace(
            self.usage,
            on_s=self.usage.on_s + gone_s,
            scanning_s=self.usage.scanning_s + gone_s * self.is_scanning,
            in_zone_s=self.usage.in_zone_s + gone_s * (not may_scan),
        )
