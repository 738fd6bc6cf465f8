"""The audit log over a real PostgreSQL: sequenced, signed, published, verified, and bent by an insider."""

import asyncio
import dataclasses
import itertools
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from privacy.terms import Role
from privacy.transparency import tree
from privacy.transparency.checkpoint import issue
from privacy.transparency.edge import Edge
from privacy.transparency.finding import Fault
from privacy.transparency.note import Signer
from privacy.transparency.proof import Proof, check
from privacy.transparency.record import Record
from privacy.transparency.tiles import ENTRIES, Tile, entries_of
from privacy.transparency.verify import Report, Trust, verify
from server.config import LedgerConfig, ServerConfig
from server.ledger import sequencer
from server.ledger.desk import Desk
from server.ledger.metrics import LedgerMetrics
from server.ledger.sequencer import Sequencer
from server.publiclog.errors import BentLogError, UnpublishedError
from server.publiclog.folder import Folder
from server.publiclog.proofs import Prover
from server.store import audit, ledger
from server.store.connection import Connection, DatabaseError, connect

pytestmark = pytest.mark.db
SIGNER = Signer("mimamori/mimamori", Ed25519PrivateKey.from_private_bytes(b"\1" * 32))
NOON_S = 1_800_000_000.0


def _record(number: int = 0) -> Record:
    return Record("place.viewed", 1_800_000_000_000 + number, Role.OFFICER, {"n": number}, {"ward": "w-1"})


class Office:
    """A ledger and those who write entries."""

    def __init__(self, config: ServerConfig, conn: Connection, writer: Connection, client: httpx.AsyncClient) -> None:
        self.config, self.conn, self.writer, self._client = config, conn, writer, client
        self.folder = Folder(config.log_dir)
        self.now_s = NOON_S
        self.desk = self.new_desk()

    def new_desk(self) -> Desk:
        """As after a restart: nothing is left but the tables and the files."""
        return Desk(self.config, SIGNER, None, self.folder, self._client, LedgerMetrics(), lambda: self.now_s)

    async def write(self, count: int = 1) -> list[int]:
        async with self.writer.transaction():
            return [await audit.append(self.writer, _record(number)) for number in range(count)]

    async def work(self) -> None:
        while await self.desk.step(self.conn):
            pass
        await self.desk._publish(self.conn)

    async def write_and_work(self, count: int) -> list[int]:
        entries = await self.write(count)
        await self.work()
        return entries

    def verified(self) -> Report:
        return verify(self.folder, Trust([SIGNER.verifier()]))

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """As the owner, who may do anything."""
        with psycopg.connect(self.config.dsn(), autocommit=True) as conn:
            done = conn.execute(query.encode(), values)
            return done.fetchall() if done.description else []


@pytest.fixture
async def office(db: ServerConfig) -> AsyncIterator[Office]:
    config = dataclasses.replace(db, ledger=LedgerConfig(checkpoint_s=0.05))
    conn, writer = await connect(db.dsn("ledger")), await connect(db.dsn("warden"))
    async with httpx.AsyncClient() as client:
        made = Office(config, conn, writer, client)
        await made.desk.begin(conn)
        yield made
    await conn.close()
    await writer.close()


async def test_entries_are_published_in_order_and_the_log_is_whole(office: Office) -> None:
    await office.write_and_work(300)
    await office.write_and_work(300)
    report = office.verified()
    assert report.is_whole
    assert report.entries == 600
    bodies = [bytes(row[0]) for row in office.ask("SELECT body FROM audit_entry ORDER BY id")]
    published = [office.folder.tile(Tile(ENTRIES, n, w)) for n, w in ((0, 256), (1, 256), (2, 88))]
    assert list(itertools.chain.from_iterable(map(entries_of, published))) == bodies


async def test_an_empty_log_has_a_checkpoint_and_is_whole(office: Office) -> None:
    report = office.verified()
    assert report.is_whole
    assert report.checkpoint is not None
    assert report.checkpoint.head == Edge().head()


async def test_a_transaction_that_commits_late_is_not_skipped(office: Office) -> None:
    late = await connect(office.config.dsn("warden"))
    async with late.transaction():
        first = await audit.append(late, _record(1))
        (second,) = await office.write_and_work(1)
        assert first < second
        assert office.desk.size == 1
    await office.work()
    await late.close()
    assert office.ask("SELECT index, entry_id FROM audit_leaf ORDER BY index") == [(0, second), (1, first)]
    assert office.verified().is_whole


async def test_an_entry_of_a_transaction_that_failed_is_not_in_the_log(office: Office) -> None:
    async def fail() -> None:
        async with office.writer.transaction():
            await audit.append(office.writer, _record())
            raise LookupError

    with pytest.raises(LookupError):
        await fail()
    await office.write_and_work(1)
    assert office.desk.size == 1


async def _refuse(office: Office, obstacle: str) -> None:
    """Do what a service does: answer in the transaction of the entry; the obstacle is in the way of the log."""
    office.ask(obstacle)
    async with office.writer.transaction():
        await office.writer.execute("SET LOCAL lock_timeout = '200ms'")
        await office.writer.execute("CREATE TEMPORARY TABLE answered AS SELECT 1 AS answer")
        await audit.append(office.writer, _record())


