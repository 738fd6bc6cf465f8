import dataclasses
from collections.abc import Callable
from typing import Any

import cbor2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wire import batch
from wire.batch import Batch, Row
from wire.errors import BatchError

START_MS = 1_795_000_000_000
INT8 = st.integers(-128, 127)


@st.composite
def row(draw: st.DrawFn) -> Row:
    kind = draw(st.integers(0, 3))
    first_ms = START_MS + draw(st.integers(0, 2**31))
    has_position = draw(st.booleans())
    position: dict[str, Any] = {
        "lat_deg": draw(st.floats(-90, 90)),
        "lon_deg": draw(st.floats(-180, 180)),
        "position_accuracy_m": draw(st.floats(0, 1e6, width=32)),
        "position_age_s": draw(st.none() | st.integers(0, batch.MAX_AGE_S)),
    }
    return Row(
        kind=kind,
        id=draw(st.binary(min_size=8, max_size=8)),
        sealed=draw(st.binary(min_size=6, max_size=6)) if kind == 0 else None,
        rssi_best_dbm=draw(INT8),
        rssi_mean_dbm=draw(INT8),
        count=draw(st.integers(1, 65_535)),
        first_heard_ms=first_ms,
        last_heard_ms=first_ms + draw(st.integers(0, 2**31 - 1)),
        telemetry=draw(st.none() | st.binary(min_size=16, max_size=16)),
        **(position if has_position else {}),
    )


ROW = Row(0, bytes(range(8)), bytes(range(6)), -52, -60, 17, START_MS, START_MS + 9_800)


@given(st.lists(row(), max_size=20))
def test_rows_survive_the_wire(rows: list[Row]) -> None:
    assert batch.decode(batch.encode(Batch.from_rows(rows))).rows() == rows


def octets_of(name: str, value: Any) -> Any:
    return bytes.fromhex(value) if name in ("id", "sealed", "telemetry") and value else value


def test_our_vectors_hold(vectors: Callable[[str], Any]) -> None:
    for case in vectors("batch.json")["cases"]:
        rows = [Row(**{name: octets_of(name, value) for name, value in fields.items()}) for fields in case["rows"]]
        assert batch.encode(Batch.from_rows(rows)).hex() == case["cbor"]
        assert batch.decode(bytes.fromhex(case["cbor"])).rows() == rows


def test_columns_come_as_the_types_that_they_promise() -> None:
    moving = dataclasses.replace(ROW, lat_deg=35.0, lon_deg=139.0, position_accuracy_m=5.0, position_age_s=3)
    made = batch.decode(batch.encode(Batch.from_rows([ROW, moving])))
    types = {field.name: getattr(made, field.name).dtype.str for field in dataclasses.fields(made)}
    assert types == {
        "kinds": "|u1", "ids": "<u8", "sealed": "|u1", "rssi_best_dbm": "|i1", "rssi_mean_dbm": "|i1", "counts": "<u2",
        "first_heard_ms": "<i8", "last_heard_ms": "<i8", "lat_deg": "<f8", "lon_deg": "<f8",
        "position_accuracy_m": "<f4", "position_age_s": "<u2", "telemetry_rows": "<u4", "telemetry": "|u1",
    }  # fmt: skip
    assert made.ids[0] == int.from_bytes(ROW.id, "little")
    assert len(made) == 2


def test_a_sighting_of_a_fixed_detector_takes_27_octets() -> None:
    many = batch.encode(Batch.from_rows([ROW] * 500))
    assert len(many) < 27.2 * 500


def test_the_largest_batch_is_within_the_cap_and_one_row_more_is_refused() -> None:
    full = dataclasses.replace(ROW, lat_deg=35.0, lon_deg=139.0, position_accuracy_m=5.0, position_age_s=1)
    full = dataclasses.replace(full, telemetry=bytes(16))
    data = batch.encode(Batch.from_rows([full] * batch.MAX_ROWS))
    assert len(data) <= batch.MAX_BYTES
    assert len(batch.decode(data)) == batch.MAX_ROWS
    with pytest.raises(BatchError, match="rows"):
        Batch.from_rows([ROW] * (batch.MAX_ROWS + 1))


def test_a_megabyte_and_more_is_refused_unread() -> None:
    with pytest.raises(BatchError, match="octets"):
        batch.decode(bytes(batch.MAX_BYTES + 1))


@given(st.binary(max_size=500))
def test_any_octets_are_a_batch_or_a_batch_error(data: bytes) -> None:
    try:
        batch.decode(data)
    except BatchError:
        return


@settings(max_examples=300)
@given(st.lists(row(), max_size=3), st.data())
def test_damaged_octets_are_a_batch_or_a_batch_error(rows: list[Row], data: st.DataObject) -> None:
    damaged = bytearray(batch.encode(Batch.from_rows(rows)))
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    try:
        batch.decode(bytes(damaged)).rows()
    except BatchError:
        return


TYPED = st.builds(cbor2.CBORTag, st.sampled_from([64, 69, 70, 71, 72, 85, 86, 80]), st.binary(max_size=32) | st.none())
FIELDS = st.dictionaries(st.integers(0, 15), TYPED | st.integers() | st.none() | st.text(max_size=3), max_size=16)


