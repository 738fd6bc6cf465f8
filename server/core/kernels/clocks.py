"""What is known of all tags' clocks, and each row judged by its tag's: the model of server/core/tagclock.py.

A clock is one cache line, with the number of the id that its tag shows now.
"""

import math
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core import tagclock as model
from server.core.flags import Flag
from server.core.kernels.jit import inlined, kernel
from server.core.kernels.layout import aligned
from server.core.kernels.line import bare, prefetch, wide
from server.core.rows import KIND_EID, KIND_PLAIN_EID
from wire import status

WORDS: Final = 8
LEARNED, ACCEPTED, ANCHOR, QUANTUM, ABOUT = 2, 3, 4, 6, 7
"""Words of a clock; 0, 1 and 5 are floats: offset_ms, rate_ppm, offset at the anchor."""
OFFSET, RATE, ANCHOR_OFFSET = 0, 1, 5
LOST: Final = 1 << 8
"""Bit of the word `ABOUT`; below it is the rotation exponent."""
_EXPONENT: Final = 255
_AHEAD: Final = 16
_STEP_MS: Final = model.STEP_MS
_LAP_MS: Final = model.LAP_MS
_DRIFT: Final = model.MAX_DRIFT_PPM / 1e6
_DETECTOR_MS: Final = model.DETECTOR_ERROR_MS
_FIRST_MS: Final = model.FIRST_CONTACT_MS
_EVERY_MS: Final = model.LEARN_EVERY_MS
_GAIN: Final = model.GAIN
_RATE_GAIN: Final = model.RATE_GAIN
_RATE_SPAN_MS: Final = model.RATE_SPAN_MS
_MAX_PPM: Final = model.MAX_DRIFT_PPM
_EID, _PLAIN = KIND_EID, KIND_PLAIN_EID
_SEALED, _FORGED, _REPLAYED, _STRIPPED = (
    int(flag) for flag in (Flag.SEALED, Flag.FORGED, Flag.REPLAYED, Flag.STRIPPED)
)
_SOS, _MOVING, _CLOCK_LOST = int(Flag.SOS), int(Flag.MOVING), int(Flag.CLOCK_LOST)
_SAYS_SOS, _SAYS_MOVING, _SAYS_LOST = status.SOS, status.MOVING, status.CLOCK_LOST
_BATTERY, _MIN_BATTERY_DV = status.BATTERY, status.MIN_BATTERY_DV


class Clocks(NamedTuple):
    """All clocks.

    Attributes:
        words: int64, flat, 8 a tag: offset_ms (float), rate_ppm (float), learned UTC ms (0: never heard), newest
            accepted beacon ms, anchor UTC ms (0: none), offset at the anchor (float), quantum of the current id,
            rotation exponent with `LOST`.
        floats: float64, the same memory.
    """

    words: NDArray[np.int64]
    floats: NDArray[np.float64]


class Rows(NamedTuple):
    """Rows to be judged; columns of the same length.

    Attributes:
        tags: int32, below 0: nobody's.
        quanta: int64, number of the id that was heard.
        kinds: uint8, as `rows.Heard`.
        bodies: int32, step | bits << 8 of an authentic status, -1: none, or a forged one.
        at_ms: int64, UTC, last heard.
        error_ms: int64, how far the times may be off, above what a disciplined clock is.
    """

    tags: NDArray[np.int32]
    quanta: NDArray[np.int64]
    kinds: NDArray[np.uint8]
    bodies: NDArray[np.int32]
    at_ms: NDArray[np.int64]
    error_ms: NDArray[np.int64]


def create(exponents: NDArray[np.uint8]) -> Clocks:
    """Return the clocks of tags never heard, shape (n,) of their rotation exponents, all offsets 0."""
    words = aligned(WORDS * exponents.size, np.int64)
    words.reshape(-1, WORDS)[:, ABOUT] = exponents
    return Clocks(words, words.view(np.float64))


@inlined
def beacon_ms(clocks: Clocks, at: int, at_ms: int) -> int:
    """Return the tag's own time predicted for a UTC millisecond; `at` is the first word of its clock."""
    learned_ms = clocks.words[at + LEARNED]
    since_ms = at_ms - learned_ms if learned_ms != 0 else 0
    return wide(round(at_ms - clocks.floats[at + OFFSET] - clocks.floats[at + RATE] * since_ms / 1e6))


