"""A batch of sightings: columns of NumPy arrays, on the wire a CBOR map of typed arrays (RFC 8746): docs/WIRE.md."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import cbor2
import numpy as np
from numpy.typing import NDArray

from wire import cbor
from wire.errors import BatchError

VERSION: Final = 1
MAX_ROWS: Final = 10_000
MAX_BYTES: Final = 1_000_000
TELEMETRY_OCTETS: Final = 16
_MAX_TIME_MS = 2**47

# RFC 8746, section 2.1: tag of a typed array by its NumPy type. Little endian throughout, as all our machines are.
_TAGS: Final[Mapping[str, int]] = {"|u1": 64, "<u2": 69, "<u4": 70, "<u8": 71, "|i1": 72, "<f4": 85, "<f8": 86}
_COLUMNS: Final[Mapping[str, tuple[int, str]]] = {
    "kinds": (2, "|u1"),
    "ids": (3, "<u8"),
    "sealed": (4, "|u1"),
    "rssi_best_dbm": (5, "|i1"),
    "rssi_mean_dbm": (6, "|i1"),
    "counts": (7, "<u2"),
}
_FIRST, _LAST = 8, 9
_POSITION: Final[Mapping[str, tuple[int, str]]] = {
    "lat_deg": (10, "<f8"),
    "lon_deg": (11, "<f8"),
    "position_accuracy_m": (12, "<f4"),
}
_TELEMETRY_ROWS, _TELEMETRY = 13, 14
_AGE: Final = 15
NO_AGE_S: Final = 65_535
"""In the column of ages: a row without a position, or of a detector that did not say."""
MAX_AGE_S: Final = NO_AGE_S - 1


@dataclass(frozen=True, slots=True)
class Row:
    """One tag in one window of one detector.

    Attributes:
        kind: as `wire.frames.sighting_id`.
        id: 8 octets.
        sealed: 6 octets of the last frame heard, None without.
        rssi_best_dbm: strongest.
        rssi_mean_dbm: mean.
        count: advertisements merged, 1 to 65535.
        first_heard_ms: Unix milliseconds.
        last_heard_ms: not before `first_heard_ms`.
        lat_deg: where a moving detector was when it heard the tag best; None if fixed or not known.
        lon_deg: as `lat_deg`.
        position_accuracy_m: radius that holds the position with 68 %, as `lat_deg`; it has grown with the age already.
        position_age_s: seconds between the sighting and the nearest moment at which the position was measured, rounded
            up, at most `MAX_AGE_S`; None where not said.
        telemetry: 16 octets of an encrypted telemetry frame heard from the same address, None without.
    """

    kind: int
    id: bytes
    sealed: bytes | None
    rssi_best_dbm: int
    rssi_mean_dbm: int
    count: int
    first_heard_ms: int
    last_heard_ms: int
    lat_deg: float | None = None
    lon_deg: float | None = None
    position_accuracy_m: float | None = None
    position_age_s: int | None = None
    telemetry: bytes | None = None


def _no_rows() -> NDArray[np.uint32]:
    return np.empty(0, dtype="<u4")


def _no_telemetry() -> NDArray[np.uint8]:
    return np.empty((0, TELEMETRY_OCTETS), dtype="u1")


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Columns of equal length n, checked when built.

    Attributes:
        kinds: u1.
        ids: u8, each the 8 octets of an id read as a little-endian integer.
        sealed: u1, shape (n, 6); zeros where a row has none.
        rssi_best_dbm: i1.
        rssi_mean_dbm: i1.
        counts: u2, at least 1.
        first_heard_ms: i8, Unix milliseconds.
        last_heard_ms: i8, not before `first_heard_ms`.
        lat_deg: f8, or None from a detector that stands still. NaN where a moving detector knew no position.
        lon_deg: as `lat_deg`.
        position_accuracy_m: f4, as `lat_deg`.
        position_age_s: u2, `NO_AGE_S` where not said; None if no row says it. Never without positions.
        telemetry_rows: u4, shape (m,), the row that each telemetry belongs to.
        telemetry: u1, shape (m, 16): 12 encrypted octets, salt, check.

    Raises:
        BatchError: lengths, types or values are not as said here.
    """

    kinds: NDArray[np.uint8]
    ids: NDArray[np.uint64]
    sealed: NDArray[np.uint8]
    rssi_best_dbm: NDArray[np.int8]
    rssi_mean_dbm: NDArray[np.int8]
    counts: NDArray[np.uint16]
    first_heard_ms: NDArray[np.int64]
    last_heard_ms: NDArray[np.int64]
    lat_deg: NDArray[np.float64] | None = None
    lon_deg: NDArray[np.float64] | None = None
    position_accuracy_m: NDArray[np.float32] | None = None
    position_age_s: NDArray[np.uint16] | None = None
    telemetry_rows: NDArray[np.uint32] = field(default_factory=_no_rows)
    telemetry: NDArray[np.uint8] = field(default_factory=_no_telemetry)

    def __post_init__(self) -> None:
        _check_columns(self)
        _check_times(self)
        _check_position(self)
        _check_telemetry(self)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def from_rows(cls, rows: Iterable[Row]) -> Self:
        """Return a batch of `rows` in their order; with position columns if any row has a position.

        Raises:
            BatchError: a value does not fit its column.
        """
        listed = list(rows)
        telemetry = [(index, row.telemetry) for index, row in enumerate(listed) if row.telemetry is not None]
        try:
            return cls(
                kinds=_column(listed, "|u1", lambda row: row.kind),
                ids=_column(listed, "<u8", lambda row: int.from_bytes(_octets(row.id, 8), "little")),
                sealed=_matrix([_octets(bytes(6) if row.sealed is None else row.sealed, 6) for row in listed], 6),
                rssi_best_dbm=_column(listed, "|i1", lambda row: row.rssi_best_dbm),
                rssi_mean_dbm=_column(listed, "|i1", lambda row: row.rssi_mean_dbm),
                counts=_column(listed, "<u2", lambda row: row.count),
                first_heard_ms=_column(listed, "<i8", lambda row: row.first_heard_ms),
                last_heard_ms=_column(listed, "<i8", lambda row: row.last_heard_ms),
                telemetry_rows=np.array([index for index, _ in telemetry], dtype="<u4"),
                telemetry=_matrix([_octets(octets, TELEMETRY_OCTETS) for _, octets in telemetry], TELEMETRY_OCTETS),
                position_age_s=_age_column(listed),
                **_position_columns(listed),
            )
        except (OverflowError, ValueError, TypeError) as error:
            raise BatchError(f"a value does not fit its column: {error}") from error

    def rows(self) -> list[Row]:
        """Return the batch row by row; convenient, and slow."""
        telemetry = {
            int(row): octets.tobytes() for row, octets in zip(self.telemetry_rows, self.telemetry, strict=True)
        }
        return [self._row(index, telemetry.get(index)) for index in range(len(self))]

    def _row(self, index: int, telemetry: bytes | None) -> Row:
        kind = int(self.kinds[index])
        return Row(
            kind=kind,
            id=int(self.ids[index]).to_bytes(8, "little"),
            sealed=self.sealed[index].tobytes() if kind == 0 else None,
            rssi_best_dbm=int(self.rssi_best_dbm[index]),
            rssi_mean_dbm=int(self.rssi_mean_dbm[index]),
            count=int(self.counts[index]),
            first_heard_ms=int(self.first_heard_ms[index]),
            last_heard_ms=int(self.last_heard_ms[index]),
            lat_deg=_at(self.lat_deg, index),
            lon_deg=_at(self.lon_deg, index),
            position_accuracy_m=_at(self.position_accuracy_m, index),
            position_age_s=self._age_s(index),
            telemetry=telemetry,
        )

    def _age_s(self, index: int) -> int | None:
        age_s = NO_AGE_S if self.position_age_s is None else int(self.position_age_s[index])
        return None if age_s == NO_AGE_S else age_s


