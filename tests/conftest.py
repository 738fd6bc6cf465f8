"""What tests of every folder share: a real PostgreSQL, real brokers, and a skip that is a failure in CI."""

import contextlib
import itertools
import operator
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from server.config import BrokerConfig, DatabaseConfig, KeystoreConfig, ServerConfig
from server.embedded.broker import Broker, free_port
from server.embedded.postgres import DURABLE_OFF, SMALL, Postgres

SYSTEM = Path(__file__).parent / "system"
MEMORY = Path("/dev/shm")
MEMORY_OCTETS = 4_000_000_000
IN_CI = os.environ.get("CI") == "true"
MOSQUITTO = shutil.which("mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid}: skipped in CI, where no test may be left out\n{report.longreprtext}"
    return report


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the files of system tests over the first part of the run: they wait while others work."""
    files = [list(tests) for _, tests in itertools.groupby(items, key=lambda item: item.path)]
    waiting = [tests for tests in files if SYSTEM in tests[0].path.parents]
    working = [tests for tests in files if SYSTEM not in tests[0].path.parents]
    before = itertools.accumulate(map(len, working), initial=0)
    placed = [(2 / 3 * number / len(waiting), tests) for number, tests in enumerate(waiting)]
    placed += [(done / len(items), tests) for done, tests in zip(before, working, strict=False)]
    items[:] = itertools.chain.from_iterable(tests for _, tests in sorted(placed, key=operator.itemgetter(0)))


@pytest.fixture(scope="session")
def open_dir() -> Iterator[Path]:
    """A directory that any account may enter, as PostgreSQL's must, with a path short enough for sockets.

    It is in memory where there is room: what is tested is a death of programs, not of the machine.
    """
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > MEMORY_OCTETS
    made = Path(tempfile.mkdtemp(prefix="mmt-", dir=MEMORY if has_room else None))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(open_dir: Path) -> Iterator[Postgres]:
    """One PostgreSQL for the whole run, durable enough for kill -9 and no more."""
    settings = {**SMALL, **DURABLE_OFF, "max_connections": "100", "max_wal_size": "256MB"}
    with Postgres(open_dir / "pg", settings) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: Postgres) -> str:
    """The name of a database with all migrations applied, to be cloned."""
    from server.store.migrate import migrate  # noqa: PLC0415 - tests of other packages need no store

    with psycopg.connect(postgres.dsn(dbname="postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE template_mimamori")
    migrate(postgres.dsn(dbname="template_mimamori"))
    return "template_mimamori"


@pytest.fixture(scope="session")
def keystore(postgres: Postgres) -> KeystoreConfig:
    """One key store for the whole run, emptied for every database."""
    from server.store import ward_key  # noqa: PLC0415 - as above

    url = postgres.dsn(dbname="test_keys")
    ward_key.prepare(url, beside=postgres.dsn(dbname="postgres"))
    return KeystoreConfig(url=url)


@pytest.fixture(scope="session")
def clone(postgres: Postgres, template: str) -> Callable[[], contextlib.AbstractContextManager[str]]:
    """Make a database out of the template; gives its URL, drops it at the end."""
    numbers = itertools.count(1)

    @contextlib.contextmanager
    def cloned() -> Iterator[str]:
        name = f"test_{next(numbers)}"
        with psycopg.connect(postgres.dsn(dbname="postgres"), autocommit=True) as admin:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")  # half the time
            try:
                yield postgres.dsn(dbname=name)
            finally:
                admin.execute(f"DROP DATABASE {name} WITH (FORCE)")

    return cloned


@pytest.fixture
def db(
    clone: Callable[[], contextlib.AbstractContextManager[str]], keystore: KeystoreConfig, tmp_path: Path
) -> Iterator[ServerConfig]:
    """A ServerConfig with a database of its own, migrated and empty: `db.dsn("ingest")`."""
    with clone() as url:
        with psycopg.connect(keystore.url, autocommit=True) as keys:
            keys.execute("TRUNCATE ward_key")
        yield ServerConfig(state_dir=tmp_path / "state", database=DatabaseConfig(url=url), keystore=keystore)


@dataclass(frozen=True)
class RunningBroker:
    """A broker to talk MQTT to.

    Attributes:
        name: "nats" or "mosquitto".
        url: as in a detector's configuration.
        config: the `[broker]` of a ServerConfig that uses it.
    """

    name: str
    url: str
    port: int

    @property
    def config(self) -> BrokerConfig:
        return BrokerConfig(url=self.url, tls=False)


@pytest.fixture(scope="session")
def broker(open_dir: Path) -> Iterator[RunningBroker]:
    """The embedded NATS, for the whole run. Use a city of your own in the topics to be alone on it."""
    config = BrokerConfig(tls=False, mqtt_port=free_port(), nats_port=free_port())
    with Broker(open_dir / "nats", config) as server:
        yield RunningBroker("nats", server.url, config.mqtt_port)


@pytest.fixture(scope="session")
def mosquitto(open_dir: Path) -> Iterator[RunningBroker]:
    """Debian's Mosquitto without persistence, for the whole run; skipped where it is not installed."""
    if MOSQUITTO is None:
        pytest.skip("mosquitto is not installed")
    port = free_port()
    config = open_dir / "mosquitto.conf"
    config.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nlog_type error\n")
    with subprocess.Popen(
        [MOSQUITTO, "-c", str(config)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT
    ) as process:
        _wait_until_it_listens(port)
        yield RunningBroker("mosquitto", f"mqtt://127.0.0.1:{port}", port)
        process.terminate()


def _wait_until_it_listens(port: int) -> None:
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
