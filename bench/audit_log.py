"""The audit log: entries appended, sequenced and published, the whole of it verified, proofs made.

python -m bench.audit_log           # a million entries, a few minutes
python -m bench.audit_log --small   # a hundred thousand

Everything is real: PostgreSQL with its durable settings, the ledger's own code, `mimamori audit verify` as a program
of its own. Times are wall time: most of it is the disk's. What was verified is said as entries and seconds.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx
import psycopg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.terms import Role
from privacy.transparency.note import Note, Signer
from privacy.transparency.proof import check
from privacy.transparency.record import Record
from server import keys, notekey
from server.config import LedgerConfig, ServerConfig
from server.embedded.postgres import SMALL, Postgres
from server.ledger.desk import Desk
from server.ledger.metrics import LedgerMetrics
from server.publiclog.folder import Folder
from server.publiclog.proofs import Prover
from server.store import audit, ledger
from server.store.connection import Connection, connect
from server.store.migrate import migrate

_WRITERS: Final = 16
_PROOFS: Final = 300
_FILL: Final = """
INSERT INTO audit_entry (body)
SELECT convert_to(format(
    '{"at_ms":%%s,"committed":{"account":"%%s","officer":"%%s"},"facts":{"action":"viewFootage","agency":"kakogawa",'
    '"allowed":true,"case":"2026-%%s","policies":"R05-two-approvers,R11-named-officer","policy_set":"%%s",'
    '"purpose":"crime"},"kind":"footage.viewed","role":"officer","v":1}',
    1800000000000 + n, encode(sha256(n::text::bytea), 'hex'), encode(sha256((-n)::text::bytea), 'hex'),
    lpad((n %% 9000)::text, 4, '0'), left(encode(sha256('policies'), 'hex'), 16)), 'UTF8')
