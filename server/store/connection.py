"""Connections, and the names by which the rest of the server knows the driver: nobody else imports it."""

from datetime import UTC, datetime, timedelta
from typing import Any, Final, LiteralString

import psycopg
from psycopg.rows import TupleRow

from server.store.columns import Array, ArrayDumper

Connection = psycopg.AsyncConnection[TupleRow]
DatabaseError = psycopg.Error
"""Whatever the database refuses or cannot do now."""

# A database whose machine vanished sends no word: without these one would wait for it a quarter of an hour. TCP only.
_PATIENCE: Final[dict[str, Any]] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MS: Final = timedelta(milliseconds=1)


async def connect(dsn: str) -> Connection:
    """Return a connection in autocommit mode, which speaks UTC and takes columns; transactions are opened by name.

    Raises:
        DatabaseError: no database, or not for this role.
    """
    conn = await psycopg.AsyncConnection.connect(dsn, autocommit=True, **_PATIENCE)
    try:
        conn.adapters.register_dumper(Array, ArrayDumper)
        await conn.execute("SET timezone = 'UTC'")
    except BaseException:  # a cancellation too: nobody else would close it
        await conn.close()
        raise
    return conn


async def columns(conn: Connection, query: LiteralString) -> list[tuple[Any, ...]]:
    """Return what a query without parameters finds, as one tuple a column."""
    cursor = conn.cursor(binary=True)
    await cursor.execute(query)
    rows = await cursor.fetchall()
    return list(zip(*rows, strict=True)) if rows else [()] * len(cursor.description or ())


def at(ms: int) -> datetime:
    """Return a UTC millisecond as the database has it; the years 1 to 9999 are kept to."""
    try:
        return _EPOCH + ms * _MS
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if ms > 0 else datetime.min.replace(tzinfo=UTC)


def ms_of(moment: datetime) -> int:
    """Return a moment of the database as UTC milliseconds."""
    return (moment - _EPOCH) // _MS


def said_by(error: DatabaseError) -> str:
    """Return what the database said, without the details that quote a row's values."""
    return error.diag.message_primary or str(error).strip()


def is_connection_lost(error: BaseException) -> bool:
    """Return whether the database is away or busy, so that the same transaction may be tried again."""
    return isinstance(error, OSError | psycopg.OperationalError | psycopg.InterfaceError)
