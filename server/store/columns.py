"""Columns of many rows on their way to PostgreSQL: binary arrays made of NumPy's, without an object for each value."""

import struct
from dataclasses import dataclass, fields
from itertools import compress
from typing import Any, Final, Literal, Self

import numpy as np
from numpy.typing import NDArray
from psycopg.adapt import Dumper
from psycopg.pq import Format

Kind = Literal["int2", "int4", "int8", "float4", "float8", "bool", "timestamptz"]

_TYPES: Final[dict[Kind, tuple[int, str]]] = {
    "int2": (21, ">i2"),
    "int4": (23, ">i4"),
    "int8": (20, ">i8"),
    "float4": (700, ">f4"),
    "float8": (701, ">f8"),
    "bool": (16, "?"),
    "timestamptz": (1184, ">i8"),
}
"""Number of the type in every PostgreSQL, and how it sends a value."""
_EPOCH_MS: Final = 946_684_800_000
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999


@dataclass(frozen=True, slots=True)
class Rows:
    """What every table's columns have in common: n rows, text as a list, all else as arrays of shape (n,).

    Raises:
        ValueError: the columns differ in length. PostgreSQL would fill the shorter ones up with nulls.
    """

    def __post_init__(self) -> None:
        """Compare the lengths."""
        if len({len(column) for column in self._columns()}) > 1:
            raise ValueError("columns of different lengths")

    def __len__(self) -> int:
        return len(self._columns()[0])

    def take(self, which: NDArray[np.bool_]) -> Self:
        """Return the rows that a mask selects, in their order."""
        return type(self)(*(_taken(column, which) for column in self._columns()))

    def _columns(self) -> list[Any]:
        return [getattr(self, field.name) for field in fields(self)]


def _taken(column: Any, which: NDArray[np.bool_]) -> Any:  # noqa: ANN401 - a list of text or an array
    return list(compress(column, which.tolist())) if isinstance(column, list) else column[which]


@dataclass(frozen=True, slots=True, eq=False)
class Array:
    """A parameter that is an array of PostgreSQL. The statement takes it as `%b` and casts it: `%b::int4[]`.

    Attributes:
        values: shape (n,), anything that fits `kind`; of a timestamptz, UTC milliseconds.
        kind: of the elements; another one in the cast is an error of the database.
        is_null: shape (n,), which elements are null; None: none is.
    """

    values: NDArray[Any]
    kind: Kind
    is_null: NDArray[np.bool_] | None = None


class ArrayDumper(Dumper):
    """Teaches psycopg to send an `Array`."""

    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        """Return the array as PostgreSQL receives it.

        Raises:
            ValueError: a value does not fit, or the null mask has another length.
        """
        return pack(obj)


def pack(array: Array) -> bytes:
    """Return an array in PostgreSQL's binary format: see `array_recv`.

    Raises:
        ValueError: a value does not fit, or the null mask has another length.
    """
    oid, layout = _TYPES[array.kind]
    values, is_null, n = array.values, array.is_null, len(array.values)
    if is_null is not None and len(is_null) != n:
        raise ValueError("a null mask of another length")
    if not n:
        return struct.pack(">iiI", 0, 0, oid)
    has_null = is_null is not None and bool(is_null.any())
    items = np.empty(n, [("length", ">i4"), ("value", layout)])
    items["length"] = items.dtype["value"].itemsize
    items["value"] = stamps(values) if array.kind == "timestamptz" else _fitting(values, np.dtype(layout))
    header = struct.pack(">iiIii", 1, has_null, oid, n, 1)
    return header + (items.tobytes() if is_null is None or not has_null else _without(items, is_null))


def stamps(times_ms: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return UTC milliseconds as PostgreSQL counts time: microseconds since 2000. The years 1 to 9999 are kept to."""
    kept: NDArray[np.int64] = np.clip(times_ms, _FIRST_MS, _LAST_MS)
    return (kept - _EPOCH_MS) * 1000


def millis(times: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return PostgreSQL's microseconds since 2000 as UTC milliseconds, in the machine's order of octets."""
    return times.astype(np.int64) // 1000 + _EPOCH_MS


def _fitting(values: NDArray[Any], layout: np.dtype[Any]) -> NDArray[Any]:
    """Return `values`. NumPy would store an integer that is too large without a word, as another one."""
    if layout.kind == "i" and not np.can_cast(values.dtype, layout):
        limits = np.iinfo(layout)
        if values.dtype.kind not in "iu" or values.min() < limits.min or values.max() > limits.max:
            raise ValueError(f"a value that is no {8 * layout.itemsize} bit integer")
    return values


def _without(items: NDArray[np.void], is_null: NDArray[np.bool_]) -> bytes:
    """Return the items as octets, those that are null as the length -1 and no value."""
    items["length"][is_null] = -1
    octets = items.view(np.uint8).reshape(len(items), -1)
    is_sent = np.ones(octets.shape, np.bool_)
    is_sent[is_null, 4:] = False
    return octets[is_sent].tobytes()
