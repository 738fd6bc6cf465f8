import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from server.embedded import place
from server.embedded.postgres import DURABLE_OFF, SMALL, AlreadyRunningError, Postgres, PostgresError, answers

pytestmark = pytest.mark.db
FAST = {**SMALL, **DURABLE_OFF, "shared_buffers": "16MB"}


@pytest.fixture
def state_dir(open_dir: Path) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir=open_dir) as made:
        Path(made).chmod(0o755)
        yield Path(made) / "state"


def _count(server: Postgres) -> int:
    with psycopg.connect(server.dsn()) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS t (x int)")
        connection.execute("INSERT INTO t VALUES (1)")
        row = connection.execute("SELECT count(*) FROM t").fetchone()
    assert row
    return int(row[0])


def test_data_outlive_a_stop(state_dir: Path) -> None:
    server = Postgres(state_dir, FAST)
    with server:
        assert _count(server) == 1
    assert not answers(server.dsn())
    with server:
        assert _count(server) == 2


def test_a_living_stranger_with_the_old_pid_does_not_hinder(state_dir: Path) -> None:
    server = Postgres(state_dir, FAST)
    server.start()
    _count(server)
    server.process.kill()
    server.process.wait()
    file = server.place.data_dir / "postmaster.pid"
    uid = {} if server.place.account is None else {"user": server.place.account.uid}
    with subprocess.Popen(["sleep", "60"], **uid) as stranger:  # type: ignore[call-overload]  # one keyword of many
        server.stop()
        file.write_text("\n".join([str(stranger.pid), *file.read_text().splitlines()[1:]]) + "\n")
        with server:
            assert _count(server) == 2
        stranger.kill()


def test_a_server_left_by_a_killed_launcher_is_taken_over(state_dir: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from server.embedded.postgres import Postgres;"
        f"p = Postgres(Path({str(state_dir)!r}), {FAST!r}); p.start(); print(p.process.pid, flush=True);"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    left = int(done.stdout)
    assert psutil.pid_exists(left)
    with Postgres(state_dir, FAST) as server:
        assert server.process.pid != left
        assert not psutil.pid_exists(left)
        assert _count(server) == 1


def test_two_launchers_do_not_share_a_state_directory(state_dir: Path) -> None:
    with Postgres(state_dir, FAST), pytest.raises(AlreadyRunningError):
        Postgres(state_dir, FAST).start()


def test_only_the_account_itself_may_enter(state_dir: Path) -> None:
    with Postgres(state_dir, FAST) as server:
        assert server.place.data_dir.stat().st_mode & 0o077 == 0
        assert server.place.socket_dir.stat().st_mode & 0o077 == 0
        with psycopg.connect(server.dsn()) as connection:
            row = connection.execute(
                "SELECT current_setting('listen_addresses'), datlocprovider, datlocale FROM pg_database"
            ).fetchone()
    assert row == ("", "b", "C.UTF-8")


def test_a_setting_that_postgres_refuses_is_an_error_that_names_the_log(state_dir: Path) -> None:
    server = Postgres(state_dir, {**FAST, "shared_buffers": "nonsense"})
    with pytest.raises(PostgresError, match=r"postgres\.log"):
        server.start()
    with Postgres(state_dir, FAST) as again:
        assert _count(again) == 1


def _as_root() -> bool:
    return os.geteuid() == 0


if _as_root():  # what only root can get wrong is asked of root alone; nothing is left out for others

    def test_below_a_closed_directory_data_go_elsewhere_and_no_mode_changes(tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        with Postgres(closed / "state", FAST) as server:
            assert server.place.data_dir.is_relative_to("/var/lib/mimamori")
            assert _count(server) == 1
        assert closed.stat().st_mode & 0o777 == 0o700
        _remove(server)

    def test_data_of_a_deleted_state_directory_are_set_aside_not_used(tmp_path: Path) -> None:
        closed = tmp_path / "closed"
        closed.mkdir(mode=0o700)
        with Postgres(closed / "state", FAST) as server:
            _count(server)
        (closed / "state" / "postgres.json").unlink()
        with Postgres(closed / "state", FAST) as server:
            assert _count(server) == 1
        aside = list(server.place.data_dir.parent.parent.glob(f"{server.place.data_dir.parent.name}.*"))
        assert len(aside) == 1
        _remove(server)

    def _remove(server: Postgres) -> None:
        folder = server.place.data_dir.parent
        for made in folder.parent.glob(f"{folder.name}*"):
            subprocess.run(["rm", "-rf", str(made)], check=True)


else:

    def test_an_ordinary_user_runs_it_as_himself(state_dir: Path) -> None:
        assert place.choose(state_dir).account is None


def test_a_long_path_moves_the_socket_alone(open_dir: Path) -> None:
    chosen = place.choose(open_dir / ("x" * 90))
    assert len(str(chosen.socket_dir)) + len("/.s.PGSQL.5432.lock") <= 107
    assert chosen.data_dir.is_relative_to(open_dir) or _as_root()
