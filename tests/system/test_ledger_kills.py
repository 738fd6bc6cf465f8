"""kill -9 of the ledger and of PostgreSQL at random moments: what was acknowledged is in the log, once, unchanged."""

import contextlib
import dataclasses
import random
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from privacy.terms import Role
from privacy.transparency.note import Verifier
from privacy.transparency.record import Record, seal
from privacy.transparency.verify import Trust, verify
from server import keys
from server.config import LedgerConfig, ServerConfig
from server.embedded.broker import free_port
from server.embedded.postgres import SMALL, Postgres
from server.store.migrate import migrate
from tests.system.watched import Program, Watched, until

pytestmark = [pytest.mark.db, pytest.mark.system, pytest.mark.timeout(300)]
LEDGER_KILLS, DATABASE_KILLS, WRITERS = 10, 4, 3


class _Writers:
    """Programs that write entries until told to stop; what the database acknowledged they remember."""

    def __init__(self, dsn: str) -> None:
        self._dsn, self._stop = dsn, threading.Event()
        self.acknowledged: dict[int, bytes] = {}
        self._threads = [threading.Thread(target=self._write, args=(number,)) for number in range(WRITERS)]
        for thread in self._threads:
            thread.start()

    def _write(self, writer: int) -> None:
        number = 0
        while not self._stop.is_set():
            # Away while it is killed; an entry of which nobody heard may be in the log or not.
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(self._dsn, autocommit=True) as conn:
                while not self._stop.is_set():
                    number += 1
                    record = Record("case.approved", number, Role.MANAGER, {"writer": writer}, {"officer": "o-1"})
                    body = seal(record).body
                    row = conn.execute("INSERT INTO audit_entry (body) VALUES (%s) RETURNING id", (body,)).fetchone()
                    assert row is not None
                    self.acknowledged[int(row[0])] = body
            time.sleep(0.02)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


def _kill(server: Postgres) -> None:
    """End every process of the server at once, as the power does."""
    postmaster = psutil.Process(server.process.pid)
    for process in (postmaster, *postmaster.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)
    server.process.wait()
    server.stop()


@pytest.fixture
def server(open_dir: Path) -> Iterator[Postgres]:
    """A PostgreSQL of its own, as durable as in a city."""
    with Postgres(open_dir / "audited", SMALL) as made:
        migrate(made.dsn())
        yield made


@pytest.fixture
def audited(server: Postgres, tmp_path: Path) -> Iterator[Watched]:
    config = ServerConfig(state_dir=server.state_dir, ledger=LedgerConfig(checkpoint_s=0.05, metrics_port=free_port()))
    config = dataclasses.replace(config, ledger=dataclasses.replace(config.ledger, publish_dir=str(tmp_path / "log")))
    keys.make(config)
    file = tmp_path / "mimamori.toml"
    file.write_text(config.to_toml())
    program = Program(("serve", "ledger", "--config", str(file)), tmp_path / "ledger.log")
    made = Watched(config, file, [], program)
    program.start()
    yield made
    program.end()


def test_killed_at_any_moment_nothing_that_was_acknowledged_is_lost_or_changed(
    audited: Watched, server: Postgres
) -> None:
    rng, heads = random.Random(5), dict[int, str]()
    writers = _Writers(audited.config.dsn("warden"))
    deaths = ["ledger"] * LEDGER_KILLS + ["database"] * DATABASE_KILLS
    rng.shuffle(deaths)
    try:
        for death in deaths:
            before = audited.size_of("checkpoint")
            until(lambda size=before: audited.size_of("checkpoint") > size, within_s=120)  # type: ignore[misc]
            time.sleep(rng.uniform(0.0, 0.4))
            heads[audited.size_of("checkpoint")] = audited.folder.text("checkpoint")
            if death == "ledger":
                audited.ledger.end()
                audited.ledger.start()
            else:
                _kill(server)
                server.start()
    finally:
        writers.stop()
    until(lambda: audited.ask("SELECT count(*) FROM audit_pending") == [(0,)], within_s=60)
    until(lambda: audited.size_of("checkpoint") == audited.sequenced(), within_s=60)
    rows = audited.ask("SELECT l.entry_id, e.body FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id")
    logged = {int(entry): bytes(body) for entry, body in rows}
    assert len(rows) == len(logged) >= len(writers.acknowledged) > 500
    assert {entry: logged.get(entry) for entry in writers.acknowledged} == writers.acknowledged
    vkey = Verifier.parse((audited.config.keys_dir / keys.LOG_VKEY).read_text().strip())
    report = verify(audited.folder, Trust([vkey], heads=[(str(size), note) for size, note in heads.items()]))
    assert report.findings == []
    assert report.entries == len(logged)
    assert report.heads >= len(heads) >= len(deaths) // 2