@inlined
def _tolerance_ms(clocks: Clocks, at: int, at_ms: int, error_ms: int) -> int:
    if clocks.words[at + LEARNED] == 0:
        return _FIRST_MS + error_ms
    drift_ms = abs(at_ms - clocks.words[at + LEARNED]) * _DRIFT
    return wide(round(_STEP_MS / 2 + _DETECTOR_MS + error_ms + drift_ms))


@inlined
def _step_beacon_ms(quantum: int, exponent: int, step: int, near_ms: int) -> int:
    """Return the tag's time in the middle of `step` within `quantum`, see the model."""
    start_ms, length_ms = (quantum << exponent) * 1000, (wide(1) << exponent) * 1000
    centre_ms = start_ms + length_ms // 2
    if length_ms > _LAP_MS:
        centre_ms = min(max(near_ms, start_ms + _LAP_MS // 2), start_ms + length_ms - _LAP_MS // 2)
    wanted_ms = step * _STEP_MS + _STEP_MS // 2
    return centre_ms + (wanted_ms - centre_ms + _LAP_MS // 2) % _LAP_MS - _LAP_MS // 2


@kernel
def judge(
    clocks: Clocks, rows: Rows, flags: NDArray[np.int16], battery_dv: NDArray[np.int16], learnt: NDArray[np.int32]
) -> int:
    """Say of each row what it is worth, learn the clocks on the way, and return how many entries `learnt` has.

    Args:
        clocks: changed.
        rows: in any order; each is judged by the clock as learnt up to it.
        flags: shape (n,), added to where the row is a rotating id's.
        battery_dv: shape (n,), written for a status that is authentic and of its time.
        learnt: room for n, written: tags whose clock was learnt, possibly twice.
    """
    words, found = bare(clocks.words), 0
    here = Clocks(words, bare(clocks.floats))
    for i in range(rows.tags.size):
        if i + _AHEAD < rows.tags.size:
            prefetch(words, max(0, wide(rows.tags[i + _AHEAD])) * WORDS)
        tag = wide(rows.tags[i])
        if tag < 0 or rows.kinds[i] > _PLAIN:
            continue
        at = tag * WORDS
        if rows.kinds[i] != _EID:
            flags[i] |= _STRIPPED if words[at + LEARNED] != 0 else 0
        elif rows.bodies[i] < 0:
            flags[i] |= _FORGED
        elif not _is_of_its_time(here, at, rows, i):
            flags[i] |= _REPLAYED
        else:
            body = wide(rows.bodies[i])
            flags[i] |= told(body)
            battery_dv[i] = _MIN_BATTERY_DV + (body >> 8 & _BATTERY)
            if rows.error_ms[i] <= 0 and _learn(here, at, rows, i):
                learnt[found] = tag
                found += 1
    return found


@inlined
def told(body: int) -> int:
    """Return the flags of what an authentic status says."""
    bits = body >> 8
    flags = _SEALED
    flags |= _SOS if bits & _SAYS_SOS else 0
    flags |= _MOVING if bits & _SAYS_MOVING else 0
    flags |= _CLOCK_LOST if bits & _SAYS_LOST else 0
    return flags


@inlined
def _told_ms(clocks: Clocks, at: int, rows: Rows, i: int) -> int:
    exponent, near_ms = clocks.words[at + ABOUT] & _EXPONENT, beacon_ms(clocks, at, rows.at_ms[i])
    return _step_beacon_ms(rows.quanta[i], exponent, rows.bodies[i] & 255, near_ms)


@inlined
def _is_of_its_time(clocks: Clocks, at: int, rows: Rows, i: int) -> bool:
    at_ms, told_ms = rows.at_ms[i], _told_ms(clocks, at, rows, i)
    residual_ms = beacon_ms(clocks, at, at_ms) - told_ms
    tolerance_ms = _tolerance_ms(clocks, at, at_ms, rows.error_ms[i])
    learned_ms, accepted_ms = clocks.words[at + LEARNED], clocks.words[at + ACCEPTED]
    is_back = learned_ms != 0 and at_ms >= learned_ms and told_ms < accepted_ms - tolerance_ms
    return abs(residual_ms) <= tolerance_ms and not is_back


@inlined
def _learn(clocks: Clocks, at: int, rows: Rows, i: int) -> bool:
    """Learn from a row that is of its time; return whether it taught anything."""
    words, floats, at_ms = clocks.words, clocks.floats, rows.at_ms[i]
    told_ms = _told_ms(clocks, at, rows, i)
    if words[at + LEARNED] == 0:
        _find(clocks, at, at_ms, told_ms)
        return True
    if at_ms < words[at + LEARNED] + _EVERY_MS:
        return False
    predicted_ms = beacon_ms(clocks, at, at_ms)
    residual_ms = predicted_ms - told_ms
    surprise_ms = residual_ms - max(-_STEP_MS // 2, min(_STEP_MS // 2, residual_ms))
    floats[at + OFFSET] = at_ms - predicted_ms + _GAIN * residual_ms * 0.1 + _GAIN * surprise_ms
    words[at + LEARNED], words[at + ACCEPTED] = at_ms, max(told_ms, words[at + ACCEPTED])
    words[at + ABOUT] &= ~LOST
    _learn_rate(clocks, at, at_ms)
    return True


@inlined
def _find(clocks: Clocks, at: int, at_ms: int, told_ms: int) -> None:
    words, floats = clocks.words, clocks.floats
    floats[at + OFFSET], floats[at + RATE], floats[at + ANCHOR_OFFSET] = at_ms - told_ms, 0.0, at_ms - told_ms
    words[at + LEARNED], words[at + ACCEPTED], words[at + ANCHOR] = at_ms, told_ms, at_ms
    words[at + ABOUT] &= ~LOST


@inlined
def _learn_rate(clocks: Clocks, at: int, at_ms: int) -> None:
    words, floats = clocks.words, clocks.floats
    if words[at + ANCHOR] == 0:
        words[at + ANCHOR], floats[at + ANCHOR_OFFSET] = at_ms, floats[at + OFFSET]
        return
    span_ms = at_ms - words[at + ANCHOR]
    if span_ms < _RATE_SPAN_MS:
        return
    measured_ppm = (floats[at + OFFSET] - floats[at + ANCHOR_OFFSET]) / span_ms * 1e6
    gain = min(1.0, _RATE_GAIN * span_ms / _RATE_SPAN_MS)
    rate_ppm = floats[at + RATE] + gain * (measured_ppm - floats[at + RATE])
    floats[at + RATE] = max(-_MAX_PPM, min(_MAX_PPM, rate_ppm))
    words[at + ANCHOR], floats[at + ANCHOR_OFFSET] = at_ms, floats[at + OFFSET]


@kernel
def find_again(clocks: Clocks, rows: Rows, flags: NDArray[np.int16], battery_dv: NDArray[np.int16]) -> None:
    """Set the clocks of lost tags by what they say of themselves: each row is authentic and says that time was lost."""
    for i in range(rows.tags.size):
        at = wide(rows.tags[i]) * WORDS
        exponent, body = clocks.words[at + ABOUT] & _EXPONENT, wide(rows.bodies[i])
        near_ms = (rows.quanta[i] << exponent) * 1000
        _find(clocks, at, rows.at_ms[i], _step_beacon_ms(rows.quanta[i], exponent, body & 255, near_ms))
        flags[i] |= told(body)
        battery_dv[i] = _MIN_BATTERY_DV + (body >> 8 & _BATTERY)


@kernel
def quanta_at(clocks: Clocks, tags: NDArray[np.int32], at_ms: NDArray[np.int64], quanta: NDArray[np.int64]) -> None:
    """Write into `quanta` which id each tag shows at a UTC millisecond; all of shape (n,)."""
    for i in range(tags.size):
        at = wide(tags[i]) * WORDS
        length_ms = (wide(1) << (clocks.words[at + ABOUT] & _EXPONENT)) * 1000
        quanta[i] = max(0, beacon_ms(clocks, at, at_ms[i]) // length_ms)


@kernel
def due_at(clocks: Clocks, tags: NDArray[np.int32], due_ms: NDArray[np.int64]) -> None:
    """Write into `due_ms`, UTC ms by tag, when each of `tags`, shape (n,), is through with its current id."""
    for i in range(tags.size):
        tag = wide(tags[i])
        at = tag * WORDS
        length_ms = (wide(1) << (clocks.words[at + ABOUT] & _EXPONENT)) * 1000
        end_ms = (clocks.words[at + QUANTUM] + 1) * length_ms
        learned_ms, rate = clocks.words[at + LEARNED], clocks.floats[at + RATE] / 1e6
        base_ms = learned_ms if learned_ms != 0 else 0
        fast = rate if learned_ms != 0 else 0.0
        # beacon = t - offset - rate (t - learned), solved for t
        due_ms[tag] = wide(math.ceil((end_ms + clocks.floats[at + OFFSET] - fast * base_ms) / (1.0 - fast)))
