"""The fixes of a ward as columns: put together as the database would, packed for sealing, unpacked again."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import cbor2
import numpy as np
from numpy.typing import NDArray

from server.history.errors import SealedHourError
from wire import cbor

HOUR_MS: Final = 3_600_000
_VERSION: Final = 1
_MAX_OCTETS: Final = 1_000_000
# RFC 8746, section 2.1: tag of a typed array by its NumPy type, little endian.
_TAGS: Final = {"|u1": 64, "<u2": 69, "<i4": 78, "<i8": 79, "<f4": 85, "<f8": 86}
_LAYOUT: Final = (
    ("bucket_ms", 1, "<i4"),  # since the hour began, as at_ms
    ("at_ms", 2, "<i4"),
    ("lat_deg", 3, "<f8"),
    ("lon_deg", 4, "<f8"),
    ("accuracy_m", 5, "<f4"),
    ("detectors", 6, "<u2"),
    ("received_ms", 7, "<i8"),
    ("is_late", 8, "|u1"),
)

HotRow = tuple[int, int, float, float, float, int, int, bool, bool]
"""A row of `fix` in the order of the columns of `Fixes`."""


@dataclass(frozen=True, slots=True, eq=False)
class Fixes:
    """Columns of equal length n, one ward's, ascending by bucket, at most one fix a bucket.

    Attributes:
        bucket_ms: i8, UTC, start of the ten seconds.
        at_ms: i8, UTC, last heard in them.
        lat_deg: f8.
        lon_deg: f8.
        accuracy_m: f4.
        detectors: u2.
        received_ms: i8, UTC.
        is_late: bool.
        is_whole: bool, it held all that was heard of its bucket, so it replaces what is there. Not kept when sealed.
    """

    bucket_ms: NDArray[np.int64]
    at_ms: NDArray[np.int64]
    lat_deg: NDArray[np.float64]
    lon_deg: NDArray[np.float64]
    accuracy_m: NDArray[np.float32]
    detectors: NDArray[np.uint16]
    received_ms: NDArray[np.int64]
    is_late: NDArray[np.bool_]
    is_whole: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.bucket_ms)

    @classmethod
    def of(cls, rows: Sequence[HotRow]) -> Self:
        """Return columns of rows in any order, each bucket once."""
        columns: Sequence[Sequence[Any]] = list(zip(*rows, strict=True)) or [()] * len(_KINDS)
        made = cls(*(np.array(column, kind) for column, kind in zip(columns, _KINDS, strict=True)))
        return made.take(np.argsort(made.bucket_ms))

    def take(self, which: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the rows that a mask or indices select."""
        return type(self)(*(getattr(self, field.name)[which] for field in fields(self)))

    def hours(self) -> dict[int, Self]:
        """Return the rows by the hour of their bucket, UTC ms of its start."""
        hours_ms = self.bucket_ms // HOUR_MS * HOUR_MS
        return {int(hour_ms): self.take(hours_ms == hour_ms) for hour_ms in np.unique(hours_ms)}


_KINDS: Final = ("i8", "i8", "f8", "f8", "f4", "u2", "i8", "?", "?")
EMPTY: Final = Fixes.of([])


def concat(parts: Sequence[Fixes]) -> Fixes:
    """Return fixes of hours that do not overlap, given in their order."""
    if not parts:
        return EMPTY
    return Fixes(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Fixes)))


def merge(old: Fixes, new: Fixes) -> Fixes:
    """Return both, by the rule of the table `fix`: of one bucket the new fix if it is whole or of more detectors."""
    if not len(old) or not len(new):
        return old if len(old) else new
    _, in_old, in_new = np.intersect1d(old.bucket_ms, new.bucket_ms, assume_unique=True, return_indices=True)
    wins = new.is_whole[in_new] | (new.detectors[in_new] > old.detectors[in_old])
    keep_old, keep_new = np.ones(len(old), np.bool_), np.ones(len(new), np.bool_)
    keep_old[in_old[wins]] = False
    keep_new[in_new[~wins]] = False
    both = concat([old.take(keep_old), new.take(keep_new)])
    return both.take(np.argsort(both.bucket_ms))


def pack(fixes: Fixes, hour_ms: int) -> bytes:
    """Return the fixes of one hour as a CBOR map of typed arrays. Every number is kept as it is."""
    packed: dict[int, object] = {0: _VERSION}
    for name, key, kind in _LAYOUT:
        column = getattr(fixes, name)
        values = column - hour_ms if kind == "<i4" else column
        packed[key] = cbor2.CBORTag(_TAGS[kind], np.ascontiguousarray(values, kind).tobytes())
    return cbor.dumps(packed)


def unpack(data: bytes, hour_ms: int) -> Fixes:
    """Return what `pack` was given; nothing of it is whole.

    Raises:
        SealedHourError: not of ours, or of a version that we do not know.
    """
    try:
        packed = cbor.loads(data, max_octets=_MAX_OCTETS, tags=cbor.TYPED_ARRAYS)
        if packed[0] != _VERSION:
            raise SealedHourError("an hour of a version that we do not know")
        columns = {name: np.frombuffer(packed[key].value, kind) for name, key, kind in _LAYOUT}
    except (cbor.CborError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise SealedHourError("an hour that is not of our shape") from error
    n = len(columns["bucket_ms"])
    if any(len(column) != n for column in columns.values()):
        raise SealedHourError("columns of different lengths")
    return Fixes(
        columns["bucket_ms"].astype(np.int64) + hour_ms,
        columns["at_ms"].astype(np.int64) + hour_ms,
        columns["lat_deg"],
        columns["lon_deg"],
        columns["accuracy_m"],
        columns["detectors"],
        columns["received_ms"],
        columns["is_late"].astype(np.bool_),
        np.zeros(n, np.bool_),
    )
