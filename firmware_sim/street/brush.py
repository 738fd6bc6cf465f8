"""The brush: paints areas, lines and discs of the street onto a picture, and how far away each pixel is."""

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from firmware_sim.street.lens import Lens, Points2

Picture = NDArray[np.uint8]
"""Shape (height, width, 3), red, green, blue."""
Colour = tuple[float, float, float]
"""Red, green, blue, 0 to 255."""

SKY_M: Final = 1e9
GROUND_M: Final = 1e6
_SHIFT: Final = 4
"""OpenCV takes whole numbers: sixteenths of a pixel, so that a camera may turn by less than one."""
_FAR_PX: Final = 1e5


class Brush:
    """Paints onto one picture.

    Args:
        picture: is painted on.
        lens: places the street in it.
        depth: metres, shape (height, width), painted along when given.
        scale: pixels of `picture` for each pixel of the lens.
    """

    def __init__(
        self, picture: Picture, lens: Lens, *, depth: NDArray[np.float32] | None = None, scale: float = 1.0
    ) -> None:
        self.picture = picture
        self.lens = lens
        self.depth = depth
        self.scale = scale
        self.distance_m = GROUND_M

    def area(self, points: list[tuple[float, float, float]], colour: Colour) -> None:
        """Fill a flat area of the street, corners in metres."""
        self.shape(self.lens.polygon(np.array(points, np.float64)), colour)

    def shape(self, outline: Points2, colour: Colour) -> None:
        """Fill an outline given in pixels of the lens."""
        if len(outline) < 3:
            return
        at = [self._fixed(outline)]
        cv2.fillPoly(self.picture, at, colour, cv2.LINE_AA, _SHIFT)
        if self.depth is not None:
            cv2.fillPoly(self.depth, at, self.distance_m, cv2.LINE_8, _SHIFT)

    def line(self, points: list[tuple[float, float, float]], colour: Colour, width_m: float) -> None:
        """Draw a line through points in metres; as thick as `width_m` is at its middle, a pixel at least."""
        seen = [self.lens.point(*point) for point in points]
        seen = [one for one in seen if one[2]]
        if len(seen) > 1:
            self.stroke(np.array([one[:2] for one in seen]), colour, width_m * seen[len(seen) // 2][2])

    def stroke(self, points: Points2, colour: Colour, width_px: float) -> None:
        """Draw a line through points in pixels of the lens."""
        at, thick = [self._fixed(points)], max(1, round(width_px * self.scale))
        cv2.polylines(self.picture, at, False, colour, thick, cv2.LINE_AA, _SHIFT)
        if self.depth is not None:
            cv2.polylines(self.depth, at, False, self.distance_m, thick, cv2.LINE_8, _SHIFT)

    def disc(self, at: tuple[float, float, float], radius_m: float, colour: Colour) -> None:
        """Fill a disc around a point in metres."""
        x_px, y_px, per_m = self.lens.point(*at)
        if per_m:
            self.oval((x_px, y_px), (radius_m * per_m, radius_m * per_m), colour)

    def oval(self, middle: tuple[float, float], radii: tuple[float, float], colour: Colour) -> None:
        """Fill an upright ellipse given in pixels of the lens."""
        turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        self.shape(np.stack([middle[0] + radii[0] * np.cos(turn), middle[1] + radii[1] * np.sin(turn)], 1), colour)

    def _fixed(self, points: Points2) -> NDArray[np.int32]:
        # A pixel's middle is a whole number for OpenCV, its edge for us.
        return np.round((np.clip(points * self.scale, -_FAR_PX, _FAR_PX) - 0.5) * (1 << _SHIFT)).astype(np.int32)
