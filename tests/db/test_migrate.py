import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from server.config import ServerConfig
from server.store.errors import MigrationError
from server.store.migrate import MIGRATIONS, load, migrate

pytestmark = pytest.mark.db


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


@pytest.fixture
def empty(db: ServerConfig) -> str:
    """A URL of a database without any of our tables."""
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("DROP SCHEMA public CASCADE")
        conn.execute("CREATE SCHEMA public")
    return db.dsn()


def test_migrating_twice_changes_nothing(empty: str) -> None:
    first, second = migrate(empty), migrate(empty)
    assert [name[:4] for name in first.applied][:2] == ["0001", "0002"]
    assert second.applied == ()
    assert second.flavour == first.flavour == "plain"


def test_two_migrations_at_once_wait_for_each_other(empty: str) -> None:
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: migrate(empty).applied, range(4)))
    assert sorted(len(applied) for applied in done)[:3] == [0, 0, 0]
    assert sum(len(applied) for applied in done) == len(load(MIGRATIONS, "plain"))


def test_a_changed_migration_is_refused(empty: str, folder: Path) -> None:
    migrate(empty, folder)
    (folder / "0001_init.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="changed"):
        migrate(empty, folder)


def test_a_migration_older_than_the_newest_is_refused(empty: str, folder: Path) -> None:
    migrate(empty, folder)
    (folder / "0000_late.sql").write_text("SELECT 1")
    with pytest.raises(MigrationError, match="older"):
        migrate(empty, folder)


def test_a_database_newer_than_the_release_is_refused(empty: str, folder: Path) -> None:
    (folder / "9999_future.sql").write_text("SELECT 1")
    migrate(empty, folder)
    (folder / "9999_future.sql").unlink()
    with pytest.raises(MigrationError, match="newer"):
        migrate(empty, folder)


def test_a_failing_migration_leaves_nothing_of_itself(empty: str, folder: Path) -> None:
    (folder / "9999_broken.sql").write_text("CREATE TABLE half (a int); SELECT 1/0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        migrate(empty, folder)
    with psycopg.connect(empty) as conn:
        assert conn.execute("SELECT to_regclass('half')").fetchone() == (None,)
        assert conn.execute("SELECT count(*) FROM schema_migration WHERE version = 9999").fetchone() == (0,)


def test_a_file_that_is_no_migration_is_refused(folder: Path) -> None:
    (folder / "notes.sql").write_text("")
    with pytest.raises(MigrationError, match=r"notes\.sql"):
        load(folder, "plain")


def test_both_flavours_have_the_same_numbers() -> None:
    assert [m.version for m in load(MIGRATIONS, "plain")] == [m.version for m in load(MIGRATIONS, "timescale")]
