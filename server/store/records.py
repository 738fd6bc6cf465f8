"""Binary COPY of rows that are all of one width: one buffer of NumPy records either way."""

from collections.abc import Collection, Generator, Sequence
from typing import Any, Final, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg.generators import copy_from
from psycopg.pq.abc import PGconn

from server.store.connection import Connection

HEADER: Final = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
TRAILER: Final = b"\xff\xff"
NULL: Final = -1
"""The length of a field that is null; no value follows."""
Columns = Sequence[tuple[str, str]]
"""Name and NumPy's type of each, which has to be the one that PostgreSQL sends or expects."""


def layout(columns: Columns, nulls: Collection[str] = ()) -> np.dtype[np.void]:
    """Return the record of one row: how many fields, then of each its length and its value, but no value of `nulls`."""
    record: list[tuple[str, str]] = [("fields", ">i2")]
    for name, kind in columns:
        record += [(length_of(name), ">i4")] + ([] if name in nulls else [(name, kind)])
    return np.dtype(record)


def length_of(name: str) -> str:
    """Return the name of a column's length in a record."""
    return f"{name}_length"


async def read(
    conn: Connection, query: LiteralString, parameters: Sequence[object], columns: Columns
) -> NDArray[np.void]:
    """Return the rows of `COPY (SELECT …) TO STDOUT (FORMAT BINARY)`, none of whose values may be null.

    Args:
        conn: nothing else may be going on over it.
        query: the COPY.
        parameters: put into the query by the client: COPY knows none.
        columns: of the rows.

    Returns:
        Shape (n,), records of `layout(columns)`.

    Raises:
        DatabaseError: the database refuses or is lost.
        ValueError: the rows are not of that width.
    """
    octets = bytearray()
    async with conn.cursor() as cursor, cursor.copy(query, parameters):
        await conn.wait(_drain(conn.pgconn, octets))
    return np.frombuffer(memoryview(octets)[len(HEADER) : -len(TRAILER)], layout(columns))


def _drain(pgconn: PGconn, octets: bytearray) -> Generator[Any, Any, None]:
    """Collect a COPY until its end. Here and not by `AsyncCopy.read`, which goes round the event loop for every row."""
    while isinstance(part := (yield from copy_from(pgconn)), memoryview):
        octets += part
