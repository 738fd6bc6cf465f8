"""From the street to the officer: a real gateway films, freezes, exports; city and recipient check; others see nothing.

The street is drawn, the rest is real: encoder, broker, database, API and the operator's command line.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import av
import numpy as np
import psycopg
import pyrage
import pytest

from edge.camera.mask import Painter, pixels_of
from privacy import masks
from server.demo import town
from server.footage.archive import identities_of
from server.footage.check import Trust, certificates_of, examine
from tests.system.village import Village
from wire import keys
from wire.verdict import Report

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

CASE, CAMERA = "case-7", town.CAMERA
BLACK = 16
SLACK = 6
"""Steps of luma by which an encoder may miss black."""
WINDOW_S = 12


@pytest.fixture(scope="module")
def village(founded: Callable[..., AbstractContextManager[Village]]) -> Iterator[Village]:
    with founded(speed=1.0, has_camera=True) as made:
        made.until(lambda: _camera(made) == "recording", 60)
        yield made


def _camera(village: Village) -> str:
    with psycopg.connect(village.settings.dsn()) as conn:
        found = conn.execute("SELECT camera FROM detector_health WHERE detector_id = %s", (CAMERA,)).fetchone()
    return str(found[0]) if found else ""


def _kinds(village: Village) -> list[str]:
    with psycopg.connect(village.settings.dsn()) as conn:
        rows = conn.execute("SELECT kind FROM gateway_log WHERE detector_id = %s ORDER BY sequence", (CAMERA,))
        return [str(kind) for (kind,) in rows.fetchall()]


def _run(village: Village, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "server", *arguments, "--config", str(village.options.config_file)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


def _at(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).isoformat()


@pytest.fixture(scope="module")
def window(village: Village) -> tuple[int, int]:
    """Seconds since 1970 of a window that is recorded."""
    start_s = int(time.time()) + 2
    village.pause(WINDOW_S + 5)
    return start_s, start_s + WINDOW_S


@pytest.fixture(scope="module")
def officer(open_dir: Path) -> Path:
    key = open_dir / "officer.key"
    key.write_text(str(pyrage.x25519.Identity.generate()) + "\n")
    return key


@pytest.fixture(scope="module")
def exported(village: Village, window: tuple[int, int], officer: Path) -> Path:
    """The sealed file as the city got it."""
    times = ("--from", _at(window[0]), "--to", _at(window[1]))
    until = _at(window[1] + 86_400)
    froze = _run(village, "order", "freeze", CAMERA, "--case", CASE, *times, "--until", until)
    assert froze.returncode == 0, froze.stdout + froze.stderr
    recipient = str(identities_of(officer)[0].to_public())
    made = _run(
        village, "footage", "export", CAMERA, "--case", CASE, *times, "--recipient", recipient, "--export", "ex-1"
    )
    assert made.returncode == 0, made.stdout + made.stderr
    return village.settings.state_dir / "exports" / "ex-1.age"


def _examined(village: Village, file: Path, key: Path, out: Path | None = None) -> Report:
    trust = Trust(certificates_of(village.settings.keys_dir / "ca.pem"), ())
    return examine(file, identities_of(key), trust, out=out)


def test_the_officer_opens_the_window_and_every_check_holds(
    village: Village, exported: Path, officer: Path, tmp_path: Path
) -> None:
    report = _examined(village, exported, officer, tmp_path)
    assert report.is_sound, report
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "format=duration", "-of", "json", tmp_path / "clip-001.mp4"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(json.loads(probe.stdout)["format"]["duration"]) == pytest.approx(WINDOW_S, abs=0.5)


def test_what_is_private_is_black_in_every_picture_of_the_export(
    village: Village, exported: Path, officer: Path, tmp_path: Path
) -> None:
    _examined(village, exported, officer, tmp_path)
    document = (village.options.town_dir / "state" / CAMERA / "camera" / "mask.cose").read_bytes()
    order_key = keys.CityBundle.load(village.settings.keys_dir / "city.json").order_key
    assert order_key is not None
    mask = masks.verify(document, village.settings.city.id, CAMERA, verifier=order_key)
    pictures = 0
    with av.open(str(tmp_path / "clip-001.mp4")) as clip:
        for frame in clip.decode(video=0):
            luma = pixels_of(frame.planes[0]).astype(np.int16)
            painter = Painter(mask, frame.width, frame.height)
            for top, bottom, left, right in painter.rectangles:
                assert np.abs(luma[top:bottom, left:right] - BLACK).max() <= SLACK
            assert luma.max() > 100  # and the street is there
            pictures += 1
    assert pictures > 3 * WINDOW_S


def test_nobody_else_opens_it(village: Village, exported: Path, open_dir: Path) -> None:
    other = open_dir / "other.key"
    other.write_text(str(pyrage.x25519.Identity.generate()) + "\n")
    assert not _examined(village, exported, other).is_sound


def test_one_flipped_bit_is_found(village: Village, exported: Path, officer: Path, tmp_path: Path) -> None:
    octets = bytearray(exported.read_bytes())
    octets[len(octets) // 2] ^= 1
    bent = tmp_path / "bent.age"
    bent.write_bytes(octets)
    assert not _examined(village, bent, officer).is_sound


def test_nothing_clear_and_no_sealed_file_is_left_at_the_gateway(village: Village, exported: Path) -> None:
    state = village.options.town_dir / "state" / CAMERA
    assert exported.exists()
    assert list((state / "exports").glob("*.age")) == []
    for file in state.rglob("*"):
        if file.is_file():
            assert b"ftyp" not in file.read_bytes()


def test_the_whole_history_is_in_the_gateways_log_and_the_city_has_checked_it(village: Village, exported: Path) -> None:
    assert exported.exists()
    village.until(lambda: _kinds(village).count("order.done") >= 4, 20)
    checked = _run(village, "gateway", "log", CAMERA, "--verify")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_without_its_mask_the_camera_stops_and_says_so(village: Village, exported: Path) -> None:
    assert exported.exists()
    (village.options.town_dir / "state" / CAMERA / "camera" / "mask.cose").unlink()
    village.until(lambda: "mask.missing" in _kinds(village), 20)
    village.until(lambda: _camera(village) == "no-mask", 40)
    footage = village.options.town_dir / "state" / CAMERA / "camera"
    before = {file: file.stat().st_size for file in footage.rglob("*.seg")}
    village.pause(5)
    assert {file: file.stat().st_size for file in footage.rglob("*.seg")} == before


def test_a_revoked_gateway_is_put_out_within_a_minute(village: Village, exported: Path) -> None:
    assert exported.exists()
    revoked = _run(village, "gateway", "revoke", CAMERA, "--yes")
    assert revoked.returncode == 0, revoked.stdout + revoked.stderr
    village.until(lambda: '"event": "broker.lost"' in (village.options.log_dir / "edge.log").read_text(), 60)
