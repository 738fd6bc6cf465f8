"""The people of the street as figures: children with yellow hats and school bags, an old woman, a cyclist."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from firmware_sim.street.brush import Brush, Colour
from firmware_sim.street.lens import Points2

_SKIN: Final = (232, 190, 160)
_HAIR: Final = (44, 36, 34)
_HAT: Final = (250, 206, 44)


@dataclass(frozen=True, slots=True)
class Looks:
    """How a person looks.

    Attributes:
        height_m: of the whole figure.
        coat: colour of the upper clothes.
        legs: colour of the lower clothes.
        bag: colour of the school bag; None: carries none.
        has_hat: the yellow hat of those who go to school.
        is_bent: old, with a stick.
    """

    height_m: float
    coat: Colour
    legs: Colour
    bag: Colour | None = None
    has_hat: bool = False
    is_bent: bool = False


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a figure is and what it does.

    Attributes:
        x_m: to the right of the road's middle.
        z_m: along the road.
        walked_m: since it set out; the legs swing by it.
        across: -1 to 1: how far it goes to the right in the picture, as a share of its speed.
        is_leaving: whether it shows its back.
    """

    x_m: float
    z_m: float
    walked_m: float
    across: float
    is_leaving: bool


class Figure:
    """Paints in metres around a person's feet, upright to the camera.

    Args:
        brush: paints.
        pose: where the person stands.
        gain: what the light leaves of each colour, three shares.
    """

    def __init__(self, brush: Brush, pose: Pose, gain: Colour) -> None:
        self._brush = brush
        self._gain = gain
        self._x_px, self._y_px, self.per_m = brush.lens.point(pose.x_m, 0.0, pose.z_m)
        # One who walks along the road is drawn facing us or away; one who crosses, from the side.
        self.is_side = abs(pose.across) > 0.45
        self._way = -1.0 if pose.across < 0 and self.is_side else 1.0
        roll = math.radians(brush.lens.view.roll_deg)
        self._turn = np.array([[math.cos(roll), math.sin(roll)], [math.sin(roll), -math.cos(roll)]])

    def fill(self, points: list[tuple[float, float]], colour: Colour) -> None:
        """Fill an outline: metres ahead (or to the right) and up."""
        self._brush.shape(self._at(points), self._lit(colour))

    def stroke(self, points: list[tuple[float, float]], colour: Colour, width_m: float) -> None:
        """Draw a limb."""
        self._brush.stroke(self._at(points), self._lit(colour), width_m * self.per_m)

    def ball(self, ahead_m: float, up_m: float, radii_m: tuple[float, float], colour: Colour) -> None:
        """Fill an ellipse."""
        turn = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        rim = [(ahead_m + radii_m[0] * math.cos(a), up_m + radii_m[1] * math.sin(a)) for a in turn]
        self.fill(rim, colour)

    def _at(self, points: list[tuple[float, float]]) -> Points2:
        flat = np.array(points, np.float64) * (self._way * self.per_m, self.per_m)
        placed: Points2 = flat @ self._turn.T + (self._x_px, self._y_px)
        return placed

    def _lit(self, colour: Colour) -> Colour:
        red, green, blue = (value * share for value, share in zip(colour, self._gain, strict=True))
        return red, green, blue


def walker(brush: Brush, looks: Looks, pose: Pose, gain: Colour) -> None:
    """Paint somebody on foot."""
    figure = Figure(brush, pose, gain)
    high = looks.height_m
    hip, neck = high * 0.46, high * 0.78
    lean = 0.22 * high if looks.is_bent else 0.02
    if not figure.is_side:
        lean = 0.0
    swing = math.sin(pose.walked_m / (high * 0.42) * math.pi)
    figure.ball(0, 0.0, (0.32 * high / 1.4, 0.07), (58, 58, 62))
    for way in (-1, 1):
        _leg(figure, looks, hip, way * swing)
    if looks.bag and not (figure.is_side or pose.is_leaving):
        _bag(figure, looks.bag, high, (0.0, hip, neck))
    _trunk(figure, looks, (hip, neck), lean)
    for way in (-1, 1):
        _arm(figure, looks, (lean, neck), way * swing)
    if looks.bag and (figure.is_side or pose.is_leaving):
        _bag(figure, looks.bag, high, (-0.2 * high if figure.is_side else 0.0, hip, neck))
    _head(figure, looks, (lean * 1.5, neck + high * 0.1), is_back=pose.is_leaving and not figure.is_side)
    if looks.is_bent:
        figure.stroke([(lean + 0.28, hip * 1.05), (lean + 0.36 + 0.1 * swing, 0)], (120, 84, 52), 0.035)


