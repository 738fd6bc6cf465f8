"""Accounts from the command line: the first manager, cards, agencies, measures by two."""

import re

import psycopg
import pytest
from typer.testing import CliRunner, Result

from server import config as configuration
from server.cli import app
from server.config import ServerConfig

pytestmark = pytest.mark.db
runner = CliRunner()


@pytest.fixture
def run(db: ServerConfig) -> object:
    file = db.state_dir / "mimamori.toml"
    configuration.save(db, file)
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo')")
        conn.execute("INSERT INTO ward VALUES ('ward-1', 'mimamori', 'ゆい', 'Yui', NULL)")

    def invoke(*words: str) -> Result:
        return runner.invoke(app, [*words, "--config", str(file)])

    return invoke


def add(run: object, account: str, role: str, *more: str) -> Result:
    assert callable(run)
    done = run("account", "add", account, "--role", role, "--name-ja", "担当", "--name-en", "desk", *more)
    assert isinstance(done, Result)
    return done


def kinds(db: ServerConfig) -> list[str]:
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        rows = conn.execute("SELECT convert_from(body, 'UTF8')::jsonb->>'kind' FROM audit_entry ORDER BY id")
        return [str(row[0]) for row in rows.fetchall()]


def test_the_first_account_is_made_here_and_gets_a_card(run: object, db: ServerConfig) -> None:
    assert callable(run)
    assert add(run, "manager-1", "manager").exit_code == 0
    card = run("account", "card", "manager-1")
    assert re.search(r"code +([A-Z2-7]{4}-){6}[A-Z2-7]{2}", card.output)
    assert kinds(db) == ["account.decided", "account.changed", "account.decided", "card.made"]


def test_a_manager_manages_others_and_not_themselves(run: object, db: ServerConfig) -> None:
    assert callable(run)
    add(run, "manager-1", "manager")
    assert add(run, "handler-1", "handler", "--by", "manager-1").exit_code == 0
    refused = run("account", "card", "manager-1", "--by", "manager-1")
    assert "A03-not-oneself" in str(refused.exception)
    assert kinds(db)[-1] == "account.refused"


def test_a_handler_adds_nobody_and_nothing_is_half_done(run: object) -> None:
    assert callable(run)
    add(run, "handler-1", "handler")
    assert add(run, "handler-2", "handler", "--by", "handler-1").exit_code != 0
    assert "handler-2" not in run("account", "list").output


def test_an_officer_needs_an_agency_that_is_registered(run: object) -> None:
    assert callable(run)
    add(run, "manager-1", "manager")
    assert add(run, "officer-1", "officer", "--agency", "station").exit_code != 0
    names = ("--kind", "police", "--name-ja", "警察署", "--name-en", "Station", "--basis", "刑訴法197条2項")
    assert run("agency", "add", "station", *names, "--by", "manager-1").exit_code == 0
    assert add(run, "officer-1", "officer", "--agency", "station").exit_code == 0
    assert run("agency", "end", "station", "--by", "manager-1").exit_code == 0
    assert add(run, "officer-2", "officer", "--agency", "station").exit_code != 0


def test_a_measure_bars_at_once_and_takes_two_to_last_and_two_to_lift(run: object, db: ServerConfig) -> None:
    assert callable(run)
    for account, role in (("g", "guardian"), ("s1", "supervisor"), ("s2", "supervisor")):
        add(run, account, role)
    entered = run("measure", "add", "ward-1", "g", "--by", "s1", "--days", "100")
    measure = entered.output.split(":", 1)[0]
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO guardianship (guardian_id, ward_id) VALUES ('g', 'ward-1')")
        assert conn.execute("SELECT 1 FROM charge").fetchall() == []
        lasting = "SELECT until - since FROM protective_measure"
        assert conn.execute(lasting).fetchall()[0][0].days == 7
        assert "A08-two-confirm" in str(run("measure", "confirm", measure, "--by", "s1").exception)
        assert run("measure", "confirm", measure, "--by", "s2").exit_code == 0
        assert conn.execute(lasting).fetchall()[0][0].days == 100
        assert "second person" in run("measure", "end", measure, "--by", "s1").output
        assert "A09-two-lift" in str(run("measure", "end", measure, "--by", "s1").exception)
        assert conn.execute("SELECT 1 FROM charge").fetchall() == []
        assert "Lifted" in run("measure", "end", measure, "--by", "s2").output
        assert conn.execute("SELECT 1 FROM charge").fetchall() == [(1,)]


def test_a_disabled_account_is_signed_out(run: object, db: ServerConfig) -> None:
    assert callable(run)
    add(run, "g", "guardian")
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute("INSERT INTO session (token_hash, account_id, expires_at) VALUES ('x', 'g', 'infinity')")
        assert run("account", "disable", "g", "--yes").exit_code == 0
        assert conn.execute("SELECT 1 FROM session").fetchall() == []
    assert "disabled" in run("account", "list").output
    assert run("account", "card", "g").exit_code != 0


def test_a_household_puts_its_owner_in_charge(run: object, db: ServerConfig) -> None:
    assert callable(run)
    add(run, "g", "guardian")
    assert run("household", "add", "デモ家", "--owner", "g", "--ward", "ward-1").exit_code == 0
    assert run("household", "add", "別の家", "--owner", "g", "--ward", "ward-1").exit_code != 0
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        assert conn.execute("SELECT guardian_id, ward_id FROM charge").fetchall() == [("g", "ward-1")]
        assert conn.execute("SELECT count(*) FROM household").fetchall() == [(1,)]
