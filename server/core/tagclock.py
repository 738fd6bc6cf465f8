"""What the server knows of a tag's clock: predicts its time, judges a sealed step against it, learns from it.

A tag has no other clock than its crystal. Every authentic status tells its time to 4 seconds, which keeps the
prediction sharp, and the prediction is what kills a replay: an old value is not of its time.
"""

from dataclasses import dataclass, replace

from wire.status import STEP_S

MAX_DRIFT_PPM = 150.0
"""The worst crystal that a tag may have."""
DETECTOR_ERROR_MS = 10_000
"""How far a disciplined detector's clock may be off, together with what a window blurs."""
FIRST_CONTACT_MS = 600_000
"""How far a tag never heard before may be from its provisioned clock."""
STEP_MS = STEP_S * 1000
LAP_MS = 256 * STEP_MS
LEARN_EVERY_MS = 60_000
"""A clock is learnt no more often: steps of 4 s tell nothing new sooner, and what is learnt has to be written down."""
GAIN = 0.2
RATE_GAIN = 0.05
RATE_SPAN_MS = 3_600_000
"""A rate is only learnt over a longer time: 4 s steps blur it."""


@dataclass(frozen=True, slots=True)
class TagClock:
    """State of one tag's clock.

    Attributes:
        offset_ms: UTC minus the tag's time, as of `learned_at_ms`.
        rate_ppm: how fast the offset grows.
        learned_at_ms: UTC of the newest accepted status; None before the first.
        accepted_beacon_ms: the tag's time in it. Newer sightings may not show an older one.
        anchor_at_ms: since when the rate is being measured.
        anchor_offset_ms: the offset then.
        is_lost: the operator says that the tag lost its clock: search wider.
    """

    offset_ms: float
    rate_ppm: float = 0.0
    learned_at_ms: int | None = None
    accepted_beacon_ms: int | None = None
    anchor_at_ms: int | None = None
    anchor_offset_ms: float = 0.0
    is_lost: bool = False

    def beacon_ms(self, at_ms: int) -> int:
        """Return the tag's own time predicted for a UTC millisecond."""
        since_ms = 0 if self.learned_at_ms is None else at_ms - self.learned_at_ms
        return round(at_ms - self.offset_ms - self.rate_ppm * since_ms / 1e6)

    def tolerance_ms(self, at_ms: int, clock_error_ms: int = 0) -> int:
        """Return how far a step may be from the prediction: half a step, detector's error, drift since learned."""
        if self.learned_at_ms is None:
            return FIRST_CONTACT_MS + clock_error_ms
        drift_ms = abs(at_ms - self.learned_at_ms) * MAX_DRIFT_PPM / 1e6
        return round(STEP_MS / 2 + DETECTOR_ERROR_MS + clock_error_ms + drift_ms)


@dataclass(frozen=True, slots=True)
class Judged:
    """A sealed step against the prediction.

    Attributes:
        beacon_ms: the tag's time that the step tells, middle of the step.
        residual_ms: how much later than predicted for that time it was heard.
        is_of_its_time: within the tolerance, and not older than what was accepted before.
    """

    beacon_ms: int
    residual_ms: int
    is_of_its_time: bool


def step_beacon_ms(quantum: int, rotation_exponent: int, step: int, near_ms: int) -> int:
    """Return the tag's time in the middle of `step` within `quantum`.

    Steps repeat every 1024 s: where a quantum is longer, the lap nearest to `near_ms` counts; where it is shorter, the
    lap nearest to the quantum.
    """
    start_ms = (quantum << rotation_exponent) * 1000
    length_ms = (1 << rotation_exponent) * 1000
    wanted_ms = step * STEP_MS + STEP_MS // 2
    centre_ms = start_ms + length_ms // 2
    if length_ms > LAP_MS:
        centre_ms = min(max(near_ms, start_ms + LAP_MS // 2), start_ms + length_ms - LAP_MS // 2)
    return centre_ms + (wanted_ms - centre_ms + LAP_MS // 2) % LAP_MS - LAP_MS // 2


def judge(clock: TagClock, *, at_ms: int, beacon_ms: int, clock_error_ms: int = 0) -> Judged:
    """Return whether a status that tells `beacon_ms` may be heard at `at_ms`."""
    residual_ms = clock.beacon_ms(at_ms) - beacon_ms
    tolerance_ms = clock.tolerance_ms(at_ms, clock_error_ms)
    is_back = (
        clock.learned_at_ms is not None
        and clock.accepted_beacon_ms is not None
        and at_ms >= clock.learned_at_ms
        and beacon_ms < clock.accepted_beacon_ms - tolerance_ms
    )
    return Judged(beacon_ms, residual_ms, abs(residual_ms) <= tolerance_ms and not is_back)


def learn(clock: TagClock, judged: Judged, *, at_ms: int) -> TagClock:
    """Return the clock after an accepted status; older than the newest, or soon after it, it teaches nothing."""
    if clock.learned_at_ms is None:
        return found(at_ms=at_ms, beacon_ms=judged.beacon_ms)
    if at_ms < clock.learned_at_ms + LEARN_EVERY_MS:
        return clock
    # Heard anywhere within a step, so within half a step of its middle nothing can be told.
    surprise_ms = judged.residual_ms - max(-STEP_MS // 2, min(STEP_MS // 2, judged.residual_ms))
    predicted_ms = at_ms - clock.beacon_ms(at_ms)
    moved = replace(
        clock,
        offset_ms=predicted_ms + GAIN * judged.residual_ms * 0.1 + GAIN * surprise_ms,
        learned_at_ms=at_ms,
        accepted_beacon_ms=max(judged.beacon_ms, clock.accepted_beacon_ms or judged.beacon_ms),
    )
    return _learn_rate(moved, at_ms)


def found(*, at_ms: int, beacon_ms: int) -> TagClock:
    """Return the clock of a tag that was heard for the first time, or found again after it lost its time."""
    offset_ms = float(at_ms - beacon_ms)
    return TagClock(
        offset_ms,
        learned_at_ms=at_ms,
        accepted_beacon_ms=beacon_ms,
        anchor_at_ms=at_ms,
        anchor_offset_ms=offset_ms,
    )


def _learn_rate(clock: TagClock, at_ms: int) -> TagClock:
    if clock.anchor_at_ms is None:
        return replace(clock, anchor_at_ms=at_ms, anchor_offset_ms=clock.offset_ms)
    span_ms = at_ms - clock.anchor_at_ms
    if span_ms < RATE_SPAN_MS:
        return clock
    measured_ppm = (clock.offset_ms - clock.anchor_offset_ms) / span_ms * 1e6
    # A step's blur over a short span weighs little, a long span much.
    gain = min(1.0, RATE_GAIN * span_ms / RATE_SPAN_MS)
    rate_ppm = clock.rate_ppm + gain * (measured_ppm - clock.rate_ppm)
    limited_ppm = max(-MAX_DRIFT_PPM, min(MAX_DRIFT_PPM, rate_ppm))
    return replace(clock, rate_ppm=limited_ppm, anchor_at_ms=at_ms, anchor_offset_ms=clock.offset_ms)