def encode(batch: Batch) -> bytes:
    """Return a batch as CBOR.

    Raises:
        BatchError: it spans more than 49 days, or has more than `MAX_BYTES`.
    """
    base_ms = int(batch.first_heard_ms.min()) if len(batch) else 0
    if len(batch) and int(batch.last_heard_ms.max()) - base_ms >= 2**32:
        raise BatchError("a batch spans at most 2**32 ms")
    fields: dict[int, object] = {0: VERSION, 1: base_ms}
    for name, (key, dtype) in _COLUMNS.items():
        fields[key] = _typed(getattr(batch, name), dtype)
    fields[_FIRST] = _typed(batch.first_heard_ms - base_ms, "<u4")
    fields[_LAST] = _typed(batch.last_heard_ms - base_ms, "<u4")
    if batch.lat_deg is not None:
        fields.update({key: _typed(getattr(batch, name), dtype) for name, (key, dtype) in _POSITION.items()})
    if batch.position_age_s is not None:
        fields[_AGE] = _typed(batch.position_age_s, "<u2")
    if len(batch.telemetry_rows):
        fields[_TELEMETRY_ROWS] = _typed(batch.telemetry_rows, "<u4")
        fields[_TELEMETRY] = _typed(batch.telemetry, "|u1")
    data = cbor.dumps(fields)
    if len(data) > MAX_BYTES:  # pragma: no cover - MAX_ROWS rows have 0.6 MB at most; this guards new columns
        raise BatchError(f"more than {MAX_BYTES} octets")
    return data


