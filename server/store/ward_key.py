"""The key store: wrapped data keys of wards, in a database of their own. Connections here are to that one."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from server.store.connection import Connection
from server.store.migrate import Migrated, migrate

MIGRATIONS: Final = Path(__file__).parent / "keystore_migrations"


class KeyRow(NamedTuple):
    """One key as it is kept."""

    ward: str
    key_id: bytes
    wrapped: bytes


def prepare(dsn: str, beside: str | None) -> Migrated:
    """Bring the key store to this release's schema.

    Args:
        dsn: of the owner.
        beside: the main database's, on the same server, from where to create a key store that is not there; or None.

    Raises:
        MigrationError: see `migrate`.
        DatabaseError: no such database and nothing beside it, or not for this role.
    """
    if beside is not None:
        _create(str(conninfo_to_dict(dsn)["dbname"]), beside)
    return migrate(dsn, MIGRATIONS, "plain")


def _create(name: str, beside: str) -> None:
    with psycopg.connect(make_conninfo(beside), autocommit=True) as conn:
        if conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            # From the empty template: what somebody put into template1 has no business beside keys.
            statement = "CREATE DATABASE {} TEMPLATE template0"
            conn.execute(sql.SQL(statement).format(sql.Identifier(name)))


async def read(conn: Connection, wards: Sequence[str]) -> list[KeyRow]:
    """Return the keys of those of `wards` that have one."""
    rows = await conn.execute("SELECT ward_id, key_id, wrapped FROM ward_key WHERE ward_id = ANY(%s)", (list(wards),))
    return [KeyRow(*row) for row in await rows.fetchall()]


async def add(conn: Connection, rows: Iterable[KeyRow]) -> None:
    """Add keys, committed when this returns; a ward that has one keeps it."""
    async with conn.transaction(), conn.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO ward_key (ward_id, key_id, wrapped) VALUES (%s, %s, %s) ON CONFLICT (ward_id) DO NOTHING",
            list(rows),
        )


async def delete(conn: Connection, ward: str) -> list[bytes]:
    """Delete the key of a ward, as the owner; return the ids of what was deleted."""
    rows = await conn.execute("DELETE FROM ward_key WHERE ward_id = %s RETURNING key_id", (ward,))
    return [row[0] for row in await rows.fetchall()]