FROM generate_series(1, %s) AS n
"""


@dataclass(frozen=True, slots=True)
class Scope:
    """How much is measured.

    Attributes:
        entries: in the log that is verified.
        appends: of each way to write.
    """

    entries: int
    appends: int


FULL: Final = Scope(1_000_000, 4_000)
FEW: Final = Scope(100_000, 1_500)


def measure(small: bool) -> dict[str, float]:  # noqa: FBT001 - as the other parts of bench-privacy are called
    """Return the figures of the audit log.

    Returns:
        append_per_s: entries given their place, batch by batch, each batch signed and committed; the goal is 20,000.
        commit_per_s: transactions that write one entry each, 16 connections at once.
        commit_one_per_s: likewise, one connection.
        publish_per_s: entries written into the public folder, every file synced.
        entries, verify_s: what `mimamori audit verify` read, and in how long.
        proof_bytes, proof_ms: a whole proof file with the entry and three cosignatures; its making.
    """
    scope = FEW if small else FULL
    with tempfile.TemporaryDirectory(prefix="mmb-") as made:
        place = Path(made)
        place.chmod(0o755)
        with Postgres(place, SMALL) as server:
            migrate(server.dsn())
            config = ServerConfig(state_dir=place, ledger=LedgerConfig(checkpoint_s=0.05))
            keys.make(config)
            figures = asyncio.run(_ledger(config, scope))
        return figures | _verified(config, scope)


async def _ledger(config: ServerConfig, scope: Scope) -> dict[str, float]:
    signer = notekey.load(config.keys_dir / keys.LOG, config.log_origin)
    conn, folder = await connect(config.dsn("ledger")), Folder(config.log_dir)
    async with httpx.AsyncClient() as client:
        desk = Desk(config, signer, None, folder, client, LedgerMetrics())
        await desk.begin(conn)
        figures = {
            "commit_one_per_s": await _commits(config, 1, scope.appends // 2),
            "commit_per_s": await _commits(config, _WRITERS, scope.appends),
        }
        with psycopg.connect(config.dsn(), autocommit=True) as owner:
            row = owner.execute("SELECT count(*) FROM audit_entry").fetchone()
            owner.execute(_FILL.encode(), (scope.entries - (row[0] if row else 0),))
            owner.execute("VACUUM ANALYZE audit_entry, audit_pending")
        figures["append_per_s"] = scope.entries / await _sequenced(desk, conn)
        start_s = time.perf_counter()
        await desk._publish(conn)  # noqa: SLF001 - the one step that is timed
        figures["publish_per_s"] = scope.entries / (time.perf_counter() - start_s)
        figures |= await _proofs(conn, folder, signer)
    await conn.close()
    return figures


async def _commits(config: ServerConfig, writers: int, count: int) -> float:
    """Return how many transactions of one entry each are committed in a second."""
    connections = [await connect(config.dsn("warden")) for _ in range(writers)]
    record = Record("footage.viewed", 1_800_000_000_000, Role.OFFICER, {"case": "2026-0001"}, {"account": "o-1"})

    async def write(conn: Connection) -> None:
        for _ in range(count // writers):
            async with conn.transaction():
                await audit.append(conn, record)

    start_s = time.perf_counter()
    await asyncio.gather(*(write(conn) for conn in connections))
    took_s = time.perf_counter() - start_s
    for conn in connections:
        await conn.close()
    return count // writers * writers / took_s


async def _sequenced(desk: Desk, conn: Connection) -> float:
    start_s = time.perf_counter()
    while await desk.step(conn):
        pass
    return time.perf_counter() - start_s


async def _proofs(conn: Connection, folder: Folder, signer: Signer) -> dict[str, float]:
    """Return size and time of proofs under a head that three witnesses cosigned, of entries anywhere in the log."""
    note = Note.parse(folder.text("checkpoint"))
    witnesses = [Signer(f"witness-{number}.example/w", Ed25519PrivateKey.generate()) for number in range(3)]
    note = note.plus(one.cosign(note.text, 1_800_000_000) for one in witnesses)
    folder.write("witnessed", note.whole().encode())
    (first,) = await (await conn.execute("SELECT min(entry_id), count(*) FROM audit_leaf")).fetchall()
    ids = random.Random(3).sample(range(first[0], first[0] + first[1] - 1), _PROOFS)
    prover, times, sizes = Prover(folder), list[float](), list[int]()
    for entry_id in ids:
        found = await ledger.entry(conn, entry_id)
        if found is None or found[1] is None:  # a number that a transaction gave up
            continue
        start_s = time.perf_counter()
        text = prover.proof(found[1], found[0]).text()
        times.append(time.perf_counter() - start_s)
        sizes.append(len(text.encode()))
        check(prover.proof(found[1], found[0]), [signer.verifier()])
    return {"proof_bytes": statistics.median(sizes), "proof_ms": statistics.median(times) * 1e3,
            "proof_max_ms": max(times) * 1e3}  # fmt: skip


def _verified(config: ServerConfig, scope: Scope) -> dict[str, float]:
    """Return what the program that anybody runs says, and in how long from its start to its end."""
    vkey = str(config.keys_dir / keys.LOG_VKEY)
    command = [sys.executable, "-m", "server", "audit", "verify", str(config.log_dir), "--key", vkey, "--json"]
    start_s = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=dict(os.environ))
    took_s = time.perf_counter() - start_s
    report = json.loads(done.stdout)
    if not report["whole"] or report["entries"] != scope.entries:
        raise RuntimeError(f"the log was not verified whole: {done.stdout}")
    return {"entries": report["entries"], "verify_s": took_s}


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="a tenth of the entries")
    start_s = time.perf_counter()
    figures = measure(parser.parse_args().small)
    for name, value in figures.items():
        print(f"{name:<18} {value:>14,.2f}")
    print(f"{'took_s':<18} {time.perf_counter() - start_s:>14,.2f}")
    print(json.dumps(figures))


if __name__ == "__main__":
    _main()