def encode_fitting(rows: Sequence[Row]) -> tuple[bytes, int]:
    """Return a batch as CBOR of those of `rows` that a batch can hold, and their number.

    One bad row hurts no other.

    Raises:
        BatchError: none of them fits, or not all together.
    """
    try:
        return encode(Batch.from_rows(rows)), len(rows)
    except BatchError:
        fitting = [row for row in rows if _fits(row)]
        if len(fitting) in (0, len(rows)):
            raise
        return encode(Batch.from_rows(fitting)), len(fitting)


def _fits(row: Row) -> bool:
    try:
        encode(Batch.from_rows([row]))
    except BatchError:
        return False
    return True


def decode(data: bytes) -> Batch:
    """Return the batch in `data`; its arrays are read-only views. Unknown fields are ignored.

    Raises:
        BatchError: malformed, too large, of an unknown version, or with impossible values.
    """
    fields = _fields(data)
    base_ms = fields.get(1)
    if type(base_ms) is not int or not 0 <= base_ms < _MAX_TIME_MS:
        raise BatchError("field 1 is not a time")
    columns: dict[str, Any] = {name: _array(fields, key, dtype) for name, (key, dtype) in _COLUMNS.items()}
    columns["sealed"] = _rows_of(columns["sealed"], 6)
    columns["first_heard_ms"] = _array(fields, _FIRST, "<u4").astype(np.int64) + base_ms
    columns["last_heard_ms"] = _array(fields, _LAST, "<u4").astype(np.int64) + base_ms
    for name, (key, dtype) in _POSITION.items():
        if key in fields:
            columns[name] = _array(fields, key, dtype)
    if _AGE in fields:
        columns["position_age_s"] = _array(fields, _AGE, "<u2")
    if _TELEMETRY_ROWS in fields or _TELEMETRY in fields:
        columns["telemetry_rows"] = _array(fields, _TELEMETRY_ROWS, "<u4")
        columns["telemetry"] = _rows_of(_array(fields, _TELEMETRY, "|u1"), TELEMETRY_OCTETS)
    return Batch(**columns)


def _fields(data: bytes) -> dict[Any, Any]:
    try:
        fields = cbor.loads(data, max_octets=MAX_BYTES, tags=cbor.TYPED_ARRAYS)
    except cbor.CborError as error:
        raise BatchError(f"not CBOR of ours: {error}") from error
    if not isinstance(fields, dict):
        raise BatchError("a batch is a map")
    version = fields.get(0)
    if type(version) is not int or version != VERSION:
        raise BatchError("a version that we do not know")
    return fields


def _typed(column: NDArray[Any], dtype: str) -> cbor2.CBORTag:
    return cbor2.CBORTag(_TAGS[dtype], np.ascontiguousarray(column, dtype=dtype).tobytes())


def _array(fields: Mapping[Any, Any], key: int, dtype: str) -> NDArray[Any]:
    value = fields.get(key)
    if not isinstance(value, cbor2.CBORTag) or value.tag != _TAGS[dtype] or not isinstance(value.value, bytes):
        raise BatchError(f"field {key} is not a typed array with tag {_TAGS[dtype]}")
    if len(value.value) % np.dtype(dtype).itemsize:
        raise BatchError(f"field {key} ends within an element")
    return np.frombuffer(value.value, dtype=dtype)


