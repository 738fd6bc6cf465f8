"""Witnesses outside city hall: real processes that cosign, go away, come back, and expose an insider."""

import contextlib
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psycopg
import pytest

from privacy.transparency import tree
from privacy.transparency.checkpoint import issue
from privacy.transparency.edge import Edge
from privacy.transparency.tiles import ENTRIES, WIDTH, HashReader, Tile, bundle
from privacy.transparency.witnessing import Submission
from server import config as configuration
from server import keys, notekey
from server.config import ServerConfig
from tests.system import watched as town
from tests.system.watched import Watched, mimamori, until

pytestmark = [pytest.mark.db, pytest.mark.system, pytest.mark.timeout(180)]


@pytest.fixture
def watched(db: ServerConfig, tmp_path: Path) -> Iterator[Watched]:
    with town.running(town.found(db, tmp_path)) as made:
        yield made


def _all_witnessed(watched: Watched) -> Callable[[], bool]:
    return lambda: watched.size_of("witnessed") == len(watched.written)


def test_three_witnesses_cosign_and_two_are_enough(watched: Watched) -> None:
    watched.write(300)
    until(_all_witnessed(watched))
    watched.witnesses[0].program.end(signal.SIGTERM)
    watched.write(5)
    until(_all_witnessed(watched))
    report = watched.with_policy()
    assert (report["whole"], report["witnessed"], report["exit_code"]) == (True, 305, 0)
    assert report["heads"] == 2  # of the day, and the newest that was cosigned


def test_without_a_quorum_the_state_is_shown_and_nothing_is_lost(watched: Watched) -> None:
    watched.write(10)
    until(_all_witnessed(watched))
    for witness in watched.witnesses[:2]:
        witness.program.end()
    watched.write(10)
    until(lambda: watched.size_of("checkpoint") == 20)
    until(lambda: "Too few witnesses" in mimamori("audit", "show", "--config", str(watched.file)).stdout)
    shown = mimamori("audit", "show", "--config", str(watched.file)).stdout
    assert shown.count(" away ") == 2
    assert "証人の署名が足りません" in shown
    report = watched.with_policy()
    assert [(one["fault"], one["first"], one["last"]) for one in report["findings"]] == [("unwitnessed", 10, 19)]
    assert watched.verified()["whole"] is True
    watched.witnesses[0].start()
    until(_all_witnessed(watched))
    assert watched.with_policy()["witnessed"] == 20


def test_a_witness_that_is_killed_remembers_what_it_cosigned(watched: Watched) -> None:
    watched.write(10)
    until(_all_witnessed(watched))
    one = watched.witnesses[0]
    one.program.end()
    one.start()
    watched.ledger.end()
    signer = notekey.load(watched.config.keys_dir / keys.LOG, watched.config.log_origin)
    fork = issue(signer, tree.Head(12, bytes(32))).whole()
    answer = httpx.post(f"{one.url}/add-checkpoint", content=Submission(0, (), fork).text().encode())
    assert answer.status_code == 409
    assert int(answer.text) >= 10 or (answer.text == "0\n" and one.name not in watched.folder.text("witnessed"))


def _copy_of_database(watched: Watched, name: str) -> str:
    """Make a copy of the database as it is now, as a backup is one; return its URL."""
    url = watched.config.database.url
    with psycopg.connect(url) as conn:
        this = conn.info.dbname
    with psycopg.connect(url, dbname="postgres", autocommit=True) as admin:
        admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{this}'".encode())
        admin.execute(f"CREATE DATABASE {name} TEMPLATE {this}".encode())
    return psycopg.conninfo.make_conninfo(url, dbname=name)


@contextlib.contextmanager
def _restored(watched: Watched, url: str) -> Iterator[Watched]:
    """Put an old copy of the database and an empty folder in the place of what the city had."""
    watched.ledger.end()
    shutil.rmtree(watched.config.log_dir)
    database = dataclasses.replace(watched.config.database, url=url)
    config = dataclasses.replace(watched.config, database=database)
    configuration.save(config, watched.file)
    old = dataclasses.replace(watched, config=config, written=[])
    try:
        yield old
    finally:
        old.ledger.end()
        name = psycopg.conninfo.conninfo_to_dict(url)["dbname"]
        with psycopg.connect(watched.config.database.url, dbname="postgres", autocommit=True) as admin:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_restored_backup_signs_nothing(watched: Watched) -> None:
    watched.write(10)
    until(_all_witnessed(watched))
    watched.ledger.end()
    url = _copy_of_database(watched, "restored_1")
    watched.ledger.start()
    watched.write(10)
    until(_all_witnessed(watched))
    with _restored(watched, url) as old:
        old.ledger.start()
        until(lambda: "ledger.refuses" in old.ledger.said())
        before = old.ask("SELECT size, note FROM audit_head")
        old.write(3)
        states = dict(old.ask("SELECT name, state FROM audit_witness"))
        assert old.ask("SELECT size, note FROM audit_head") == before
        assert old.ask("SELECT count(*) FROM audit_pending") == [(3,)]
        assert old.size_of("checkpoint") == -1
        assert "knows-larger" in states.values()