@pytest.mark.parametrize(
    "obstacle",
    [
        "REVOKE INSERT ON audit_entry FROM warden",
        "REVOKE INSERT ON audit_opening FROM warden",
        "ALTER TABLE audit_pending RENAME TO gone",
        "CREATE TRIGGER broken BEFORE INSERT ON audit_entry FOR EACH ROW EXECUTE FUNCTION audit_append_only()",
        "ALTER TABLE audit_entry ADD CONSTRAINT full_disk CHECK (false) NOT VALID",
    ],
)
async def test_if_the_log_cannot_be_written_nothing_is_answered(office: Office, obstacle: str) -> None:
    with pytest.raises(DatabaseError):
        await _refuse(office, obstacle)
    left = await office.writer.execute("SELECT to_regclass('pg_temp.answered')")
    assert await left.fetchone() == (None,)
    assert office.ask("SELECT count(*) FROM audit_entry") == [(0,)]


async def test_if_the_log_is_locked_nothing_is_answered(office: Office) -> None:
    with psycopg.connect(office.config.dsn()) as conn:
        conn.execute("LOCK TABLE audit_entry")
        with pytest.raises(DatabaseError):
            await _refuse(office, "SELECT 1")
    left = await office.writer.execute("SELECT to_regclass('pg_temp.answered')")
    assert await left.fetchone() == (None,)


@pytest.mark.parametrize("role", ["warden", "clerk", "gate", "ledger", "api", "ingest", "notify"])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = 'xx'",
        "DELETE FROM audit_entry",
        "TRUNCATE audit_entry CASCADE",
        "UPDATE audit_leaf SET index = 9",
        "DELETE FROM audit_leaf",
        "UPDATE audit_tile SET index = 9",
        "INSERT INTO audit_entry (id, body) OVERRIDING SYSTEM VALUE VALUES (1, '{}'), (1, '{}')",
    ],
)
async def test_no_program_can_bend_the_log(office: Office, role: str, statement: str) -> None:
    await office.write_and_work(1)
    with psycopg.connect(office.config.dsn(role)) as conn, pytest.raises(psycopg.Error):
        conn.execute(statement.encode())