@given(FIELDS)
def test_any_map_is_a_batch_or_a_batch_error(fields: dict[int, object]) -> None:
    try:
        batch.decode(cbor2.dumps({**fields, 0: 1}))
    except BatchError:
        return


def altered(**changes: Any) -> bytes:
    """Return a batch of one row with fields set (f3=…) or left out (f3=None)."""
    moving = dataclasses.replace(ROW, lat_deg=35.0, lon_deg=139.0, position_accuracy_m=5.0, position_age_s=1)
    moving = dataclasses.replace(moving, telemetry=bytes(16))
    fields = cbor2.loads(batch.encode(Batch.from_rows([moving])))
    fields.update({int(name[1:]): value for name, value in changes.items()})
    return cbor2.dumps({key: value for key, value in fields.items() if value is not None})


def test_unknown_fields_are_ignored() -> None:
    assert batch.decode(altered(f99={"new": [1, 2]}, f16="x")).rows() == batch.decode(altered()).rows()


@pytest.mark.parametrize(
    "changes",
    [
        {"f0": 2}, {"f0": None}, {"f0": True}, {"f0": "1"},
        {"f1": None}, {"f1": -1}, {"f1": 2**47}, {"f1": True}, {"f1": 1.5},
        {"f2": None}, {"f2": b"\x00"}, {"f2": cbor2.CBORTag(64, b"\x00\x00")},
        {"f3": cbor2.CBORTag(71, bytes(7))}, {"f3": cbor2.CBORTag(67, bytes(8))}, {"f3": cbor2.CBORTag(71, [1])},
        {"f4": cbor2.CBORTag(64, bytes(5))}, {"f4": cbor2.CBORTag(64, bytes(12))},
        {"f7": cbor2.CBORTag(69, bytes(2))},
        {"f9": None}, {"f8": cbor2.CBORTag(70, b"\xff" * 4)},
        {"f10": None}, {"f12": None}, {"f10": cbor2.CBORTag(86, np.array([91.0]).tobytes())},
        {"f11": cbor2.CBORTag(86, np.array([np.nan]).tobytes())}, {"f12": cbor2.CBORTag(85, b"\x00\x00\x80\x7f")},
        {"f12": cbor2.CBORTag(85, b"")}, {"f10": cbor2.CBORTag(86, bytes(16))},
        {"f13": None}, {"f14": None}, {"f13": cbor2.CBORTag(70, b"\x01\x00\x00\x00")},
        {"f14": cbor2.CBORTag(64, bytes(17))}, {"f14": cbor2.CBORTag(64, bytes(32))},
        {"f15": cbor2.CBORTag(70, bytes(4))}, {"f15": cbor2.CBORTag(69, bytes(4))}, {"f15": "x"},
        {"f10": None, "f11": None, "f12": None},
        {"f13": cbor2.CBORTag(70, bytes(8)), "f14": cbor2.CBORTag(64, bytes(32))},
    ],
)  # fmt: skip
def test_a_batch_with_one_mistake_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        batch.decode(altered(**changes))


def test_what_is_not_a_map_is_refused() -> None:
    with pytest.raises(BatchError, match="map"):
        batch.decode(cbor2.dumps([1, 2]))


@pytest.mark.parametrize(
    "changes",
    [{"id": bytes(7)}, {"sealed": bytes(5)}, {"telemetry": bytes(15)}, {"kind": 256}, {"kind": -1}, {"count": 0},
     {"count": 65_536}, {"rssi_best_dbm": -129}, {"rssi_mean_dbm": 128}, {"first_heard_ms": -1},
     {"last_heard_ms": START_MS - 1}, {"last_heard_ms": 2**47}, {"last_heard_ms": 2**64}, {"lat_deg": 35.0},
     {"position_age_s": 5}, {"position_age_s": 65_536},
     {"lat_deg": 35.0, "lon_deg": 139.0, "position_accuracy_m": 1.0, "position_age_s": -1},
     {"lat_deg": 35.0, "lon_deg": 181.0, "position_accuracy_m": 1.0},
     {"lat_deg": 35.0, "lon_deg": 139.0, "position_accuracy_m": -1.0}, {"first_heard_ms": None}],
)  # fmt: skip
def test_a_row_that_no_column_holds_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(BatchError):
        Batch.from_rows([dataclasses.replace(ROW, **changes)])


def test_a_batch_over_more_than_49_days_is_refused() -> None:
    made = Batch.from_rows([dataclasses.replace(ROW, last_heard_ms=START_MS + 2**32)])
    with pytest.raises(BatchError, match="spans"):
        batch.encode(made)


def test_rows_that_do_not_fit_are_left_out_and_none_or_too_far_apart_is_an_error() -> None:
    good = batch.Row(0, bytes(8), bytes(6), -60, -60, 1, 0, 0)
    bad = dataclasses.replace(good, rssi_best_dbm=-700)
    data, fitting = batch.encode_fitting([bad, good, bad])
    assert (fitting, batch.decode(data).rows()) == (1, [good])
    later = dataclasses.replace(good, first_heard_ms=2**32, last_heard_ms=2**32)
    for rows in ([bad], [good, later]):
        with pytest.raises(BatchError):
            batch.encode_fitting(rows)
