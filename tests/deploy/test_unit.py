"""The systemd unit of a gateway says what its comments promise, and systemd itself understands it."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "deploy" / "mimamori-edge.service"
MOST_EXPOSED = 2.5
"""Of ten, as systemd 252 counts; a service that listens to a network cannot come much below 2."""


def settings() -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith(("#", "[")):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Type", "notify"), ("Restart", "always"), ("ProtectSystem", "strict"), ("NoNewPrivileges", "yes"),
        ("PrivateTmp", "yes"), ("StateDirectory", "mimamori"), ("CapabilityBoundingSet", ""), ("User", "mimamori"),
        ("DevicePolicy", "closed"), ("UMask", "0077"), ("LimitCORE", "1"),
        ("MemorySwapMax", "0"),
    ],
)  # fmt: skip
def test_the_unit_confines_and_restarts_the_program(name: str, value: str) -> None:
    assert settings()[name] == [value]


def test_it_reaches_radio_network_and_cameras_and_no_other_family_or_device() -> None:
    found = settings()
    assert set(found["RestrictAddressFamilies"][0].split()) == {
        "AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_BLUETOOTH"
    }  # fmt: skip
    assert "char-video4linux rw" in found["DeviceAllow"]
    assert not any(device.startswith(("/dev/mem", "/dev/sd", "block-")) for device in found["DeviceAllow"])


def test_the_clock_can_be_read_after_what_is_privileged_was_taken_away() -> None:
    assert settings()["SystemCallFilter"][-1] == "adjtimex clock_adjtime"
    assert settings()["ProtectClock"] == ["no"]


def test_the_watchdog_waits_longer_than_any_part_may_be_silent() -> None:
    from edge.agent import KEEPER_HANGS_S  # noqa: PLC0415 -- the other tests need no agent

    assert float(settings()["WatchdogSec"][0]) > KEEPER_HANGS_S
    assert float(settings()["TimeoutStopSec"][0]) > 10


def test_what_a_camera_loads_needs_no_memory_that_is_written_and_run() -> None:
    """MemoryDenyWriteExecute by the kernel's own switch, PR_SET_MDWE, which is as strict as systemd's."""
    script = """
import ctypes
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    raise SystemExit(77)
import io, av, cv2, numpy, edge.__main__, edge.agent, edge.clock
edge.clock.WallClock().is_synced()
with av.open(io.BytesIO(), "w", format="mp4") as film:
    stream = film.add_stream("libx264", rate=5)
    stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
    picture = numpy.zeros((240, 320, 3), numpy.uint8)
    film.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
cv2.ORB_create().detect(picture[:, :, 0])
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode == 77:
        pytest.skip("a kernel older than 6.3")
    assert (done.returncode, done.stderr) == (0, "")


systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")


@systemd
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    text = UNIT.read_text(encoding="utf-8").replace("/opt/mimamori/bin/mimamori-edge", sys.executable)
    unit = tmp_path / UNIT.name
    unit.write_text(text, encoding="utf-8")
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    ours = [line for line in result.stderr.splitlines() if UNIT.name in line]
    assert (result.returncode, ours) == (0, [])


@systemd
def test_systemd_counts_little_exposure(capsys: pytest.CaptureFixture[str]) -> None:
    result = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", result.stdout)
    assert found is not None
    with capsys.disabled():
        print(f"\n{found.group()} (at most {MOST_EXPOSED})")  # noqa: T201 -- the score is to be seen
    assert float(found.group(1)) <= MOST_EXPOSED
