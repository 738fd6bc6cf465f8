"""What becomes of footage when its camera is taken out of the configuration."""

from pathlib import Path

from edge.camera.leftover import Leftover
from edge.config import BrokerConfig, EdgeConfig
from tests.edge.camera.conftest import CAMERA, START_MS, City, Diary, SetClock
from tests.edge.camera.test_ring import opened, record
from wire.sections import KeyFiles

DAY_MS = 86_400_000


def gateway(folder: Path) -> EdgeConfig:
    key_files = KeyFiles(folder / "key.pem", folder / "city.json")
    return EdgeConfig("tsukuba", CAMERA, folder, key_files, BrokerConfig("mqtt://127.0.0.1:1"))


def test_footage_of_a_camera_that_is_gone_is_deleted_at_its_limit(tmp_path: Path, city: City, diary: Diary) -> None:
    clock = SetClock()
    before = opened(tmp_path / "camera", clock, diary)
    path = record(before, START_MS)
    before.close()
    leftover = Leftover.open(gateway(tmp_path), city.bundle, journal=diary, clock=clock)
    assert leftover is not None
    clock.passed_ms = 13 * DAY_MS
    leftover.sweep()
    assert path.exists()
    clock.passed_ms = 14 * DAY_MS + 3_600_000
    leftover.sweep()
    assert not path.exists()
    assert [body["reason"] for body in diary.of("footage.deleted")] == ["age"]
    leftover.ring.close()


def test_a_gateway_that_never_had_a_camera_has_nothing_left_of_one(tmp_path: Path, city: City, diary: Diary) -> None:
    assert Leftover.open(gateway(tmp_path), city.bundle, journal=diary, clock=SetClock()) is None


def test_a_ring_that_cannot_be_opened_is_counted_and_asked_again(tmp_path: Path, city: City, diary: Diary) -> None:
    clock = SetClock()
    opened(tmp_path / "camera", clock, diary).close()
    frozen = tmp_path / "camera" / "frozen.cbor"
    frozen.write_bytes(b"damaged")
    leftover = Leftover.open(gateway(tmp_path), city.bundle, journal=diary, clock=clock)
    assert leftover is not None
    leftover.sweep()
    assert leftover.counts["camera_sweep_failures"] == 1
    frozen.unlink()
    leftover.sweep()
    assert leftover.ring.is_open
    leftover.ring.close()
