"""What the view looked like when its mask was drawn, by day and by night: features alone, in one file a mask.

Layout: 8 octets that name the format, the SHA-256 of the rest, a CBOR map: 1 mask version, 2 whether the camera was
found moved, 3 height / width in millionths, 4 the views, each a list of positions (float32, little endian) and bits.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np

from edge.camera import disk
from edge.camera.features import Features
from edge.errors import ReferenceViewError
from wire import fields as _f
from wire.errors import MessageError

MAX_VIEWS: Final = 8
_NAME: Final = b"MMDRIFT1"
_MILLION: Final = 1_000_000
_MAX_OCTETS: Final = 1_000_000


@dataclass(slots=True)
class Reference:
    """The accepted views of one mask.

    Attributes:
        mask_version: whose view this is.
        views: the original first, which stays; then others that were verified, each with its features where they would
            be in the original: so that small errors of one are not added to those of the next.
        is_moved: the camera was found moved: this mask is no longer to be used.
    """

    mask_version: int
    views: list[Features]
    is_moved: bool = False

    def add(self, view: Features, useful: list[int]) -> None:
        """Keep one more view; when there are too many, give up the least useful but never the original.

        Args:
            view: its features where they would be in the original.
            useful: for each view, when it last helped; kept in step.
        """
        if len(self.views) >= MAX_VIEWS:
            oldest = min(range(1, len(self.views)), key=lambda number: useful[number])
            del self.views[oldest], useful[oldest]
        self.views.append(view)
        useful.append(max(useful) + 1)

    def save(self, path: Path) -> None:
        """Write the file in one step, on disk when this returns.

        Raises:
            OSError: the disk is full, read-only or gone; the file is as it was.
        """
        aspect = round(self.views[0].aspect * _MILLION) if self.views else 0
        views = [[view.points.astype("<f4").tobytes(), view.bits.tobytes()] for view in self.views]
        body = _f.dumps({1: self.mask_version, 2: self.is_moved, 3: aspect, 4: views})
        disk.replace(path, _NAME + hashlib.sha256(body).digest() + body)

    @classmethod
    def load(cls, path: Path) -> Self | None:
        """Return what the file holds, None where there is none.

        Raises:
            ReferenceViewError: it is damaged, or nothing of ours.
            OSError: the disk cannot be read.
        """
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        start = len(_NAME) + 32
        if data[: len(_NAME)] != _NAME or hashlib.sha256(data[start:]).digest() != data[len(_NAME) : start]:
            raise ReferenceViewError("the reference view's file is damaged")
        try:
            return cls._read(_f.loads(data[start:], max_octets=_MAX_OCTETS))
        except MessageError as error:
            raise ReferenceViewError("the reference view's file is none of ours") from error

    @classmethod
    def _read(cls, table: dict[Any, Any]) -> Self:
        aspect, views = _f.uint(table, 3) / _MILLION, table.get(4)
        if not isinstance(views, list) or len(views) > MAX_VIEWS:
            raise MessageError("not a list of views")
        return cls(_f.uint(table, 1), [_view(view, aspect) for view in views], _f.flag(table, 2))


def _view(view: object, aspect: float) -> Features:
    if not isinstance(view, list) or len(view) != 2 or not all(isinstance(part, bytes) for part in view):
        raise MessageError("not a view")
    points, bits = view
    if len(points) % 8 or len(bits) != len(points) * 4 or aspect <= 0:
        raise MessageError("positions and bits of different numbers")
    placed = np.frombuffer(points, "<f4").reshape(-1, 2).astype(np.float32)
    if not np.isfinite(placed).all():
        raise MessageError("a position that is no number")
    return Features(placed, np.frombuffer(bits, np.uint8).reshape(-1, 32).copy(), aspect)