def cyclist(brush: Brush, looks: Looks, pose: Pose, gain: Colour) -> None:
    """Paint somebody on a bicycle, from the side."""
    figure = Figure(brush, pose, gain)
    figure.ball(0, 0.0, (0.85, 0.08), (58, 58, 62))
    for hub in (-0.52, 0.52):
        rim = [(hub + 0.33 * math.cos(a), 0.34 + 0.33 * math.sin(a)) for a in np.linspace(0, 2 * np.pi, 21)]
        figure.stroke(rim, (38, 38, 40), 0.045)
        for spoke in range(3):
            turn = pose.walked_m / 0.33 + spoke * np.pi / 3
            by = (0.3 * math.cos(turn), 0.3 * math.sin(turn))
            figure.stroke([(hub - by[0], 0.34 + by[1]), (hub + by[0], 0.34 - by[1])], (150, 150, 150), 0.012)
    frame = [(-0.52, 0.34), (-0.05, 0.36), (0.4, 0.82), (-0.16, 0.82), (-0.05, 0.36), (0.4, 0.82), (0.52, 0.34)]
    figure.stroke(frame, (176, 44, 52), 0.05)
    figure.stroke([(0.4, 0.82), (0.38, 1.02), (0.28, 1.04)], (60, 60, 60), 0.035)
    figure.fill([(0.5, 0.84), (0.78, 0.84), (0.74, 1.06), (0.5, 1.06)], (128, 104, 76))
    turn = pose.walked_m / 0.6
    for way in (0.0, math.pi):
        pedal = (-0.05 + 0.16 * math.cos(turn + way), 0.34 - 0.16 * math.sin(turn + way))
        knee = (0.16 + 0.08 * math.cos(turn + way), 0.74 - 0.06 * math.sin(turn + way))
        figure.stroke([(-0.16, 0.94), knee, pedal], looks.legs, 0.13)
    figure.stroke([(-0.16, 0.96), (0.05, 1.42)], looks.coat, 0.3)
    figure.stroke([(0.05, 1.38), (0.16, 1.12), (0.34, 1.05)], looks.coat, 0.09)
    _head(figure, looks, (0.12, 1.64), is_back=False)
    figure.fill([(-0.02, 1.66), (0.02, 1.79), (0.14, 1.83), (0.25, 1.78), (0.29, 1.68)], (236, 238, 240))


def _leg(figure: Figure, looks: Looks, hip_m: float, swing: float) -> None:
    step = swing * hip_m * (0.42 if figure.is_side else 0.0)
    apart = 0.0 if figure.is_side else math.copysign(0.075 * looks.height_m, swing or 1.0)
    lift = 0.05 * hip_m + (0.12 * hip_m * max(swing, 0.0) if not figure.is_side else 0.0)
    bare = _SKIN if looks.has_hat else looks.legs
    knee = (apart + step * 0.55, hip_m * 0.52 + lift * 0.5)
    foot = (apart + step, lift)
    figure.stroke([(apart * 0.8, hip_m), knee], looks.legs, 0.105 * looks.height_m)
    figure.stroke([knee, foot], bare, 0.075 * looks.height_m)
    toe = 0.07 * looks.height_m if figure.is_side else 0.0
    figure.stroke([foot, (foot[0] + toe, foot[1])], (240, 240, 238), 0.075 * looks.height_m)


def _trunk(figure: Figure, looks: Looks, ends_m: tuple[float, float], lean_m: float) -> None:
    hip, neck = ends_m
    wide = looks.height_m * (0.115 if figure.is_side else 0.155)
    low = hip - 0.04 * looks.height_m
    figure.fill(
        [(-wide, low), (wide * 1.05, low), (lean_m + wide * 0.85, neck), (lean_m - wide * 0.85, neck)], looks.coat
    )
    figure.ball(lean_m, neck - 0.02, (wide * 0.88, 0.07 * looks.height_m), looks.coat)


def _arm(figure: Figure, looks: Looks, shoulder_m: tuple[float, float], swing: float) -> None:
    lean, neck = shoulder_m
    high = looks.height_m
    if figure.is_side:
        hand = (lean - swing * 0.16 * high, neck - 0.3 * high)
    else:
        side = math.copysign(1.0, swing or 1.0)
        lean = side * 0.16 * high
        hand = (side * 0.2 * high, neck - (0.3 - 0.03 * abs(swing)) * high)
    figure.stroke([(lean, neck - 0.03), hand], tuple(0.88 * value for value in looks.coat), 0.075 * high)  # type: ignore[arg-type]
    figure.ball(hand[0], hand[1], (0.035 * high, 0.035 * high), _SKIN)


def _bag(figure: Figure, bag: Colour, high: float, place_m: tuple[float, float, float]) -> None:
    ahead, hip, neck = place_m
    wide, low, top = (0.1 if figure.is_side else 0.15) * high, hip + 0.01 * high, neck + 0.01 * high
    dark: Colour = (bag[0] * 0.75, bag[1] * 0.75, bag[2] * 0.75)
    figure.fill([(ahead - wide, low), (ahead + wide, low), (ahead + wide, top), (ahead - wide, top)], bag)
    figure.ball(ahead, top, (wide, 0.04 * high), bag)
    line = low + (top - low) * 0.28
    figure.stroke([(ahead - wide, line), (ahead + wide, line)], dark, 0.02 * high)
    figure.stroke([(ahead, line - 0.03 * high), (ahead, line + 0.02 * high)], (220, 200, 120), 0.03 * high)


def _head(figure: Figure, looks: Looks, place_m: tuple[float, float], *, is_back: bool) -> None:
    ahead, up = place_m
    # A child's head is large for its body.
    size = 0.075 * looks.height_m + 0.045
    hair = (206, 204, 202) if looks.is_bent else _HAIR
    figure.ball(ahead, up, (size * 0.92, size), hair)
    if not is_back:
        by = size * 0.3 if figure.is_side else 0.0
        figure.ball(ahead + by, up - size * 0.14, (size * (0.62 if figure.is_side else 0.74), size * 0.78), _SKIN)
    if looks.has_hat:
        dome = [
            (ahead + size * 1.05 * math.cos(a), up + size * 0.25 + size * 0.9 * math.sin(a))
            for a in np.linspace(0, np.pi, 12)
        ]
        figure.fill(dome, _HAT)
        figure.stroke(
            [(ahead - size * 1.35, up + size * 0.26), (ahead + size * 1.35, up + size * 0.26)], _HAT, size * 0.24
        )