async def test_not_even_the_owner_changes_an_entry_without_taking_the_trigger_away(office: Office) -> None:
    await office.write_and_work(1)
    for statement in ("UPDATE audit_entry SET body = 'xx'", "DELETE FROM audit_leaf", "TRUNCATE audit_leaf"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            office.ask(statement)


async def test_after_a_restart_the_tree_goes_on_as_it_was(office: Office) -> None:
    for count in (1, 255, 1, 600):
        await office.write_and_work(count)
        office.desk = office.new_desk()
        await office.desk.begin(office.conn)
    await office.write_and_work(5)
    assert office.verified().is_whole
    assert office.desk.size == 862


async def test_a_large_batch_fills_tiles_of_two_levels(office: Office) -> None:
    office.ask(
        """INSERT INTO audit_entry (body)
           SELECT convert_to('{"n":' || n || '}', 'UTF8') FROM generate_series(1, 66000) AS n"""
    )
    await office.work()
    assert office.ask("SELECT level, count(*) FROM audit_tile GROUP BY 1") == [(1, 1)]
    office.desk = office.new_desk()
    await office.desk.begin(office.conn)
    await office.write_and_work(1)
    assert office.verified().is_whole


async def test_a_second_writer_sees_that_the_head_has_changed(office: Office) -> None:
    await office.write_and_work(3)
    other, conn = Sequencer(SIGNER), await connect(office.config.dsn("ledger"))
    await other.load(conn)
    await office.write_and_work(2)
    await office.write(1)
    assert await other.step(conn) == 1
    await conn.close()
    await office.write_and_work(1)
    assert office.desk.size == 7
    assert office.verified().is_whole


async def test_entries_that_were_taken_out_of_the_queue_are_found_again(office: Office) -> None:
    await office.write(3)
    office.ask("DELETE FROM audit_pending")
    assert await ledger.requeue(office.conn) == 3
    await office.work()
    assert office.desk.size == 3
    assert await ledger.requeue(office.conn) == 0


async def test_a_new_entry_is_told_of(office: Office) -> None:
    await ledger.listen(office.conn)
    heard = asyncio.create_task(ledger.heard(office.conn, 30.0))
    await asyncio.sleep(0.1)
    await office.write(1)
    await asyncio.wait_for(heard, 5)


async def test_a_head_of_each_day_is_published_once(office: Office) -> None:
    await office.write_and_work(1)
    first = office.folder.days()
    kept = office.folder.text(f"daily/{first[0]}")
    await office.write_and_work(1)
    assert office.folder.text(f"daily/{first[0]}") == kept
    office.now_s += 86_400
    await office.write_and_work(1)
    assert len(office.folder.days()) == 2
    assert office.verified().heads == 2


async def test_full_tiles_take_the_place_of_their_parts(office: Office) -> None:
    await office.write_and_work(10)
    assert (office.folder.path / "tile/0/000.p/10").exists()
    await office.write_and_work(250)
    assert not (office.folder.path / "tile/0/000.p").exists()
    assert not (office.folder.path / "tile/entries/000.p").exists()
    assert (office.folder.path / "tile/entries/001.p/4").exists()


async def test_a_proof_names_the_ward_to_whom_it_is_handed_and_nobody_after_the_erasure(office: Office) -> None:
    entries = await office.write_and_work(700)
    body, index = await ledger.entry(office.conn, entries[400]) or (b"", None)
    assert index == 400
    owner = await connect(office.config.dsn())
    openings = await ledger.openings(owner, entries[400], ["ward"])
    proof = Prover(office.folder).proof(index, body, openings)
    found = check(Proof.parse(proof.text()), [SIGNER.verifier()])
    assert found.named == {"ward": "w-1"}
    assert b"w-1" not in body
    office.ask("DELETE FROM audit_opening WHERE value = 'w-1'")
    assert await ledger.openings(owner, entries[400]) == []
    await owner.close()
    assert office.verified().is_whole


async def test_what_is_not_published_has_no_proof_yet(office: Office) -> None:
    (entry,) = await office.write(1)
    await office.desk.step(office.conn)
    body, index = await ledger.entry(office.conn, entry) or (b"", None)
    assert index == 0
    with pytest.raises(UnpublishedError):
        Prover(office.folder).proof(index, body)


def _unlocked(office: Office, statement: str) -> None:
    """As an insider with the owner's rights."""
    for table in ("audit_entry", "audit_leaf", "audit_tile"):
        office.ask(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    office.ask(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entry SET body = '{}' WHERE id = (SELECT min(id) FROM audit_entry)",
        "DELETE FROM audit_leaf WHERE index = 4",
        "DELETE FROM audit_leaf WHERE index = 2",
    ],
)
async def test_a_database_that_was_bent_is_not_published_and_not_signed(office: Office, statement: str) -> None:
    await office.write(5)
    await office.desk.step(office.conn)
    _unlocked(office, statement)
    with pytest.raises(BentLogError):
        await office.work()
    assert office.verified().is_whole


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_leaf SET hash = sha256(hash) WHERE index = 299",
        "UPDATE audit_leaf SET hash = sha256(hash) WHERE index = 3",
        "UPDATE audit_head SET size = size - 1",
        "UPDATE audit_head SET note = replace(note, '300', '301')",
        "DELETE FROM audit_head; DELETE FROM audit_leaf",
    ],
)
async def test_a_database_that_was_bent_is_not_opened(office: Office, statement: str) -> None:
    await office.write_and_work(300)
    _unlocked(office, statement)
    office.desk = office.new_desk()
    with pytest.raises(BentLogError):
        await office.desk.begin(office.conn)


async def test_a_folder_that_was_bent_is_not_continued(office: Office) -> None:
    await office.write_and_work(300)
    bundle = office.folder.path / Tile(ENTRIES, 1, 44).path
    bundle.write_bytes(bundle.read_bytes().replace(b"officer", b"manager"))
    office.desk = office.new_desk()
    with pytest.raises(BentLogError):
        await office.desk.begin(office.conn)


async def test_a_database_older_than_what_is_published_is_not_continued(office: Office) -> None:
    await office.write_and_work(10)
    note = issue(SIGNER, _head_of(20)).whole()
    office.folder.write("checkpoint", note.encode())
    office.desk = office.new_desk()
    with pytest.raises(BentLogError):
        await office.desk.begin(office.conn)


def _head_of(size: int) -> tree.Head:
    edge = Edge()
    for number in range(size):
        edge.grow(tree.leaf_hash(b"%d" % number))
    return edge.head()


Edit = Callable[[list[bytes]], list[bytes]]


async def test_what_an_insider_with_the_log_key_makes_is_exposed_by_a_head_that_was_kept(office: Office) -> None:
    await office.write_and_work(300)
    kept = office.folder.text("checkpoint")
    _unlocked(office, "UPDATE audit_entry SET body = '{}' WHERE id = (SELECT min(id) + 5 FROM audit_entry)")
    office.ask("INSERT INTO audit_pending SELECT id FROM audit_entry")
    office.ask("DELETE FROM audit_leaf")
    office.ask("DELETE FROM audit_head")
    for file in sorted(office.folder.path.rglob("*"), reverse=True):
        file.rmdir() if file.is_dir() else file.unlink()
    office.desk = office.new_desk()
    await office.desk.begin(office.conn)
    await office.work()
    assert office.verified().is_whole  # its signature is right: the key is the log's own
    report = verify(office.folder, Trust([SIGNER.verifier()], heads=[("home", kept)]))
    assert [(one.fault, one.first, one.last) for one in report.findings] == [(Fault.OLD_HEAD, 0, 299)]


async def test_batches_are_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequencer, "BATCH", 10)
    await office.write(25)
    assert [await office.desk.step(office.conn) for _ in range(4)] == [10, 10, 5, 0]
