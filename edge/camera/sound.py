"""The sound gate: the level of what is louder than the board allows to be noted, and nothing else of any sound.

A-weighted with the time weighting Fast (125 ms), as IEC 61672-1 has it: that is what "noise level" means in Japan's
noise law, what a city can check with a meter, and it keeps wind and lorries' rumble from opening the gate. Calibrated
at 1 kHz, where the weighting is 0 dB. Steady tones are right within 0.4 dB from 125 Hz to 4 kHz, within 1 dB at 63 Hz.

Samples live in the gate for at most one block (about 40 ms), in memory. Below the limit nothing is returned, kept or
counted; no method returns samples.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from edge.errors import SoundError
from wire import fields as _f
from wire.camera_settings import CameraSettings
from wire.errors import MessageError

FAST_S: Final = 0.125
_BLOCK_S: Final = 0.04
_SLOT_MS: Final = 125
_MAX_LEVELS: Final = 10_000
_FULL_SCALE_POWER: Final = 0.5
"""The mean square of a full-scale sine."""
_LEAST_RATE_HZ: Final = 4000
_MOST_RATE_HZ: Final = 400_000

Power = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Level:
    """How loud it was.

    Attributes:
        at_ms: when, Unix milliseconds.
        level_db: dB(A) re 20 µPa, Fast, the greatest of up to 125 ms; where the microphone clipped, at least that.
    """

    at_ms: int
    level_db: float


class SoundGate:
    """Measures the sound of one camera.

    Args:
        settings: of the city, with the board's approval.

    Attributes:
        damaged: pieces of sound that held no numbers, or came at an impossible rate: they were dropped.

    Raises:
        SoundError: the board has not approved it.
    """

    def __init__(self, settings: CameraSettings) -> None:
        if not settings.is_sound_approved:
            raise SoundError("the board has not approved the sound gate")
        self._limit_db = settings.sound_limit_db
        self._full_scale_db = settings.sound_full_scale_db
        self._kind: tuple[int, int] = (0, 0)
        self._meter: _Meter | None = None
        self.damaged = 0

    def levels(self, piece: av.AudioFrame, at_ms: int) -> list[Level]:
        """Return what in this piece of sound was above the limit: the greatest level in each 125 ms.

        Args:
            piece: any format, rate and layout; of several channels the loudest counts.
            at_ms: when its first sample was taken, Unix milliseconds.
        """
        samples, rate_hz = _samples(piece), piece.sample_rate or 0
        if samples is None or not _LEAST_RATE_HZ <= rate_hz <= _MOST_RATE_HZ:
            self.damaged += 1
            self._meter = None
            return []
        if self._meter is None or self._kind != (rate_hz, len(samples)):
            self._kind, self._meter = (rate_hz, len(samples)), _Meter(rate_hz, len(samples))
        powers, ends = self._meter.feed(samples)
        with np.errstate(divide="ignore"):
            found_db = 10 * np.log10(powers / _FULL_SCALE_POWER) + self._full_scale_db
        loud = np.flatnonzero(found_db > self._limit_db)
        times_ms = [at_ms + round(1000 * float(ends[index]) / rate_hz) for index in loud]
        return _greatest(Level(time_ms, float(found_db[index])) for time_ms, index in zip(times_ms, loud, strict=True))

    def hear(self, piece: av.AudioFrame, at_ms: int) -> bytes | None:
        """Return the levels of a piece of sound as they are written, None where nothing may be."""
        found = self.levels(piece, at_ms)
        return encode(found) if found else None


def encode(levels: list[Level]) -> bytes:
    """Return levels as CBOR: 1 their times, Unix milliseconds, 2 their levels in tenths of a dB(A)."""
    return _f.dumps({1: [one.at_ms for one in levels], 2: [round(one.level_db * 10) for one in levels]})


def decode(data: bytes) -> list[Level]:
    """Return the levels in `data`.

    Raises:
        MessageError: malformed, or of an unknown version.
    """
    fields = _f.loads(data)
    times, tenths = fields.get(1), fields.get(2)
    if not isinstance(times, list) or not isinstance(tenths, list) or not len(times) == len(tenths) <= _MAX_LEVELS:
        raise MessageError("levels are two lists of the same length")
    pairs = zip(times, tenths, strict=True)
    return [Level(_f.below(at, _f.UINT53, "at"), _f.below(tenth, 3000, "level") / 10) for at, tenth in pairs]


class _Meter:
    """Weighs and averages: A by the spectrum of overlapping blocks, Fast by an exponential mean of their powers."""

    def __init__(self, rate_hz: int, channels: int) -> None:
        self._block = 1 << round(math.log2(rate_hz * _BLOCK_S))
        self._hop = self._block // 2
        self._window = np.hanning(self._block + 1)[:-1]
        frequencies = np.fft.rfftfreq(self._block, 1 / rate_hz).astype(np.float64)
        sides = np.full(len(frequencies), 2.0)
        sides[0] = sides[-1] = 1.0
        # Parseval: the mean square of a block from its spectrum, the window's own loss made good.
        self._weights = sides * a_weight(frequencies) / (self._block * np.sum(self._window**2))
        self._keep = math.exp(-self._hop / rate_hz / FAST_S)
        self._held: NDArray[np.float64] = np.zeros((channels, self._hop))
        self._mean: Power = np.zeros(channels)

    def feed(self, samples: NDArray[np.float64]) -> tuple[Power, NDArray[np.intp]]:
        """Return the weighted power after each block of the loudest channel, and where in `samples` each block ends."""
        held = self._held.shape[1]
        joined = np.concatenate([self._held, samples], axis=1)
        count = max(0, (joined.shape[1] - self._block) // self._hop + 1)
        powers = np.empty(count)
        for number in range(count):
            block = joined[:, number * self._hop : number * self._hop + self._block] * self._window
            power = (np.abs(np.fft.rfft(block, axis=1)) ** 2) @ self._weights
            self._mean = self._mean * self._keep + power * (1 - self._keep)
            powers[number] = self._mean.max()
        self._held = joined[:, count * self._hop :].copy()
        return powers, np.arange(count) * self._hop + self._block - held


def a_weight(frequency_hz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the A-weighting of powers at these frequencies, 1 at 1 kHz.

    Source: IEC 61672-1:2013, annex E: poles at 20.60, 107.7, 737.9 and 12194 Hz.
    """
    square = frequency_hz**2
    gain = 12194.217**2 * square**2
    gain = gain / ((square + 20.598997**2) * (square + 12194.217**2))
    gain = gain / np.sqrt((square + 107.65265**2) * (square + 737.86223**2))
    weighted: NDArray[np.float64] = gain**2 * 10**0.2
    return weighted


def _samples(piece: av.AudioFrame) -> NDArray[np.float64] | None:
    """Return a piece as shape (channels, n), -1 to 1; None where it holds no numbers."""
    values: NDArray[Any] = piece.to_ndarray()
    channels = max(1, piece.layout.nb_channels)
    if not piece.format.is_planar:
        values = values.reshape(-1, channels).T
    if values.dtype == np.uint8:
        scaled = (values.astype(np.float64) - 128) / 128
    elif np.issubdtype(values.dtype, np.integer):
        scaled = values.astype(np.float64) / -float(np.iinfo(values.dtype).min)
    else:
        scaled = values.astype(np.float64)
    if not scaled.size or not np.isfinite(scaled).all():
        return None
    return np.clip(scaled, -1.0, 1.0)


def _greatest(levels: Iterable[Level]) -> list[Level]:
    """Return the greatest level of each 125 ms."""
    slots = groupby(levels, key=lambda one: one.at_ms // _SLOT_MS)
    return [max(slot, key=lambda one: one.level_db) for _, slot in slots]
