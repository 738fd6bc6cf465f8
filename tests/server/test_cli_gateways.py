import json
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from server import config as configuration
from server import keys
from server.cli import app
from server.config import ServerConfig
from wire.enrolment import Ticket

runner = CliRunner()
TOWN = """
INSERT INTO city VALUES ('mimamori', 'みまもり市', 'Mimamori City', 'Asia/Tokyo');
INSERT INTO detector (id, city_id, kind, label_ja, label_en, lat_deg, lon_deg, public_key)
    SELECT id, 'mimamori', kind, '角', 'corner', 34.7, 134.8, key FROM (VALUES
        ('gw-1', 'fixed', NULL), ('gw-2', 'vehicle', NULL),
        ('gw-old', 'fixed', '\\x00'::bytea), ('phone-1', 'phone', NULL)
    ) AS d (id, kind, key);
"""


@pytest.fixture
def file(db: ServerConfig, tmp_path: Path) -> Path:
    """The configuration file of a server with gateways and keys."""
    keys.make(db)
    made = tmp_path / "mimamori.toml"
    configuration.save(db, made)
    with psycopg.connect(db.dsn(), autocommit=True) as conn:
        conn.execute(TOWN.encode())
    return made


def run(file: Path, *words: str) -> Result:
    return runner.invoke(app, [*words, "--config", str(file)])


@pytest.mark.db
def test_a_ticket_on_paper_names_server_gateway_code_and_authority(file: Path, db: ServerConfig) -> None:
    done = run(file, "gateway", "code", "gw-1")
    assert done.exit_code == 0, done.output
    shown = "".join(run(file, "ca", "show").output.split()[1])
    assert db.http.public_url in done.output
    assert "gw-1" in done.output
    assert shown in done.output.replace(" ", "").replace("\n", "")


@pytest.mark.db
def test_a_ticket_file_is_its_owners_alone(file: Path, tmp_path: Path) -> None:
    assert run(file, "gateway", "code", "gw-1", "--out", str(tmp_path / "t.json")).exit_code == 0
    assert (tmp_path / "t.json").stat().st_mode & 0o777 == 0o600
    assert Ticket.from_json((tmp_path / "t.json").read_text()).detector == "gw-1"


@pytest.mark.db
def test_all_gateways_without_a_key_get_a_ticket_and_no_phone_does(file: Path, tmp_path: Path) -> None:
    done = run(file, "gateway", "code", "--all", "--out", str(tmp_path / "tickets"))
    assert done.exit_code == 0, done.output
    made = sorted((tmp_path / "tickets").iterdir())
    assert [one.name for one in made] == ["gw-1.json", "gw-2.json"]
    assert len({json.loads(one.read_text())["code"] for one in made}) == 2


@pytest.mark.db
@pytest.mark.parametrize("words", [("gw-none",), ("phone-1",), (), ("gw-1", "--all"), ("--all",)])
def test_a_ticket_for_nobody_is_refused(file: Path, words: tuple[str, ...]) -> None:
    assert run(file, "gateway", "code", *words).exit_code == 1


@pytest.mark.db
def test_a_gateway_is_revoked_once_and_restored_without_its_keys(file: Path, db: ServerConfig) -> None:
    assert run(file, "gateway", "revoke", "gw-old", "--yes").exit_code == 0
    assert "失効 revoked" in run(file, "gateway", "list").output
    assert run(file, "gateway", "revoke", "gw-old", "--yes").exit_code == 1
    assert run(file, "gateway", "code", "gw-old").exit_code == 1
    assert run(file, "gateway", "restore", "gw-old").exit_code == 0
    assert run(file, "gateway", "restore", "gw-old").exit_code == 1
    with psycopg.connect(db.dsn()) as conn:
        assert conn.execute("SELECT public_key FROM detector WHERE id = 'gw-old'").fetchone() == (None,)
    assert run(file, "gateway", "code", "gw-old").exit_code == 0


@pytest.mark.db
def test_the_list_says_how_far_each_gateway_is(file: Path) -> None:
    run(file, "gateway", "code", "gw-1")
    lines = {line.split("\t")[0]: line.split("\t")[1] for line in run(file, "gateway", "list").output.splitlines()}
    assert lines == {
        "gw-1": "登録待ち waiting",
        "gw-2": "未登録 not enrolled",
        "gw-old": "鍵は台帳 key of the registry",
    }


def test_the_authority_is_shown_and_renewed_with_a_root_key_that_is_kept_away(tmp_path: Path) -> None:
    file = tmp_path / "mimamori.toml"
    runner.invoke(app, ["init", "--config", str(file)])
    away = (tmp_path / "keys" / "ca" / "root.key").rename(tmp_path / "root.key")
    before = (tmp_path / "keys" / "ca" / "issuing.pem").read_bytes()
    assert run(file, "ca", "renew-issuing").exit_code == 1
    assert (tmp_path / "keys" / "ca" / "issuing.pem").read_bytes() == before
    assert run(file, "ca", "renew-issuing", "--root-key", str(away)).exit_code == 0
    shown = run(file, "ca", "show")
    assert shown.exit_code == 0, shown.output
    assert (tmp_path / "keys" / "ca" / "issuing.pem").read_bytes() != before
    assert "service-gate" in shown.output


def test_the_brokers_certificate_is_made_anew_on_demand(tmp_path: Path) -> None:
    file = tmp_path / "mimamori.toml"
    runner.invoke(app, ["init", "--config", str(file)])
    key, before = ((tmp_path / "keys" / name).read_bytes() for name in ("broker.key", "broker.pem"))
    assert run(file, "ca", "issue-broker").exit_code == 0
    assert (tmp_path / "keys" / "broker.key").read_bytes() == key
    assert (tmp_path / "keys" / "broker.pem").read_bytes() != before