def test_nothing_is_signed_before_enough_witnesses_have_vouched_for_the_log(watched: Watched) -> None:
    watched.write(5)
    until(_all_witnessed(watched))
    watched.ledger.end()
    for witness in watched.witnesses[:2]:
        witness.program.end()
    watched.ledger.start()
    until(lambda: "ledger.unvouched" in watched.ledger.said())
    watched.write(5)
    assert watched.sequenced() == 5
    watched.witnesses[1].start()
    until(_all_witnessed(watched))
    assert watched.with_policy()["witnessed"] == 10


def _rewrite(watched: Watched, index: int) -> None:
    """As an insider with database and log key: change an entry, compute every file anew, sign every head."""
    for table in ("audit_entry", "audit_leaf", "audit_tile"):
        watched.ask(f"ALTER TABLE {table} DISABLE TRIGGER ALL")
    watched.ask(
        f"UPDATE audit_entry SET body = '{{}}' WHERE id = (SELECT entry_id FROM audit_leaf WHERE index = {index})"
    )
    rows = watched.ask("SELECT e.body FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id ORDER BY l.index")
    bodies, edge, folder = [bytes(row[0]) for row in rows], Edge(), watched.folder
    signer = notekey.load(watched.config.keys_dir / keys.LOG, watched.config.log_origin)
    days = {day: int(folder.text(f"daily/{day}").split("\n")[1]) for day in folder.days()}
    shutil.rmtree(folder.path / "tile")
    (folder.path / "witnessed").unlink()
    for number, body in enumerate(bodies, start=1):
        folder.write_tiles(edge.grow(tree.leaf_hash(body)))
        for day in [day for day, size in days.items() if size == number]:
            folder.write(f"daily/{day}", issue(signer, edge.head()).whole().encode())
    folder.write_tiles(edge.partial())
    for begin in range(0, len(bodies), WIDTH):
        part = bodies[begin : begin + WIDTH]
        folder.write_tiles([(Tile(ENTRIES, begin // WIDTH, len(part)), bundle(part))])
    folder.write("checkpoint", issue(signer, edge.head()).whole().encode())
    watched.ask(f"UPDATE audit_head SET frontier = '\\x{edge.frontier.octets().hex()}'")


def test_an_insider_with_database_and_log_key_is_exposed_by_the_witnesses(watched: Watched, tmp_path: Path) -> None:
    watched.write(300)
    until(_all_witnessed(watched))
    kept = tmp_path / "kept"
    kept.write_text(httpx.get(f"{watched.witnesses[2].url}/checkpoint/{watched.config.log_origin}").text)
    watched.ledger.end()
    _rewrite(watched, 7)
    assert watched.verified()["whole"] is True  # signed by the log's own key, and consistent in itself
    report = watched.with_policy()
    assert (report["whole"], report["exit_code"]) == (False, 1)
    assert [one["fault"] for one in report["findings"]] == ["no_quorum"]
    report = watched.with_policy("--head", str(kept))
    assert "old_head" in [one["fault"] for one in report["findings"]]


def test_witnesses_do_not_cosign_what_an_insider_rewrote(watched: Watched) -> None:
    watched.write(300)
    until(_all_witnessed(watched))
    watched.ledger.end()
    _rewrite(watched, 7)
    folder, size = watched.folder, 300
    forged = folder.text("checkpoint")
    for witness in watched.witnesses:
        body = Submission(size, (), forged).text().encode()
        assert httpx.post(f"{witness.url}/add-checkpoint", content=body).status_code == 409
        proof = tree.consistency_proof(HashReader(folder.tile, size), 299, size)
        body = Submission(299, tuple(proof), forged).text().encode()
        assert httpx.post(f"{witness.url}/add-checkpoint", content=body).status_code == 409


def test_a_proof_made_by_the_city_is_checked_by_anybody(watched: Watched, tmp_path: Path) -> None:
    watched.write(20)
    until(_all_witnessed(watched))
    entry = watched.written[12][0]
    proof, vkey = tmp_path / "mine.tlog-proof", str(watched.config.keys_dir / keys.LOG_VKEY)
    made = mimamori("audit", "proof", str(entry), "--out", str(proof), "--config", str(watched.file))
    assert made.returncode == 0, made.stderr
    checked = mimamori("audit", "check-proof", str(proof), "--key", vkey, "--policy", str(watched.policy))
    assert checked.returncode == 0, checked.stderr
    assert "case.approved" in checked.stdout
    lines = proof.read_text().split("\n")
    lines[2] = "index 13"
    proof.write_text("\n".join(lines))
    forged = mimamori("audit", "check-proof", str(proof), "--key", vkey)
    assert forged.returncode == 2
    assert "正しくありません" in forged.stderr


def test_the_verifier_needs_no_configuration_and_no_server(watched: Watched, tmp_path: Path) -> None:
    watched.write(5)
    until(_all_witnessed(watched))
    copy = tmp_path / "elsewhere" / "copy"
    shutil.copytree(watched.config.log_dir, copy)
    vkey = (watched.config.keys_dir / keys.LOG_VKEY).read_text().strip()
    command = [sys.executable, "-m", "server", "audit", "verify", str(copy), "--key", vkey, "--json"]
    env = {"PATH": "/nowhere", "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["entries"] == 5
