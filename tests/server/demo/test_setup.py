import fcntl
import socket
from pathlib import Path

import pytest

from server import config
from server.demo.options import DemoOptions
from server.demo.parts import server_parts
from server.demo.run import AlreadyRunningError, keep_running
from server.demo.screen import Screen
from server.demo.setup import FamilyFileError, PortError, prepare
from server.errors import ConfigError
from server.supervisor import Supervisor


def _settings(state_dir: Path, metrics_port: int) -> config.ServerConfig:
    counted = {name: {"metrics_port": metrics_port} for name in ("ingest", "notify", "gate", "ledger", "clerk")}
    return config.parse({"state_dir": str(state_dir), "broker": {"mqtt_port": 1, "nats_port": 2}, **counted})


def test_a_port_that_is_taken_is_named_before_anything_starts(tmp_path: Path) -> None:
    supervisor = Supervisor(tmp_path / "log", tmp_path / "children.json")
    with socket.create_server(("127.0.0.1", 0)) as other, Screen().set_up(1) as bar:
        port = other.getsockname()[1]
        with pytest.raises(PortError, match=str(port)):
            prepare(DemoOptions(state_dir=tmp_path, port=port), supervisor, bar, lambda: False)
    assert supervisor.states() == {}


@pytest.mark.parametrize("text", ["", '{"http"', "[]", '{"http": "x"}'])
def test_a_note_of_ports_cut_short_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "family.json").write_text(text)
    supervisor = Supervisor(tmp_path / "log", tmp_path / "children.json")
    with Screen().set_up(1) as bar, pytest.raises(FamilyFileError, match=r"family\.json"):
        prepare(DemoOptions(state_dir=tmp_path, port=0), supervisor, bar, lambda: False)


def test_a_server_leaves_the_state_directory_of_another_alone(tmp_path: Path) -> None:
    settings = _settings(tmp_path, metrics_port=3)
    with (tmp_path / "demo.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(AlreadyRunningError):
            keep_running(settings, server_parts(settings, tmp_path / "mimamori.toml"))


def test_a_program_that_nobody_can_ask_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gate\.metrics_port"):
        server_parts(_settings(tmp_path, metrics_port=0), tmp_path / "mimamori.toml")
