"""docker-compose.yml says what the Compose specification allows and what our programs understand; no password in it."""

import importlib
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from typer.testing import CliRunner

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = sorted(name for name, service in SERVICES.items() if str(service["image"]).startswith("mimamori"))
PROGRAMS = {"mimamori": "server.cli", "mimamori-sim": "firmware_sim.__main__", "edge": "edge.__main__"}


def test_it_follows_the_specification() -> None:
    assert set(PyCompose.from_yaml(yaml.safe_dump(COMPOSE)).service_names()) == set(SERVICES)


@pytest.mark.parametrize("name", OURS)
def test_every_command_line_is_understood(name: str) -> None:
    service = SERVICES[name]
    entrypoint = service.get("entrypoint", ["mimamori" if service["image"] == "mimamori" else "edge"])
    app = importlib.import_module(PROGRAMS[entrypoint[0]]).app
    done = CliRunner().invoke(app, [*map(str, service["command"]), "--help"])
    assert done.exit_code == 0, done.output


def test_every_long_running_service_has_a_health_check() -> None:
    lasting = [name for name, service in SERVICES.items() if service.get("restart") != "no"]
    assert [name for name in lasting if "healthcheck" not in SERVICES[name]] == []


def test_no_password_is_written_down() -> None:
    assert not re.search(r"(?i)password[ \t]*[:=][ \t]*[^/\s$]", TEXT)
    assert all(secret.keys() == {"file"} for secret in COMPOSE["secrets"].values())


def test_every_variable_of_the_server_is_one_that_it_knows() -> None:
    from server import config  # noqa: PLC0415 - beside its only use

    names = SERVICES["ingest"]["environment"]
    plain = {name: re.sub(r"\$\{[^:]+:-([^}]*)\}", r"\1", str(value)) for name, value in names.items()}
    settings = config.load(None, plain)
    assert settings.mqtt_url() == "mqtts://broker:8883"
    assert settings.has_door
    assert "user=api" in settings.dsn("api")


def test_the_gateway_image_carries_no_server() -> None:
    copied = re.findall(r"^COPY (\S+) ", (ROOT / "deploy" / "edge.Dockerfile").read_text(), re.MULTILINE)
    assert set(copied) == {"pyproject.toml", "wire", "privacy", "edge"}
