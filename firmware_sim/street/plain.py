"""A plain picture of known colours, to prove that a mask hides what it must: one colour inside, another outside."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from firmware_sim.street.brush import Colour, Picture

Outline = tuple[tuple[float, float], ...]

INSIDE: Final[Colour] = (255, 0, 255)
OUTSIDE: Final[Colour] = (0, 160, 0)
BLOCK_INSIDE: Final[Colour] = (255, 255, 0)
BLOCK_OUTSIDE: Final[Colour] = (0, 0, 255)
_BLOCKS: Final = 12


@dataclass(frozen=True, slots=True)
class KnownColours:
    """A flat scene: `INSIDE` within the polygons, `OUTSIDE` elsewhere, and blocks that move through both.

    Attributes:
        width: pixels.
        height: pixels.
        polygons: normalised areas, as a mask has them.
        seed: where the blocks start and how they move.
    """

    width: int
    height: int
    polygons: tuple[Outline, ...]
    seed: int = 7

    def frame(self, at_ms: int) -> Picture:
        """Return the picture at `at_ms`: shape (height, width, 3), red, green, blue; no noise, no soft edge."""
        is_inside, is_block = self.is_inside(), self._is_block(at_ms)
        picture = np.empty((self.height, self.width, 3), np.uint8)
        picture[~is_inside & ~is_block] = OUTSIDE
        picture[is_inside & ~is_block] = INSIDE
        picture[~is_inside & is_block] = BLOCK_OUTSIDE
        picture[is_inside & is_block] = BLOCK_INSIDE
        return picture

    def is_inside(self) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        """Return which pixels have their middle within a polygon: shape (height, width)."""
        filled = np.zeros((self.height, self.width), np.uint8)
        for polygon in self.polygons:
            # Sixteenths of a pixel, whose middle is a whole number for OpenCV.
            at = (np.array(polygon) * (self.width, self.height) - 0.5) * 16
            cv2.fillPoly(filled, [np.round(at).astype(np.int32)], 1, cv2.LINE_8, 4)
        return filled.astype(bool)

    def _is_block(self, at_ms: int) -> np.ndarray[tuple[int, int], np.dtype[np.bool_]]:
        rng = np.random.default_rng(self.seed)
        found = np.zeros((self.height, self.width), bool)
        size = max(2, self.height // 9)
        for _ in range(_BLOCKS):
            start, speed = rng.random(2), rng.uniform(-0.12, 0.12, 2)
            x, y = ((start + speed * at_ms / 1000) % 1) * (self.width, self.height)
            found[int(y) : int(y) + size, int(x) : int(x) + size] = True
        return found
