"""What the simulator writes, the gateway's replay and Wireshark read alike."""

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge.__main__ import app as gateway
from firmware_sim import registry
from firmware_sim.__main__ import app as simulator

DETECTOR = "gw-014"


@pytest.fixture(params=["btsnoop", "pcap", "pcapng"])
def recorded(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, dict[str, Any]]:
    file, truth = tmp_path / f"town.{request.param}", tmp_path / "truth.json"
    options = ["--detector", DETECTOR, "--seconds", "90", "--truth", str(truth)]
    done = CliRunner().invoke(simulator, ["record", str(file), *options])
    assert done.exit_code == 0, done.output
    return file, json.loads(truth.read_text())


def _replayed(file: Path, tmp_path: Path) -> dict[str, Any]:
    formats = ", ".join(json.dumps(each) for each in registry.FORMATS)
    config = tmp_path / "gateway.toml"
    config.write_text(
        f'city = "mimamori"\ndetector = "{DETECTOR}"\nstate_dir = "{tmp_path}"\n'
        f'[keys]\nsigning_key_file = "k"\ncity_file = "c"\n[broker]\nurl = "mqtt://127.0.0.1:1"\n'
        f"[scan]\nformats = [{formats}]\n"
    )
    done = CliRunner().invoke(gateway, ["replay", "--json", "--config", str(config), str(file)])
    assert done.exit_code == 0, done.output
    table: dict[str, Any] = json.loads(done.stdout)
    return table


def test_a_recording_replays_to_the_simulated_truth(recorded: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    file, truth = recorded
    told = _replayed(file, tmp_path)
    assert told["packets"] == told["advertisements"] == truth["packets"] + truth["telemetry"] + truth["strangers"]
    ours = {key: count for key, count in told["sightings"].items() if not key.startswith("plain-eid:")}
    assert sum(ours.values()) == truth["packets"] > 50
    assert told["accepted"] + told["dropped"] == told["packets"]


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_counts_the_same_addresses(recorded: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    file, _ = recorded
    field = "bthci_evt.bd_addr" if file.suffix == ".btsnoop" else "btle.advertising_address"
    command = ["tshark", "-r", str(file), "-T", "fields", "-e", field]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert Counter(done.stdout.split()) == Counter(_replayed(file, tmp_path)["addresses"])
