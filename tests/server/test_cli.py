import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server import config
from server.cli import app
from server.store.roles import set_passwords

runner = CliRunner()
REGISTRY = {
    "city": {"id": "mimamori", "name_ja": "みまもり市", "name_en": "Mimamori City", "tz": "Asia/Tokyo"},
    **{name: [] for name in ("detectors", "tags", "wards", "guardians", "places", "watches")},
}


def test_init_makes_keys_and_ports_once(tmp_path: Path) -> None:
    file = tmp_path / "state" / "mimamori.toml"
    assert runner.invoke(app, ["init", "--config", str(file)]).exit_code == 0
    before = config.load(file, {})
    assert before.broker.mqtt_port
    assert before.state_dir == file.parent
    assert runner.invoke(app, ["init", "--config", str(file)]).exit_code == 0
    assert config.load(file, {}) == before


def test_init_heeds_variables_and_writes_none_of_them_down(tmp_path: Path) -> None:
    file = tmp_path / "mimamori.toml"
    variables = {"MIMAMORI_CITY_ID": "kakogawa", "MIMAMORI_NOTIFY_MAIL_URL": "mailtos://user:secret@x?to={to}"}
    assert runner.invoke(app, ["init", "--config", str(file)], env=variables).exit_code == 0
    assert json.loads((tmp_path / "keys" / "city.json").read_text())["city"] == "kakogawa"
    assert "secret" not in file.read_text()


@pytest.mark.parametrize(
    ("words", "variables", "named"),
    [
        (["serve", "broker"], {"MIMAMORI_BROKER_MQTT_PORT": "0"}, "broker.mqtt_port"),
        (["serve", "broker"], {"MIMAMORI_BROKER_URL": "mqtt://elsewhere"}, "broker.url"),
        (["serve", "database"], {"MIMAMORI_DATABASE_URL": "host=elsewhere"}, "database.url"),
    ],
)
def test_an_embedded_server_that_cannot_be_of_use_is_refused(
    tmp_path: Path, words: list[str], variables: dict[str, str], named: str
) -> None:
    file = tmp_path / "mimamori.toml"
    runner.invoke(app, ["init", "--config", str(file)])
    done = runner.invoke(app, [*words, "--config", str(file)], env=variables)
    assert named in str(done.exception)


def test_a_state_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    command = [sys.executable, "-m", "server", "demo", "--state", str(tmp_path / "file" / "state")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


@pytest.mark.db
def test_a_registry_goes_into_a_fresh_database(open_dir: Path, tmp_path: Path) -> None:
    file = open_dir / "cli" / "mimamori.toml"
    (tmp_path / "town.json").write_text(json.dumps(REGISTRY))
    for words in (["init"], ["migrate"], ["migrate"], ["registry", "import", str(tmp_path / "town.json")]):
        done = runner.invoke(app, [*words, "--config", str(file)])
        assert done.exit_code == 0, done.output
    assert "nothing new" in runner.invoke(app, ["migrate", "--config", str(file)]).output


def test_status_of_a_server_that_is_down_says_so(tmp_path: Path) -> None:
    file = tmp_path / "mimamori.toml"
    runner.invoke(app, ["init", "--config", str(file)])
    done = runner.invoke(app, ["status", "--json", "--config", str(file)])
    report = json.loads(done.output)
    assert done.exit_code == 1
    assert report["well"] is False
    assert not any(report["parts"].values())


def test_a_mistake_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text("colour = 1")
    command = [sys.executable, "-m", "server", "serve", "ingest", "--config", str(tmp_path / "bad.toml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "mimamori: unknown key: colour\n")


@pytest.mark.db
def test_roles_get_the_passwords_of_the_password_file(db: config.ServerConfig, tmp_path: Path) -> None:
    passfile = tmp_path / "pgpass"
    passfile.write_text(
        "".join(
            f"*:5432:mimamori:{role}:pa:ss{role}\n"
            for role in ("ingest", "api", "notify", "gate", "warden", "ledger", "clerk")
        )
    )
    set_passwords(db.dsn(), passfile)


def test_the_command_line_loads_no_web_framework_and_no_core() -> None:
    code = "import sys, server.cli; print([m for m in ('fastapi', 'apprise', 'numba', 'uvicorn') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
