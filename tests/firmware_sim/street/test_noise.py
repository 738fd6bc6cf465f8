"""The street's sound: quiet, and loud when it was said to be."""

import numpy as np

from firmware_sim.street.noise import Noise


def _dbfs(samples: np.ndarray[tuple[int], np.dtype[np.float32]]) -> float:
    return float(10 * np.log10(2 * np.mean(samples.astype(float) ** 2)))


def test_it_is_loud_at_the_stated_times_and_quiet_between() -> None:
    noise = Noise(loud_at_s=(1.0,), loud_s=0.5, loud_dbfs=-6, quiet_dbfs=-60, rate_hz=16_000)
    assert abs(_dbfs(noise.samples(0, 16_000)) + 60) < 1
    assert abs(_dbfs(noise.samples(16_000, 8_000)) + 6) < 0.2
    assert abs(_dbfs(noise.samples(24_000, 8_000)) + 60) < 1


def test_the_same_stretch_is_the_same_again() -> None:
    noise = Noise(loud_at_s=(0.2,))
    assert np.array_equal(noise.samples(4800, 480), noise.samples(4800, 480))
