"""Who passes through the street, and when: everything by seed and time, so that a moment can be drawn alone."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Final

import numpy as np

from firmware_sim.street import figures
from firmware_sim.street.brush import Brush, Colour
from firmware_sim.street.figures import Looks, Pose

_BAGS: Final = ((178, 34, 40), (32, 32, 38), (120, 170, 214), (176, 122, 74), (232, 140, 160))
_COATS: Final = ((232, 120, 88), (84, 132, 196), (240, 240, 236), (120, 172, 96), (202, 96, 140))
_PAINTS: Final = ((238, 238, 240), (170, 196, 208), (204, 178, 146), (70, 84, 112))

Way = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Passer:
    """Somebody or something that comes by again and again.

    Attributes:
        way: corners of the way, metres to the right and along the road.
        speed_m_s: metres a second.
        first_s: when the way is first begun, seconds.
        again_s: how long until it is begun again.
        paint: paints it at a pose with a gain, and by night with its lamps.
    """

    way: Way
    speed_m_s: float
    first_s: float
    again_s: float
    paint: Callable[[Brush, Pose, Colour, float], None]

    def pose(self, at_s: float) -> Pose | None:
        """Return where it is; None while it is away."""
        walked = ((at_s - self.first_s) % self.again_s) * self.speed_m_s
        left = walked
        for (x0, z0), (x1, z1) in pairwise(self.way):
            long = math.hypot(x1 - x0, z1 - z0)
            if left <= long:
                share = left / long
                x, z = x0 + (x1 - x0) * share, z0 + (z1 - z0) * share
                return Pose(x, z, walked, (x1 - x0) / long, z1 > z0)
            left -= long
        return None


def passers(seed: int) -> list[Passer]:
    """Return all who pass through the street of `seed`."""
    rng = np.random.default_rng((seed, 2))
    return [*_children(rng), _old_woman(rng), _bicycle(rng), *_cars(rng)]


def _children(rng: np.random.Generator) -> list[Passer]:
    """Return two groups: one comes over the crossing, one goes along the pavement."""
    over: Way = ((4.2, 44.0), (4.2, 18.4), (-4.0, 17.6), (-4.2, 5.0))
    along: Way = ((3.9, 2.6), (3.9, 17.0), (-3.9, 17.8), (-4.1, 52.0))
    found = []
    for way, count, first_s, again_s in ((over, 3, 0.0, 62.0), (along, 2, 24.0, 71.0)):
        for number in range(count):
            bag, coat = _BAGS[rng.integers(len(_BAGS))], _COATS[rng.integers(len(_COATS))]
            looks = Looks(1.12 + 0.2 * rng.random(), coat, (58, 66, 96), bag, has_hat=True)
            aside = tuple((x + 0.35 * (number - 1), z + 0.25 * number) for x, z in way)
            began = first_s + number * 1.1 - 22.0 + rng.random()
            found.append(Passer(aside, 1.25, began, again_s, _on_foot(figures.walker, looks)))
    return found


def _old_woman(rng: np.random.Generator) -> Passer:
    looks = Looks(1.46, (150, 112, 132), (96, 92, 100), is_bent=True)
    way: Way = ((-4.1, 31.0), (-4.0, 17.3), (4.1, 16.8), (4.1, 3.0))
    return Passer(way, 0.62, -20.0 + 6 * rng.random(), 96.0, _on_foot(figures.walker, looks))


def _bicycle(rng: np.random.Generator) -> Passer:
    looks = Looks(1.62, (66, 108, 150), (60, 62, 70))
    return Passer(((-24, 21.6), (30, 21.6)), 3.6, 4.0 + 4 * rng.random(), 33.0, _on_foot(figures.cyclist, looks))


def _cars(rng: np.random.Generator) -> list[Passer]:
    """Return one car along the road, towards us, and one on the street that crosses it."""
    tones = rng.permutation(len(_PAINTS))
    first, second = _PAINTS[tones[0]], _PAINTS[tones[1]]
    return [
        Passer(((1.35, 66.0), (1.35, -4.0)), 6.5, 9.0, 41.0, partial(_car, paint=first, is_along=True)),
        Passer(((34, 24.6), (-30, 24.6)), 7.0, 21.0, 29.0, partial(_car, paint=second, is_along=False)),
    ]


def _on_foot(
    paint: Callable[[Brush, Looks, Pose, Colour], None], looks: Looks
) -> Callable[[Brush, Pose, Colour, float], None]:
    return lambda brush, pose, gain, _: paint(brush, looks, pose, gain)


def _car(brush: Brush, pose: Pose, gain: Colour, night: float, *, paint: Colour, is_along: bool) -> None:  # noqa: PLR0913 - what any passer is painted with, and two of its own
    """Paint a small car, as a box on wheels with a lower bonnet."""
    half = (0.74, 1.65) if is_along else (1.65, 0.74)
    ahead = -1.0
    lit = partial(_lit, gain=gain)
    x, z = pose.x_m, pose.z_m
    foot = [(x - half[0] - 0.1, 0.0, z - half[1] - 0.1), (x + half[0] + 0.1, 0.0, z - half[1] - 0.1)]
    foot += [(a, b, z + half[1] + 0.1) for a, b, _ in reversed(foot)]
    brush.area(foot, lit((52, 53, 58)))
    _box(brush, (x - half[0], x + half[0], z - half[1], z + half[1]), (0.22, 0.92), lit(paint))
    _wheels(brush, (x, z), half, lit((34, 34, 36)), is_along=is_along)
    back = 0.55 * -ahead
    cx, cz = (0.0, back) if is_along else (back, 0.0)
    long = 1.1
    roof = (0.68, long) if is_along else (long, 0.68)
    cabin = (x + cx - roof[0], x + cx + roof[0], z + cz - roof[1], z + cz + roof[1])
    _box(brush, cabin, (0.92, 1.55), lit(paint))
    _panes(brush, cabin, lit((62, 78, 92)))
    _lamps(brush, (x, z), half, night, is_along=is_along)


def _lit(colour: Colour, gain: Colour) -> Colour:
    return colour[0] * gain[0], colour[1] * gain[1], colour[2] * gain[2]


def _box(brush: Brush, ends: tuple[float, float, float, float], heights: tuple[float, float], colour: Colour) -> None:
    """Paint the faces of a box that the camera sees: the side, the near end, the top."""
    x0, x1, z0, z1 = ends
    low, top = heights
    eye = x0 if x0 > -4.3 else x1
    tone = 0.78
    side: Colour = (colour[0] * tone, colour[1] * tone, colour[2] * tone)
    end: Colour = (colour[0] * 0.9, colour[1] * 0.9, colour[2] * 0.9)
    brush.area([(eye, low, z0), (eye, low, z1), (eye, top, z1), (eye, top, z0)], side)
    brush.area([(x0, low, z0), (x1, low, z0), (x1, top, z0), (x0, top, z0)], end)
    brush.area([(x0, top, z0), (x1, top, z0), (x1, top, z1), (x0, top, z1)], colour)


def _panes(brush: Brush, ends: tuple[float, float, float, float], glass: Colour) -> None:
    x0, x1, z0, z1 = ends
    eye = x0 if x0 > -4.3 else x1
    low, top = 1.0, 1.46
    brush.area([(x0 + 0.08, low, z0), (x1 - 0.08, low, z0), (x1 - 0.12, top, z0), (x0 + 0.12, top, z0)], glass)
    middle = (z0 + z1) / 2
    for start, stop in ((z0 + 0.1, middle - 0.05), (middle + 0.05, z1 - 0.1)):
        brush.area([(eye, low, start), (eye, low, stop), (eye, top, stop), (eye, top, start)], glass)


def _wheels(
    brush: Brush, at: tuple[float, float], half: tuple[float, float], colour: Colour, *, is_along: bool
) -> None:
    x, z = at
    eye = x - half[0] if x - half[0] > -4.3 else x + half[0]
    for way in (-0.62, 0.62):
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        for radius, tone in ((0.29, 1.0), (0.15, 4.2)):
            y, out = 0.29 + radius * np.sin(turn), radius * np.cos(turn)
            if is_along:
                rim = [(eye, float(b), float(z + way * half[1] + a)) for a, b in zip(out, y, strict=True)]
            else:
                rim = [(float(x + way * half[0] + a), float(b), z - half[1]) for a, b in zip(out, y, strict=True)]
            brush.area(rim, (colour[0] * tone, colour[1] * tone, colour[2] * tone))


def _lamps(brush: Brush, at: tuple[float, float], half: tuple[float, float], night: float, *, is_along: bool) -> None:
    x, z = at
    white = 150 + 105 * night
    size = 0.12 + 0.12 * night
    places = (
        [(x - 0.5, 0.68, z - half[1]), (x + 0.5, 0.68, z - half[1])]
        if is_along
        else [(x - half[0], 0.68, z - half[1]), (x - half[0], 0.68, z + half[1])]
    )
    for place in places:
        brush.disc(place, size, (white, white, white * 0.94))
