"""A CR2032 cell under a beacon's load: charge drawn, voltage left.

Average current I = I_sleep + Q/T: an nRF52832 with its DC/DC converter at 0 dBm draws about 9 uC an advertising event
on three channels and 2 uA asleep (engineering values that agree with published tables: 10 uA at 1 s, 6 uA at 2 s;
Nordic's Online Power Profiler is the reference). Usable charge is 80 % of 225 mAh; self-discharge 1 % a year.
"""

from typing import Final

import numpy as np

from firmware_sim.geometry import Floats

EVENT_UC: Final = 9.0
SLEEP_UA: Final = 2.0
CAPACITY_UC: Final = 225e-3 * 3600 * 1e6 * 0.8
_SELF_DISCHARGE_PER_YEAR: Final = 0.01
_DEPTHS = (0.0, 0.1, 0.5, 0.8, 0.9, 0.97, 1.0)
_VOLTS = (3.05, 2.95, 2.88, 2.80, 2.65, 2.40, 2.0)


def used_uc(events: Floats | float, seconds: Floats | float) -> Floats | float:
    """Charge drawn by that many advertising events within that time, microcoulombs."""
    return events * EVENT_UC + seconds * SLEEP_UA


def voltage_v(depth: Floats | float) -> Floats:
    """Voltage at a depth of discharge of 0 to 1, at room temperature: a typical curve under pulsed load."""
    return np.asarray(np.interp(depth, _DEPTHS, _VOLTS), dtype=np.float64)


def life_days(interval_s: float) -> float:
    """Days a cell lasts at an advertising interval."""
    current_ua = SLEEP_UA + EVENT_UC / interval_s
    days = CAPACITY_UC / current_ua / 86_400
    return days / (1 + _SELF_DISCHARGE_PER_YEAR * days / 365)
