"""The light of the day: how bright, which colour, where the sun stands, what the sky looks like."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_JST_H: Final = 9
_NOON_SUN_DEG: Final = 52.0
_DAY: Final = np.array([1.0, 1.0, 1.0])
_DUSK: Final = np.array([0.92, 0.66, 0.50])
_NIGHT: Final = np.array([0.17, 0.21, 0.31])
_SKY_TOP: Final = np.array([[92, 152, 214], [88, 98, 150], [12, 17, 38]], float)
_SKY_LOW: Final = np.array([[206, 226, 240], [246, 176, 118], [38, 44, 70]], float)


@dataclass(frozen=True, slots=True)
class Light:
    """The light at one moment.

    Attributes:
        gain: shape (3,), what is left of red, green and blue.
        sun: 0 to 1: how hard the shadows are.
        night: 0 to 1: how much lamps and windows show.
        shadow_m: metres to the right and along the road that the top of a thing one metre high throws its shadow.
        sky_top: colour overhead.
        sky_low: colour at the horizon.
    """

    gain: NDArray[np.float64]
    sun: float
    night: float
    shadow_m: tuple[float, float]
    sky_top: NDArray[np.float64]
    sky_low: NDArray[np.float64]


def at(at_ms: int, darkness: float = 0.0) -> Light:
    """Return the light at `at_ms`, Unix milliseconds, in Japan; the sun rises at 6 and sets at 18.

    Args:
        at_ms: Unix milliseconds.
        darkness: 0 to 1, taken off what the hour gives; 1 is deepest night at any hour.
    """
    hour = (at_ms / 3_600_000 + _JST_H) % 24
    sun_deg = _NOON_SUN_DEG * math.sin(math.pi * (hour - 6) / 12)
    day = _smooth(-7, 10, sun_deg) * (1 - darkness)
    low = _smooth(-7, 1, sun_deg) * (1 - _smooth(4, 22, sun_deg)) * (1 - darkness)
    gain = _NIGHT + (_DAY - _NIGHT) * day
    gain = gain + (_DUSK * (0.25 + 0.75 * day) - gain) * low * 0.75
    long = 1 / math.tan(math.radians(max(sun_deg, 24)))
    azimuth = math.pi * (hour - 12) / 12
    shares = np.array([day * (1 - low), low, (1 - day) * (1 - low)])
    shares = shares / shares.sum()
    return Light(
        gain=gain,
        sun=_smooth(3, 12, sun_deg) * (1 - darkness),
        night=1 - day,
        shadow_m=(math.sin(azimuth) * long, math.cos(azimuth) * long * 0.6),
        sky_top=shares @ _SKY_TOP,
        sky_low=shares @ _SKY_LOW,
    )


def _smooth(low: float, high: float, value: float) -> float:
    share = min(max((value - low) / (high - low), 0.0), 1.0)
    return share * share * (3 - 2 * share)
