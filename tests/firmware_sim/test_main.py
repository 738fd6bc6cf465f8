"""The program as people start it."""

import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from firmware_sim.__main__ import app
from firmware_sim.errors import RecordingError
from wire import frames, hci
from wire.btsnoop import BtsnoopReader

PROGRAM = [sys.executable, "-m", "firmware_sim"]


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("command", ["town", "run", "record", "family", "street"])
def test_every_command_explains_itself(command: str) -> None:
    done = CliRunner().invoke(app, [command, "--help"])
    assert done.exit_code == 0
    assert "--help" in done.stdout


def test_a_recording_is_the_same_again_and_holds_its_truth(tmp_path: Path) -> None:
    files = [tmp_path / "one.btsnoop", tmp_path / "two.btsnoop"]
    for file in files:
        done = _run("record", str(file), "--seconds", "30", "--truth", str(tmp_path / "truth.json"))
        assert done.returncode == 0, done.stderr
    assert files[0].read_bytes() == files[1].read_bytes()
    records = BtsnoopReader().feed(files[0].read_bytes())
    adverts = [frames.decode(hci.reports(record.packet)[0].data) for record in records]
    truth = json.loads((tmp_path / "truth.json").read_text())
    assert len(adverts) == truth["packets"] + truth["telemetry"] + truth["strangers"] > 20
    ours = [a for a in adverts if isinstance(a, frames.UidFrame | frames.IBeaconFrame) or getattr(a, "sealed", None)]
    assert len(ours) == truth["packets"] == sum(truth["detectors"]["gw-001"]["tags"].values())


@pytest.mark.parametrize(
    "arguments",
    [("--format", "wav"), ("--start", "tomorrow"), ("--link-type", "1"), ("--seconds", "0")],
)
def test_a_recording_with_a_wrong_option_is_refused_by_name(tmp_path: Path, arguments: tuple[str, str]) -> None:
    done = CliRunner().invoke(app, ["record", str(tmp_path / "no.btsnoop"), "--seconds", "2", *arguments])
    assert done.exit_code == 2
    assert arguments[0] in done.output


@pytest.mark.parametrize("name", ["air.wav", "air", "air.btsnoop.gz"])
def test_a_recording_of_no_known_format_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    done = CliRunner().invoke(app, ["record", str(tmp_path / name), "--seconds", "1"])
    assert done.exit_code == 2
    assert "形式が分かりません" in done.output
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "options", "magic"),
    [
        ("air.btsnoop", (), b"btsnoop"),
        ("air.PCAP", (), b"\xd4\xc3\xb2\xa1"),
        ("air.pcapng", (), b"\x0a\x0d\x0d\x0a"),
        ("air", ("--format", "pcap"), b"\xd4\xc3\xb2\xa1"),
    ],
)
def test_a_recording_has_the_format_of_its_name_or_of_the_option(
    tmp_path: Path, name: str, options: tuple[str, ...], magic: bytes
) -> None:
    done = CliRunner().invoke(app, ["record", str(tmp_path / name), "--seconds", "1", *options])
    assert done.exit_code == 0, done.output
    assert (tmp_path / name).read_bytes().startswith(magic)


def test_a_recording_of_a_detector_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["record", str(tmp_path / "no.btsnoop"), "--detector", "gw-999"])
    assert isinstance(done.exception, RecordingError)


def test_a_town_runs_until_it_is_told_to_stop(city_file: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="mms-") as short:
        town = Path(short) / "t"
        made = _run("town", "--out", str(town), "--city-file", str(city_file), "--seed", "3")
        assert made.returncode == 0, made.stderr
        process = subprocess.Popen([*PROGRAM, "run", "--dir", str(town), "--truth", str(town / "truth.json")])
        until_s = time.monotonic() + 20
        while not (town / "radio.sock").is_socket() and time.monotonic() < until_s:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        assert json.loads((town / "truth.json").read_text())["packets"] == 0
        assert not (town / "radio.sock").exists()


def test_a_run_without_a_town_says_so(tmp_path: Path) -> None:
    done = _run("run", "--dir", str(tmp_path))
    assert done.returncode == 1
    assert "town.json" in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
