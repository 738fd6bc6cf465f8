"""Paints a privacy mask black into decoded pictures, before any encoder sees them.

An area is widened to whole macroblocks, and by some pixels before that: so neither a shared chroma sample, nor the
filter of a scaler, nor the deblocking filter at a block's edge mixes what is inside with what is kept.
"""

from typing import Final

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from privacy.masks import Mask, Polygon

BLACK: Final = (16, 128, 128)
"""Y, U and V of black in limited range."""
BLOCK_PX: Final = 16
MARGIN_PX: Final = 5
"""The deblocking filter changes 3 pixels on each side of an edge, a bicubic scaler mixes 2; 1 more for rounding."""
_SUBPIXEL_BITS: Final = 4


class Painter:
    """A mask laid out for one size of picture.

    Attributes:
        mask: what is painted.
        width: pixels, even.
        height: pixels, even.
        rectangles: what is painted: top, bottom, left and right in pixels of luma.
    """

    def __init__(self, mask: Mask, width: int, height: int) -> None:
        """Lay the mask out."""
        self.mask, self.width, self.height = mask, width, height
        self.rectangles = tuple(
            (top * BLOCK_PX, min(bottom * BLOCK_PX, height), left * BLOCK_PX, min(right * BLOCK_PX, width))
            for top, bottom, left, right in _rectangles(_touched(mask.polygons, width, height))
        )

    def paint(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the picture with all areas black. What it was decoded into stays as it was.

        Args:
            frame: yuv420p in limited range, of our size.

        Raises:
            ValueError: of another format or size.
        """
        if (frame.format.name, frame.width, frame.height) != ("yuv420p", self.width, self.height):
            raise ValueError("a picture of another kind than the mask was laid out for")
        frame.make_writable()  # later pictures are predicted from the decoder's own
        for plane, value, scale in zip(frame.planes, BLACK, (1, 2, 2), strict=True):
            pixels = pixels_of(plane)
            for top, bottom, left, right in self.rectangles:
                pixels[top // scale : bottom // scale, left // scale : right // scale] = value
        return frame

    def painted(self) -> NDArray[np.bool_]:
        """Return which pixels are black, shape (height, width)."""
        black = np.zeros((self.height, self.width), np.bool_)
        for top, bottom, left, right in self.rectangles:
            black[top:bottom, left:right] = True
        return black

    def painted_share(self) -> float:
        """Return what share of the picture is black."""
        painted = sum((bottom - top) * (right - left) for top, bottom, left, right in self.rectangles)
        return painted / (self.width * self.height)


def pixels_of(plane: av.video.plane.VideoPlane) -> NDArray[np.uint8]:
    """Return a plane as shape (height, width), the same memory; valid while its picture is held."""
    lines = np.asarray(memoryview(plane)).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width]


def _touched(polygons: tuple[Polygon, ...], width: int, height: int) -> NDArray[np.bool_]:
    """Return which macroblocks an area touches, shape (rows of blocks, columns of blocks)."""
    rows, columns = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
    canvas = np.zeros((rows * BLOCK_PX, columns * BLOCK_PX), np.uint8)
    scale = np.array([width, height]) * (1 << _SUBPIXEL_BITS)
    for polygon in polygons:
        # A pixel's middle has whole coordinates in OpenCV, its corner in ours.
        points = np.round(np.array(polygon) * scale - (1 << (_SUBPIXEL_BITS - 1))).astype(np.int32)
        cv2.fillPoly(canvas, [points], 1, shift=_SUBPIXEL_BITS)
        cv2.polylines(canvas, [points], isClosed=True, color=1, thickness=1, shift=_SUBPIXEL_BITS)
    wide = cv2.dilate(canvas, np.ones((2 * MARGIN_PX + 1, 2 * MARGIN_PX + 1), np.uint8))
    touched: NDArray[np.bool_] = wide.reshape(rows, BLOCK_PX, columns, BLOCK_PX).max(axis=(1, 3)) > 0
    return touched


def _rectangles(blocks: NDArray[np.bool_]) -> list[tuple[int, int, int, int]]:
    """Return top, bottom, left, right of rectangles that cover the true blocks and nothing else."""
    done: list[tuple[int, int, int, int]] = []
    growing: dict[tuple[int, int], int] = {}  # from (left, right) to the top
    for row in range(len(blocks) + 1):
        runs = set(_runs(blocks[row])) if row < len(blocks) else set()
        ended = [run for run in growing if run not in runs]
        done += [(growing.pop(run), row, *run) for run in ended]
        for run in runs:
            growing.setdefault(run, row)
    return done


def _runs(line: NDArray[np.bool_]) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], line.astype(np.int8), [0]))))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
