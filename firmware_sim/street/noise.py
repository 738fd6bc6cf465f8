"""The sound of the street: hardly anything, and something loud at stated times, as a level gate is tried with."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_TONE_HZ: Final = 1000.0


@dataclass(frozen=True, slots=True)
class Noise:
    """One microphone's sound.

    Attributes:
        loud_at_s: when something loud begins, seconds from the start.
        loud_s: how long it lasts.
        loud_dbfs: its level, a full-scale sine being 0.
        quiet_dbfs: level of the rest, a hiss.
        rate_hz: samples a second.
        seed: of the hiss.
    """

    loud_at_s: tuple[float, ...] = ()
    loud_s: float = 1.0
    loud_dbfs: float = -6.0
    quiet_dbfs: float = -60.0
    rate_hz: int = 48_000
    seed: int = 7

    def samples(self, first: int, count: int) -> NDArray[np.float32]:
        """Return `count` samples from the `first` on: shape (count,), -1 to 1."""
        at_s = (first + np.arange(count)) / self.rate_hz
        hiss = np.random.default_rng((self.seed, first)).normal(0, 10 ** (self.quiet_dbfs / 20) / 2**0.5, count)
        is_loud = np.zeros(count, bool)
        for begin_s in self.loud_at_s:
            is_loud |= (at_s >= begin_s) & (at_s < begin_s + self.loud_s)
        tone = 10 ** (self.loud_dbfs / 20) * np.sin(2 * np.pi * _TONE_HZ * at_s)
        return np.clip(hiss + np.where(is_loud, tone, 0.0), -1, 1).astype(np.float32)
