from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.config import ServerConfig
from server.store.columns import Array, Kind, millis, stamps
from server.store.connection import Connection, at, connect, ms_of
from server.store.presence import PresenceRows

pytestmark = pytest.mark.db

_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999


def _integers(bits: int) -> st.SearchStrategy[Any]:
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    return st.one_of(st.integers(least, most), st.sampled_from([least, most, 0, -1]))


KINDS: dict[Kind, tuple[st.SearchStrategy[Any], type[np.generic]]] = {
    "int2": (_integers(16), np.int16),
    "int4": (_integers(32), np.int32),
    "int8": (_integers(64), np.int64),
    "float4": (st.floats(width=32), np.float32),
    "float8": (st.floats(), np.float64),
    "bool": (st.booleans(), np.bool_),
    "timestamptz": (st.one_of(st.integers(_FIRST_MS, _LAST_MS), st.sampled_from([_FIRST_MS, _LAST_MS, 0])), np.int64),
}


@pytest.fixture
async def conn(db: ServerConfig) -> AsyncIterator[Connection]:
    opened = await connect(db.dsn("ingest"))
    yield opened
    await opened.close()


async def _sent(conn: Connection, array: Array) -> list[Any]:
    """Return what the database has of an array."""
    cursor = conn.cursor(binary=True)
    await cursor.execute(f"SELECT %b::{array.kind}[]".encode(), (array,))
    row = await cursor.fetchone()
    assert row is not None
    return list(row[0])


@pytest.mark.parametrize("kind", KINDS)
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_any_column_arrives_as_it_is(conn: Connection, kind: Kind, data: st.DataObject) -> None:
    strategy, dtype = KINDS[kind]
    drawn = data.draw(st.lists(st.one_of(strategy, st.none()), max_size=30))
    is_null = np.array([value is None for value in drawn], np.bool_)
    values = np.array([0 if value is None else value for value in drawn], dtype)
    back = await _sent(conn, Array(values, kind, is_null))
    assert [value is None for value in back] == is_null.tolist()
    told = [ms_of(value) if kind == "timestamptz" else value for value in back if value is not None]
    np.testing.assert_array_equal(np.array(told, dtype), values[~is_null])


async def test_columns_without_a_null_need_no_mask(conn: Connection) -> None:
    assert await _sent(conn, Array(np.array([1, 2, 3]), "int2")) == [1, 2, 3]
    assert await _sent(conn, Array(np.array([1, 2]), "int8", np.zeros(2, np.bool_))) == [1, 2]
    assert await _sent(conn, Array(np.array([]), "float8")) == []


async def test_a_view_into_other_columns_is_sent_as_it_reads(conn: Connection) -> None:
    table = np.arange(12, dtype=np.int32).reshape(4, 3)
    assert await _sent(conn, Array(table[::-1, 1], "int8")) == [10, 7, 4, 1]


@pytest.mark.parametrize(
    ("values", "kind"),
    [([40_000], "int2"), ([-40_000], "int2"), ([2**31], "int4"), ([1.5], "int4"), ([float("nan")], "int2")],
)
async def test_what_does_not_fit_is_not_cut(conn: Connection, values: list[float], kind: Kind) -> None:
    with pytest.raises(ValueError, match="bit integer"):
        await _sent(conn, Array(np.array(values), kind))


async def test_a_mask_of_another_length_is_refused(conn: Connection) -> None:
    with pytest.raises(ValueError, match="another length"):
        await _sent(conn, Array(np.zeros(3), "float8", np.zeros(2, np.bool_)))


async def test_another_type_in_the_statement_is_refused(conn: Connection) -> None:
    with pytest.raises(psycopg.errors.DatatypeMismatch):
        await conn.execute("SELECT %b::bigint[]", (Array(np.zeros(3, np.int32), "int4"),))


def test_columns_of_different_lengths_are_no_rows() -> None:
    one, two = np.zeros(1, np.int64), np.zeros(2, np.int64)
    with pytest.raises(ValueError, match="different lengths"):
        PresenceRows(["w-1"], ["p-1"], one > 0, one, one, two, one.astype(np.int32))


def test_times_keep_to_the_years_that_the_driver_knows() -> None:
    wild = np.array([-(2**63), _FIRST_MS, 0, _LAST_MS, 2**63 - 1])
    assert millis(stamps(wild)).tolist() == [_FIRST_MS, _FIRST_MS, 0, _LAST_MS, _LAST_MS]
    assert at(_LAST_MS).year == 9999
    assert at(_FIRST_MS).year == 1
