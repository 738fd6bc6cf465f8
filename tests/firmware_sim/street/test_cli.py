"""`mimamori-sim street` as it is started."""

import json
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import pytest
from typer.testing import CliRunner

from firmware_sim.__main__ import app


def test_it_writes_a_video_of_the_size_and_length_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "street.mp4"
    options = ["--seconds", "2", "--size", "192x108", "--fps", "5", "--start", "2026-11-24T07:40", "--loud-at", "1"]
    done = CliRunner().invoke(app, ["street", "--out", str(path), *options])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout.splitlines()[-1]) == {"file": str(path), "frames": 10}
    with av.open(str(path)) as container:
        assert (container.streams.video[0].width, container.streams.video[0].frames) == (192, 10)
        assert container.streams.audio


def test_a_camera_turned_while_filming_shows_another_picture(tmp_path: Path) -> None:
    path = tmp_path / "street.mkv"
    options = ["--seconds", "2", "--size", "192x108", "--fps", "5", "--start", "2026-11-24T12:00"]
    done = CliRunner().invoke(app, ["street", "--out", str(path), *options, "--turn-at", "1", "--turn-px", "40"])
    assert done.exit_code == 0, done.output
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray").astype(int) for frame in container.decode(video=0)]
    steps = [float(abs(one - other).mean()) for one, other in pairwise(frames)]
    assert steps.index(max(steps)) == 4
    assert max(steps) > 10


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--out", "a.mp4", "--serve", "tcp://127.0.0.1:0"),
        ("--out", "a.mp4", "--size", "191x108"),
        ("--out", "a.mp4", "--loud-at", "soon"),
        ("--out", "a.mp4", "--start", "soon"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: tuple[str, ...]) -> None:
    assert CliRunner().invoke(app, ["street", *options]).exit_code == 2


def test_the_private_areas_are_printed_for_a_mask() -> None:
    done = CliRunner().invoke(app, ["street", "--masks", "--size", "192x108"])
    polygons = json.loads(done.stdout)
    assert len(polygons) > 5
    assert all(0 <= value <= 1 for polygon in polygons for point in polygon for value in point)


@pytest.mark.parametrize("scheme", ["tcp", "rtsp"])
def test_it_serves_until_it_is_told_to_stop(scheme: str) -> None:
    command = [sys.executable, "-m", "firmware_sim", "street", "--serve", f"{scheme}://127.0.0.1:0"]
    with subprocess.Popen([*command, "--size", "192x108"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        url = json.loads(process.stdout.readline())["url"]
        with av.open(url, options={"probesize": "50000", "rtsp_transport": "tcp"}, timeout=5) as container:
            assert next(container.decode(video=0)).width == 192
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0


def test_an_address_of_another_machine_is_refused_in_one_line() -> None:
    command = [sys.executable, "-m", "firmware_sim", "street", "--serve", "rtsp://0.0.0.0:8554", "--size", "192x108"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert "127.0.0.1" in done.stderr
