"""All tags' timers at once: when each advertises, what its button and accelerometer say, what its cell has left.

An advertising event comes every advInterval + advDelay, advDelay pseudo-random in 0 to 10 ms (Bluetooth Core
Specification 5.4, Vol 6, Part B, 4.4.2.2.1; confirmed on a real capture, see the tests). Intervals: 1 s while moving,
5 s at rest; with the SOS button held 100 ms for 20 s, then 500 ms until ten minutes are over.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from firmware_sim import battery
from firmware_sim.geometry import Flags, Floats, Ints
from firmware_sim.tag import COUNTER_START_S, ROTATION_EXPONENT, Advert, State, Tag
from wire import frames

MOVING_INTERVAL_MS: Final = 1_000.0
RESTING_INTERVAL_MS: Final = 5_000.0
ADV_DELAY_MS: Final = 10.0
MOVING_SPEED_MPS: Final = 0.3
MOVING_HOLD_MS: Final = 60_000.0
SOS_BURST_MS: Final = 20_000.0
SOS_BURST_INTERVAL_MS: Final = 100.0
SOS_HOLD_MS: Final = 600_000.0
SOS_INTERVAL_MS: Final = 500.0
TELEMETRY_EVERY: Final = 64
"""One event in 64 carries telemetry instead of the id: about one a minute while moving."""
_VOLTAGE_EVERY_MS: Final = 60_000.0


class Fleet:
    """The firmware of all tags, stepped together.

    Args:
        tags: see tag.py.
        start_ms: Unix milliseconds of the first step.
        rng: draws the first phase of each tag; later draws are given to `events`.
    """

    def __init__(self, tags: Sequence[Tag], start_ms: int, rng: np.random.Generator) -> None:
        self.tags = tuple(tags)
        n = len(self.tags)
        self._started_ms = np.array([tag.started_ms for tag in tags], dtype=np.float64)
        self._rate = 1 + np.array([tag.drift_ppm for tag in tags]) * 1e-6
        self._next_ms: Floats = start_ms + rng.uniform(0, RESTING_INTERVAL_MS, n)
        self._felt_ms = np.full(n, -np.inf)
        self._pressed_ms = np.full(n, -np.inf)
        self._adv_count: Ints = rng.integers(0, 10_000, n)
        self._drawn_uc: Floats = np.array([tag.depth for tag in tags]) * battery.CAPACITY_UC
        self._battery_mv = np.zeros(n)
        self._battery_at_ms = -np.inf
        self._quantum = self._quanta(start_ms)
        self._said: dict[int, tuple[tuple[int, bool, bool], Advert]] = {}

    def press(self, tag: int, at_ms: float) -> None:
        """Hold the button of a tag for three seconds: SOS from now on."""
        self._pressed_ms[tag] = at_ms
        self._next_ms[tag] = min(self._next_ms[tag], at_ms)

    def skip(self, skip_ms: float) -> None:
        """Put every timer off."""
        self._next_ms += skip_ms

    def events(
        self, start_ms: float, end_ms: float, speeds_mps: Floats, rng: np.random.Generator
    ) -> Iterator[tuple[Ints, Floats, Flags]]:
        """Rounds of advertising events before `end_ms`: tags (each at most once a round), Unix ms, is it telemetry."""
        interval_ms = self._intervals_ms(start_ms, speeds_mps)
        self._hasten(start_ms, interval_ms)
        self._rotate(start_ms, interval_ms, rng)
        self._drain(start_ms, end_ms - start_ms)
        while (due := np.flatnonzero(self._next_ms < end_ms)).size:
            at_ms = self._next_ms[due]
            self._next_ms[due] += interval_ms[due] + rng.uniform(0, ADV_DELAY_MS, due.size)
            self._adv_count[due] += 1
            self._drawn_uc[due] += battery.EVENT_UC
            yield due, at_ms, self._adv_count[due] % TELEMETRY_EVERY == 0

    def advert(self, tag: int, at_ms: float, *, is_telemetry: bool) -> Advert:
        """What the tag sends at a time within the step of `events`; the same octets for all of a 4-second step."""
        is_sos, is_moving = bool(self.is_sos(at_ms)[tag]), bool(self._felt_ms[tag] > at_ms - MOVING_HOLD_MS)
        state = State(is_sos, is_moving, int(self._battery_mv[tag]), int(self._adv_count[tag]))
        burnt_in = self.tags[tag]
        if is_telemetry:
            return Advert(burnt_in.address(at_ms), frames.encode(burnt_in.telemetry_frame(at_ms, state)))
        key = (burnt_in.step(at_ms), is_sos, is_moving)
        said = self._said.get(tag)
        if said is None or said[0] != key:
            said = key, Advert(burnt_in.address(at_ms), frames.encode(burnt_in.sighting_frame(at_ms, state)))
            self._said[tag] = said
        return said[1]

    def is_sos(self, at_ms: float) -> Flags:
        """Whose SOS is on, shape (n,)."""
        age_ms = at_ms - self._pressed_ms
        on: Flags = (age_ms >= 0) & (age_ms < SOS_HOLD_MS)
        return on

    def _intervals_ms(self, now_ms: float, speeds_mps: Floats) -> Floats:
        self._felt_ms[speeds_mps > MOVING_SPEED_MPS] = now_ms
        is_moving = self._felt_ms > now_ms - MOVING_HOLD_MS
        interval_ms = np.where(is_moving, MOVING_INTERVAL_MS, RESTING_INTERVAL_MS)
        interval_ms[self.is_sos(now_ms)] = SOS_INTERVAL_MS
        interval_ms[np.abs(now_ms - self._pressed_ms) < SOS_BURST_MS] = SOS_BURST_INTERVAL_MS
        return interval_ms

    def _hasten(self, now_ms: float, interval_ms: Floats) -> None:
        """A timer that a shorter interval overtook keeps its phase: tags that set out together stay apart."""
        late = np.flatnonzero(self._next_ms > now_ms + interval_ms + ADV_DELAY_MS)
        self._next_ms[late] = now_ms + (self._next_ms[late] - now_ms) % interval_ms[late]

    def _quanta(self, now_ms: float) -> Ints:
        beacon_s = COUNTER_START_S + (now_ms - self._started_ms) * self._rate / 1000
        return np.floor(beacon_s).astype(np.int64) >> ROTATION_EXPONENT

    def _rotate(self, now_ms: float, interval_ms: Floats, rng: np.random.Generator) -> None:
        """A tag with a new id also begins at a new phase, or its rhythm would tie the two ids together."""
        quantum = self._quanta(now_ms)
        turned = np.flatnonzero(quantum != self._quantum)
        self._next_ms[turned] += rng.uniform(0, 1, turned.size) * interval_ms[turned]
        self._quantum = quantum

    def _drain(self, now_ms: float, took_ms: float) -> None:
        self._drawn_uc += battery.SLEEP_UA * took_ms / 1000
        if now_ms - self._battery_at_ms >= _VOLTAGE_EVERY_MS:
            self._battery_at_ms = now_ms
            self._battery_mv = 1000 * battery.voltage_v(self._drawn_uc / battery.CAPACITY_UC)
