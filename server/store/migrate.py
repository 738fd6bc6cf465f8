"""Brings a database to the schema of this release: numbered SQL files, forward only, each applied once.

A file is `NNNN_name.sql`, or `NNNN_name.plain.sql` beside `NNNN_name.timescale.sql` where the two flavours differ.
Source: docs/ARCHITECTURE.md; the choice against alembic, yoyo and dbmate is that none of them knows flavours.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import psycopg

from server.store.errors import MigrationError

MIGRATIONS = Path(__file__).parent / "migrations"
_LOCK = int.from_bytes(b"mimamori", "big") & 0x7FFF_FFFF_FFFF_FFFF
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)(?:\.(plain|timescale))?\.sql")
_JOURNAL = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    flavour text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
)
"""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, name, flavour (empty: for both) and text."""

    version: int
    name: str
    flavour: str
    sql: str

    @property
    def sha256(self) -> str:
        """Hex digest of the text, to notice a file that changed after it was applied."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Migrated:
    """What a run did: the flavour of the database and the names of the files it applied."""

    flavour: str
    applied: tuple[str, ...]


def load(folder: Path, flavour: str) -> list[Migration]:
    """Return the migrations of `flavour` in `folder`, ascending.

    Raises:
        MigrationError: a name is not of the form above, or a number occurs twice.
    """
    found: dict[int, Migration] = {}
    for path in sorted(folder.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if not match:
            raise MigrationError(f"{path.name}: not the name of a migration")
        if match[3] not in (None, flavour):
            continue
        version = int(match[1])
        if version in found:
            raise MigrationError(f"{path.name}: number {version} is taken")
        found[version] = Migration(version, match[2], match[3] or "", path.read_text(encoding="utf-8"))
    return [found[version] for version in sorted(found)]


def migrate(dsn: str, folder: Path = MIGRATIONS, flavour: str | None = None) -> Migrated:
    """Apply what is missing, each file in a transaction of its own; two runs at once wait for each other.

    Args:
        dsn: of the owner; it creates roles, so it needs CREATEROLE or roles that exist.
        folder: where the files are.
        flavour: `plain` or `timescale`; None takes what the database is, or could be.

    Raises:
        MigrationError: an applied file has changed or is missing, or a new one is older than an applied one.
        psycopg.Error: the database refuses; the files before the failing one stay applied.
    """
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))
        conn.execute("SET client_min_messages = warning")
        conn.execute(_JOURNAL)
        rows = conn.execute("SELECT version, sha256, flavour FROM schema_migration ORDER BY version").fetchall()
        done = {int(version): str(sha256) for version, sha256, _ in rows}
        flavour = str(rows[0][2]) if rows else flavour or _flavour_of(conn)
        migrations = load(folder, flavour)
        _check(migrations, done)
        applied = tuple(_apply(conn, migration, flavour) for migration in migrations if migration.version not in done)
        return Migrated(flavour, applied)


def _flavour_of(conn: psycopg.Connection[tuple[object, ...]]) -> str:
    preloaded = conn.execute("SHOW shared_preload_libraries").fetchone()
    available = conn.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'").fetchone()
    return "timescale" if available and preloaded and "timescaledb" in str(preloaded[0]) else "plain"


def _check(migrations: list[Migration], done: dict[int, str]) -> None:
    known = {migration.version: migration for migration in migrations}
    newest = max(done, default=0)
    for version, sha256 in done.items():
        if version not in known:
            raise MigrationError(f"migration {version} was applied and is not here: the database is newer than this")
        if known[version].sha256 != sha256:
            raise MigrationError(f"migration {version} was changed after it was applied")
    for migration in migrations:
        if migration.version < newest and migration.version not in done:
            raise MigrationError(f"migration {migration.version} is older than the newest applied, {newest}")


def _apply(conn: psycopg.Connection[tuple[object, ...]], migration: Migration, flavour: str) -> str:
    with conn.transaction():
        conn.execute(migration.sql.encode())
        conn.execute(
            "INSERT INTO schema_migration (version, name, sha256, flavour) VALUES (%s, %s, %s, %s)",
            (migration.version, migration.name, migration.sha256, flavour),
        )
    return f"{migration.version:04d}_{migration.name}"
