"""The lens: where a point of the street, in metres, falls on the picture."""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Points3 = NDArray[np.float64]
"""Shape (n, 3): metres to the right of the road's middle, above the ground, along the road."""
Points2 = NDArray[np.float64]
"""Shape (n, 2): pixels from the left and from the top; may lie outside the picture."""

_NEAR_M: Final = 0.4
_FIELD_OF_VIEW_DEG: Final = 68.0
_EYE: Final = np.array([-4.3, 4.9, 0.0])
"""On a pole at the left pavement, as high as a street camera hangs."""
_YAW_DEG: Final = 13.0
_PITCH_DEG: Final = 11.0


@dataclass(frozen=True, slots=True)
class View:
    """How the camera hangs compared with the day it was put up.

    Attributes:
        pan_px: turned to the right: the picture's content moves so far to the left.
        tilt_px: turned down: the content moves so far up.
        zoom: 1.03 = everything is larger by 3 %.
        roll_deg: the content turns clockwise.
    """

    pan_px: float = 0.0
    tilt_px: float = 0.0
    zoom: float = 1.0
    roll_deg: float = 0.0


class Lens:
    """A pinhole camera over the street.

    Args:
        width: of the picture, pixels.
        height: of the picture, pixels.
        view: how the camera hangs.
    """

    def __init__(self, width: int, height: int, view: View) -> None:
        self.width = width
        self.height = height
        self.view = view
        self._focal_px = width / 2 / math.tan(math.radians(_FIELD_OF_VIEW_DEG / 2))
        self._turn = _pitch(math.radians(_PITCH_DEG)) @ _yaw(math.radians(_YAW_DEG))
        roll = math.radians(view.roll_deg)
        self._after = view.zoom * np.array([[math.cos(roll), math.sin(roll)], [-math.sin(roll), math.cos(roll)]])

    def polygon(self, points: Points3) -> Points2:
        """Return the outline of a flat area, cut where it comes too near to the lens; empty where nothing is left."""
        seen = _cut((points - _EYE) @ self._turn.T)
        return self._onto(seen) if len(seen) else np.empty((0, 2))

    def point(self, x_m: float, y_m: float, z_m: float) -> tuple[float, float, float]:
        """Return where a point falls, and how many pixels a metre is there; 0 where it is not before the lens."""
        seen = self._turn @ (np.array([x_m, y_m, z_m]) - _EYE)
        if seen[2] < _NEAR_M:
            return 0.0, 0.0, 0.0
        at = self._onto(seen[None, :])[0]
        return float(at[0]), float(at[1]), self._focal_px * self.view.zoom / float(seen[2])

    def distance_m(self, x_m: float, z_m: float) -> float:
        """Return how far a place on the ground is away, along the line of sight."""
        return float(self._turn[2] @ (np.array([x_m, 0.0, z_m]) - _EYE))

    @property
    def horizon_px(self) -> float:
        """Where the ground ends, pixels from the top in the picture's middle."""
        far = np.array([[0.0, math.sin(math.radians(_PITCH_DEG)), math.cos(math.radians(_PITCH_DEG))]])
        return float(self._onto(far)[0, 1])

    def _onto(self, seen: Points3) -> Points2:
        flat = seen[:, :2] / seen[:, 2:3] * (self._focal_px, -self._focal_px)
        middle = (self.width / 2, self.height / 2)
        turned: Points2 = (flat - (self.view.pan_px, self.view.tilt_px)) @ self._after + middle
        return turned


def _cut(seen: Points3) -> Points3:
    """Return a polygon without what is nearer than the lens can see (Sutherland and Hodgman, one plane)."""
    kept: list[NDArray[np.float64]] = []
    for one, other in zip(seen, np.roll(seen, -1, axis=0), strict=True):
        if one[2] >= _NEAR_M:
            kept.append(one)
        if (one[2] >= _NEAR_M) != (other[2] >= _NEAR_M):
            kept.append(one + (other - one) * ((_NEAR_M - one[2]) / (other[2] - one[2])))
    return np.array(kept).reshape(-1, 3)


def _yaw(angle: float) -> NDArray[np.float64]:
    return np.array([[math.cos(angle), 0, -math.sin(angle)], [0, 1, 0], [math.sin(angle), 0, math.cos(angle)]])


def _pitch(angle: float) -> NDArray[np.float64]:
    """Return the turn that lowers the line of sight: what lies ahead moves up in the picture."""
    return np.array([[1, 0, 0], [0, math.cos(angle), math.sin(angle)], [0, -math.sin(angle), math.cos(angle)]])