def _rows_of(octets: NDArray[Any], width: int) -> NDArray[Any]:
    if len(octets) % width:
        raise BatchError(f"a matrix of {width} columns ends within a row")
    return octets.reshape(-1, width)


def _check_columns(batch: Batch) -> None:
    n = len(batch.ids)
    if n > MAX_ROWS:
        raise BatchError(f"more than {MAX_ROWS} rows")
    singles = (batch.kinds, batch.rssi_best_dbm, batch.rssi_mean_dbm, batch.counts)
    columns = (*singles, batch.first_heard_ms, batch.last_heard_ms)
    if any(column.shape != (n,) for column in columns) or batch.sealed.shape != (n, 6):
        raise BatchError("columns of different lengths")
    if n and int(batch.counts.min()) < 1:
        raise BatchError("a row merges at least one advertisement")


def _check_times(batch: Batch) -> None:
    if not len(batch):
        return
    if int(batch.first_heard_ms.min()) < 0 or int(batch.last_heard_ms.max()) >= _MAX_TIME_MS:
        raise BatchError("a time out of range")
    if bool((batch.last_heard_ms < batch.first_heard_ms).any()):
        raise BatchError("a row was last heard before it was first heard")


def _check_position(batch: Batch) -> None:
    lat_deg, lon_deg, accuracy_m = batch.lat_deg, batch.lon_deg, batch.position_accuracy_m
    age_s = batch.position_age_s
    if age_s is not None and (lat_deg is None or age_s.shape != batch.ids.shape):
        raise BatchError("ages of no positions")
    if lat_deg is None and lon_deg is None and accuracy_m is None:
        return
    if lat_deg is None or lon_deg is None or accuracy_m is None:
        raise BatchError("a position has latitude, longitude and accuracy")
    if not lat_deg.shape == lon_deg.shape == accuracy_m.shape == batch.ids.shape:
        raise BatchError("columns of different lengths")
    nowhere = np.isnan(lat_deg) & np.isnan(lon_deg) & np.isnan(accuracy_m)
    on_earth = (np.abs(lat_deg) <= 90) & (np.abs(lon_deg) <= 180) & (accuracy_m >= 0) & np.isfinite(accuracy_m)
    if not bool((nowhere | on_earth).all()):
        raise BatchError("a position that is not on Earth")


def _check_telemetry(batch: Batch) -> None:
    rows, octets = batch.telemetry_rows, batch.telemetry
    if rows.ndim != 1 or octets.shape != (len(rows), TELEMETRY_OCTETS):
        raise BatchError("columns of different lengths")
    if len(rows) and (int(rows.max()) >= len(batch) or len(np.unique(rows)) != len(rows)):
        raise BatchError("telemetry of no row, or two of one row")


def _column(rows: list[Row], dtype: str, value: Callable[[Row], int]) -> NDArray[Any]:
    return np.array([value(row) for row in rows], dtype=dtype)


def _position_columns(rows: list[Row]) -> dict[str, Any]:
    if not any(_has_position(row) for row in rows):
        return {}
    columns = {name: [getattr(row, name) for row in rows] for name in _POSITION}
    return {
        name: np.array([np.nan if value is None else value for value in columns[name]], dtype=dtype)
        for name, (_, dtype) in _POSITION.items()
    }


def _age_column(rows: list[Row]) -> NDArray[np.uint16] | None:
    ages_s = [NO_AGE_S if row.position_age_s is None else row.position_age_s for row in rows]
    return np.array(ages_s, dtype="<u2") if any(row.position_age_s is not None for row in rows) else None


def _has_position(row: Row) -> bool:
    return row.lat_deg is not None or row.lon_deg is not None or row.position_accuracy_m is not None


def _octets(value: bytes, width: int) -> bytes:
    if len(value) != width:
        raise BatchError(f"{len(value)} octets where {width} belong")
    return bytes(value)


def _matrix(rows: list[bytes], width: int) -> NDArray[np.uint8]:
    return np.frombuffer(b"".join(rows), dtype="u1").reshape(-1, width)


def _at(column: NDArray[Any] | None, index: int) -> float | None:
    if column is None or np.isnan(column[index]):
        return None
    return float(column[index])
