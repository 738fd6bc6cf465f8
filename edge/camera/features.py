"""What a view can be known again by: corners and their surroundings as 256 bits each (ORB), never pixels.

Positions are shares of the picture's width, down as well as across, so that another resolution changes nothing.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import cv2
import numpy as np
from numpy.typing import NDArray

WORK_PX: Final = 640
"""Every picture is looked at in this width: half a per cent of it is still three pixels."""
_COLUMNS: Final = 8
_ROWS: Final = 6
_PER_CELL: Final = 10
_BURNT_IN_SHARE: Final = 0.1
"""Cameras write clock and name at the top and bottom of the picture. These never move, so they are no evidence."""
_TOLERANCE_PX: Final = 2.5
_MAX_BITS: Final = 70
_MAX_BITS_IN_PLACE: Final = 84
_PLACE_SHARE: Final = 0.005
_BLOCK_PX: Final = 16
"""Masks are painted in blocks of so many pixels."""
_FAR_BITS: Final = 999
_FIRST_THRESHOLD: Final = 4.0
_NOISE_TIMES: Final = 5.0
_LEAST_FOR_SHIFT: Final = 4

Bits = NDArray[np.uint8]
Points = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Shift:
    """How the camera has turned between two views.

    Attributes:
        across: the picture's middle moved right, as a share of the width.
        down: the picture's middle moved down, as a share of the width.
        turned_deg: it turned.
        zoomed: it grew, 0.03 = by 3 %.
        agreeing: features that moved so.
        cells: of the picture's 8 × 6 cells, those with a feature that moved so.
        share: of all features that could, those that moved so.
        matrix: shape (2, 3), from the first view's positions to the second's.
    """

    across: float
    down: float
    turned_deg: float
    zoomed: float
    agreeing: int
    cells: int
    share: float
    matrix: NDArray[np.float64]

    @property
    def moved(self) -> float:
        """How far the middle moved, as a share of the width."""
        return math.hypot(self.across, self.down)


@dataclass(frozen=True, slots=True)
class Features:
    """The features of one view.

    Attributes:
        points: shape (n, 2), right and down, in shares of the width.
        bits: shape (n, 32).
        aspect: height divided by width.
    """

    points: Points
    bits: Bits
    aspect: float

    def __len__(self) -> int:
        return len(self.points)

    @property
    def cells(self) -> int:
        """Return in how many of the picture's cells there are features."""
        return len(self.cell_numbers)

    @property
    def cell_numbers(self) -> frozenset[int]:
        """Return in which of the picture's cells there are features."""
        return frozenset(np.unique(_cell(self.points, self.aspect)).tolist())

    def shift(self, now: Self, within: float | None = None) -> Shift | None:
        """Return how `now` is moved against this view, None where too few features agree on one movement.

        Args:
            now: another view.
            within: features are looked for only so near to their old place, as a share of the width; None: anywhere.
        """
        here, there = self._pairs(now, within)
        if len(here) < _LEAST_FOR_SHIFT:
            return None
        old, new = self.points[here] * WORK_PX, now.points[there] * WORK_PX
        matrix: Any  # None where there is no solution, which the library's stubs do not know
        matrix, agree = cv2.estimateAffinePartial2D(
            old, new, method=cv2.RANSAC, ransacReprojThreshold=_TOLERANCE_PX, maxIters=800, confidence=0.995
        )
        if matrix is None or not agree.any():
            return None
        is_agreeing = agree.ravel().astype(bool)
        cells = len(np.unique(_cell(now.points[there[is_agreeing]], self.aspect)))
        share = float(is_agreeing.sum()) / max(1, min(len(self), len(now)))
        return _shift(np.asarray(matrix, np.float64), self.aspect, (int(is_agreeing.sum()), cells, share))

    def in_place(self, now: Self) -> Shift | None:
        """Return the shift by which features lie where they lay, None where none do; no turn or zoom is looked for.

        Far fewer features are enough than for `shift`: two of different places hardly ever lie so near to each other
        and look so much alike.
        """
        here, there = self._pairs(now, _PLACE_SHARE, _MAX_BITS_IN_PLACE)
        if not len(here):
            return None
        by = np.median(now.points[there] - self.points[here], 0).astype(np.float64)
        cells = len(np.unique(_cell(now.points[there], self.aspect)))
        share = len(here) / max(1, min(len(self), len(now)))
        matrix = np.array([[1.0, 0.0, by[0]], [0.0, 1.0, by[1]]])
        return Shift(float(by[0]), float(by[1]), 0.0, 0.0, len(here), cells, share, matrix)

    def lying(self, now: Self) -> Self:
        """Return those of the features of `now` that lie where one of ours lay, and look like it."""
        there = self._pairs(now, _PLACE_SHARE, _MAX_BITS_IN_PLACE)[1]
        return type(self)(now.points[there], now.bits[there], now.aspect)

    def recurring(self, others: Sequence[Self], within: float) -> Self:
        """Return those of our features that were there in at least half of the other views."""
        times = np.zeros(len(self), np.intp)
        for other in others:
            times[self._pairs(other, within)[0]] += 1
        kept = times * 2 >= max(1, len(others))
        return type(self)(self.points[kept], self.bits[kept], self.aspect)

    def moved_back(self, shift: Shift) -> Self:
        """Return the features where they would be had the camera not turned by `shift`."""
        back = cv2.invertAffineTransform(shift.matrix)
        points = self.points @ back[:, :2].T + back[:, 2]
        return type(self)(points.astype(np.float32), self.bits, self.aspect)

    def _pairs(
        self, now: Self, within: float | None, most_bits: int = _MAX_BITS
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the indices of features that are each other's nearest, in this view and in `now`."""
        if not len(self) or not len(now):
            return np.empty(0, np.intp), np.empty(0, np.intp)
        apart_bits = np.zeros((len(self), len(now)), np.uint16)
        for ours, theirs in zip(self.bits.view(np.uint64).T, now.bits.view(np.uint64).T, strict=True):
            apart_bits += np.bitwise_count(ours[:, None] ^ theirs[None])
        if within is not None:
            apart = self.points[:, None] - now.points[None]
            apart_bits[np.einsum("ijk,ijk->ij", apart, apart) > within * within] = _FAR_BITS
        nearest, back = apart_bits.argmin(1), apart_bits.argmin(0)
        here = np.arange(len(self))
        here = here[(back[nearest] == here) & (apart_bits[here, nearest] <= most_bits)]
        return here, nearest[here]


class Finder:
    """Finds the features of a camera's pictures.

    Args:
        exclude: shape (height, width), true where a mask lies; features there, or touching it, do not count.
    """

    def __init__(self, exclude: NDArray[np.bool_] | None) -> None:
        self._exclude = exclude
        self._orb = cv2.ORB.create(nfeatures=2000, scaleFactor=1.3, nlevels=4, edgeThreshold=19)

    def find(self, grey: NDArray[np.uint8]) -> Features:
        """Return the features of a picture, spread over all of it: no more than ten from each cell.

        Args:
            grey: shape (height, width), masks painted.
        """
        height, width = grey.shape
        size = (WORK_PX, max(1, round(WORK_PX * height / width)))
        way = cv2.INTER_AREA if width > WORK_PX else cv2.INTER_LINEAR
        small = cv2.GaussianBlur(cv2.resize(grey, size, interpolation=way), (3, 3), 0.8).astype(np.uint8)
        room = self._room_px(grey, size)
        self._orb.setFastThreshold(int(max(_FIRST_THRESHOLD, _NOISE_TIMES * _noise(small, room))))
        corners = self._orb.detect(small, (room > 2).astype(np.uint8))
        spread = _spread(list(corners), room, height / width)
        kept, bits = self._orb.compute(small, spread) if spread else ([], None)
        if bits is None or not len(kept):
            return Features(np.empty((0, 2), np.float32), np.empty((0, 32), np.uint8), height / width)
        points = np.array([corner.pt for corner in kept], np.float32) / np.float32(WORK_PX)
        return Features(points.astype(np.float32), np.asarray(bits, np.uint8), height / width)

    def _room_px(self, grey: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float32]:
        """Return for each pixel how far it is to the next mask, or to where the camera writes; in working pixels."""
        is_free = np.ones(size[::-1], np.uint8)
        if self._exclude is not None:
            # A working pixel that a mask touches at all is the mask's.
            hidden = cv2.resize(self._painted(grey, self._exclude), size, interpolation=cv2.INTER_AREA)
            is_free[hidden > 0] = 0
        strip = round(size[1] * _BURNT_IN_SHARE)
        is_free[:strip] = is_free[size[1] - strip :] = 0
        return cv2.distanceTransform(is_free, cv2.DIST_L2, 3).astype(np.float32)

    def _painted(self, grey: NDArray[np.uint8], exclude: NDArray[np.bool_]) -> NDArray[np.uint8]:
        """Return 255 where the picture is painted over, which may be more than was asked for.

        Who paints masks widens them to whole blocks. The corners of these stay where they are when the camera turns:
        as features they would swear that nothing has moved.
        """
        height, width = grey.shape
        asked = cv2.resize(exclude.astype(np.uint8) * 255, (width, height), interpolation=cv2.INTER_NEAREST)
        under = grey[::8, ::8][asked[::8, ::8] > 0]
        if not under.size:
            return asked.astype(np.uint8)
        paint = int(np.bincount(under).argmax())
        alike = cv2.compare(grey, np.full_like(grey, paint), cv2.CMP_EQ)
        blocks = cv2.morphologyEx(alike, cv2.MORPH_OPEN, np.ones((_BLOCK_PX, _BLOCK_PX), np.uint8))
        return cv2.bitwise_or(asked, blocks).astype(np.uint8)


def _spread(corners: list[cv2.KeyPoint], room: NDArray[np.float32], aspect: float) -> list[cv2.KeyPoint]:
    """Return the strongest corners of each cell whose surroundings touch no mask."""
    if not corners:
        return []
    at = np.array([corner.pt for corner in corners], np.float32)
    reach = np.array([corner.size for corner in corners], np.float32) / 2
    free = room[at[:, 1].astype(int), at[:, 0].astype(int)] > reach
    response = np.array([corner.response for corner in corners], np.float32)
    cells = _cell((at / WORK_PX).astype(np.float32), aspect)
    order = np.lexsort((-response, cells))
    order = order[free[order]]
    ranks = np.arange(len(order)) - np.searchsorted(cells[order], cells[order])
    return [corners[index] for index in order[ranks < _PER_CELL]]


def _cell(points: Points, aspect: float) -> NDArray[np.intp]:
    across = np.clip(points[:, 0] * _COLUMNS, 0, _COLUMNS - 1).astype(np.intp)
    down = np.clip(points[:, 1] / aspect * _ROWS, 0, _ROWS - 1).astype(np.intp)
    cells: NDArray[np.intp] = across + _COLUMNS * down
    return cells


def _noise(small: NDArray[np.uint8], room: NDArray[np.float32]) -> float:
    """Return the standard deviation of the sensor's noise: most of a picture is plain, so the median shows it.

    Source: J. Immerkær, Fast Noise Variance Estimation, 1996: a kernel that answers to neither slopes nor edges.
    """
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    answer = np.abs(cv2.filter2D(small, cv2.CV_32F, kernel))[::2, ::2][room[::2, ::2] > 2]
    return float(np.median(answer)) / 0.6745 / 6 if len(answer) else 0.0


def _shift(matrix: NDArray[np.float64], aspect: float, counts: tuple[int, int, float]) -> Shift:
    shares = matrix.copy()
    shares[:, 2] /= WORK_PX
    middle = np.array([0.5, aspect / 2])
    across, down = shares[:, :2] @ middle + shares[:, 2] - middle
    turned = math.degrees(math.atan2(matrix[1, 0], matrix[0, 0]))
    zoomed = math.hypot(matrix[0, 0], matrix[1, 0]) - 1
    return Shift(float(across), float(down), turned, zoomed, *counts, shares)
