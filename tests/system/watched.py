"""A city's ledger and three witnesses outside city hall, each a real process, over a real database."""

import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from privacy.terms import Role
from privacy.transparency.record import Record, seal
from server import keys
from server.config import LedgerConfig, ServerConfig
from server.embedded.broker import free_port
from server.publiclog.folder import Folder
from server.witness import setup

WITNESSES = 3


def mimamori(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    command = [sys.executable, "-m", "server", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def until(holds: Callable[[], bool], *, within_s: float = 90.0) -> None:
    """Wait until something holds; fail if it does not."""
    ends_s = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < ends_s, "this did not come about"
        time.sleep(0.05)


@dataclass
class Program:
    """A process of ours that is started, killed and started again."""

    arguments: tuple[str, ...]
    log_file: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            command = [sys.executable, "-m", "server", *self.arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)

    def end(self, number: int = signal.SIGKILL) -> None:
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, number)
            self.process.wait(30)
            self.process = None

    def said(self) -> str:
        return self.log_file.read_text() if self.log_file.exists() else ""


@dataclass
class Witness:
    """One witness: its folder, its port, its process."""

    name: str
    folder: Path
    port: int
    program: Program
    vkey: str = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self.program.start()
        until(self.answers)

    def answers(self) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"{self.url}/vkey", timeout=1).status_code == 200
        return False


@dataclass
class Watched:
    """The city and its witnesses."""

    config: ServerConfig
    file: Path
    witnesses: list[Witness]
    ledger: Program
    written: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def folder(self) -> Folder:
        return Folder(self.config.log_dir)

    @property
    def policy(self) -> Path:
        return Path(self.config.ledger.policy_file)

    def write(self, count: int = 1) -> None:
        """Write entries, each in a transaction of its own; those that were committed are remembered."""
        with psycopg.connect(self.config.dsn("warden"), autocommit=True) as conn:
            for number in range(count):
                body = seal(Record("case.approved", number, Role.MANAGER, {"case": "2026-0001"})).body
                row = conn.execute("INSERT INTO audit_entry (body) VALUES (%s) RETURNING id", (body,)).fetchone()
                assert row is not None
                self.written.append((row[0], body))

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            done = conn.execute(query.encode())
            return done.fetchall() if done.description else []

    def size_of(self, name: str) -> int:
        """Return the size that a published checkpoint shows, -1 if there is none."""
        lines = self.folder.text(name).split("\n")
        return int(lines[1]) if len(lines) > 3 else -1

    def sequenced(self) -> int:
        rows = self.ask("SELECT size FROM audit_head")
        return int(rows[0][0]) if rows else 0

    def verified(self, *more: str) -> dict[str, Any]:
        """What `mimamori audit verify` says, with its exit code."""
        vkey = str(self.config.keys_dir / keys.LOG_VKEY)
        done = mimamori("audit", "verify", str(self.config.log_dir), "--key", vkey, "--json", *more)
        assert done.stdout, done.stderr
        return {**json.loads(done.stdout), "exit_code": done.returncode}

    def with_policy(self, *more: str) -> dict[str, Any]:
        return self.verified("--policy", str(self.policy), *more)


def found(config: ServerConfig, place: Path) -> Watched:
    """Make keys, three witnesses and the policy; start nothing."""
    policy = place / "city.policy"
    ledger = LedgerConfig(checkpoint_s=0.1, policy_file=str(policy), metrics_port=free_port())
    config = dataclasses.replace(config, ledger=ledger)
    keys.make(config)
    file = place / "mimamori.toml"
    file.write_text(config.to_toml())
    witnesses = [_witness(f"w{number}", place, config) for number in range(1, WITNESSES + 1)]
    lines = [f"witness {one.name} {one.vkey} {one.url}" for one in witnesses]
    names = " ".join(one.name for one in witnesses)
    policy.write_text("\n".join([*lines, f"group panel 2 {names}", "quorum panel", ""]))
    serve = Program(("serve", "ledger", "--config", str(file)), place / "ledger.log")
    return Watched(config, file, witnesses, serve)


def _witness(name: str, place: Path, config: ServerConfig) -> Witness:
    folder, port = place / name, free_port()
    key = setup.create(folder, f"{name}.example/witness", [(config.keys_dir / keys.LOG_VKEY).read_text().strip()])
    program = Program(("witness", "serve", str(folder), "--port", str(port)), place / f"{name}.log")
    return Witness(name, folder, port, program, key.vkey)


@contextlib.contextmanager
def running(watched: Watched) -> Iterator[Watched]:
    """Start witnesses and ledger; end whatever of them is still alive."""
    try:
        for witness in watched.witnesses:
            witness.program.start()
        for witness in watched.witnesses:
            until(witness.answers)
        watched.ledger.start()
        yield watched
    finally:
        watched.ledger.end()
        for witness in watched.witnesses:
            witness.program.end()
