import hashlib
import secrets
from collections import Counter
from pathlib import Path
from typing import NoReturn

import av
import cv2
import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from numpy.typing import NDArray

from edge.camera import segment
from edge.camera.record import Recorder
from edge.camera.ring import Ring
from edge.camera.segment import SEGMENT_MS
from edge.camera.source import Shot
from edge.config import CameraConfig
from privacy.masks import Mask
from tests.edge.camera.conftest import AREA, START_MS, Diary, SetClock
from tests.edge.camera.test_camera import inside
from wire import strand
from wire.camera_settings import CameraSettings

MASK = Mask("gate-1", 1, (AREA,), 1)
SETTINGS = CameraSettings(1)


def recorder(folder: Path, **values: int) -> tuple[Recorder, Ring]:
    clock = SetClock()
    ring = Ring(folder, clock, Diary(), Counter())
    ring.open()
    key = X25519PrivateKey.generate().public_key()
    config = CameraConfig("x", encoder="libx264", min_free_mb=0, **values)  # type: ignore[arg-type]
    return Recorder("gate-1", config, ring, key, clock, Counter(), lambda: secrets.token_bytes(16)), ring


def samples(ring: Ring) -> list[bytes]:
    return [record.samples_sha256 for item in ring.segments_in(0, 1 << 50) for record in item.records]


def views(hidden: int, size: tuple[int, int], kind: str) -> list[av.VideoFrame]:
    """Pictures that differ from others of this function only in what the area hides."""
    (width, height), found = size, []
    area: NDArray[np.bool_] = inside(width, height)
    for number in range(25):
        values = np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)
        values[area] = (hidden, 255 - hidden, hidden * number % 256)
        found.append(av.VideoFrame.from_ndarray(values, "rgb24").reformat(format=kind))
    return found


@pytest.mark.parametrize("kind", ["rgb24", "yuv444p"])
@pytest.mark.parametrize("size", [(160, 96), (322, 182), (480, 288)])
def test_what_an_area_hides_changes_no_octet_of_what_is_stored(
    tmp_path: Path, size: tuple[int, int], kind: str
) -> None:
    stored = []
    for hidden in (0, 255):
        taking, ring = recorder(tmp_path / str(hidden), max_width=160)
        for number, frame in enumerate(views(hidden, size, kind)):
            taking.take(Shot(frame, START_MS + 67 * number), MASK, SETTINGS)
        taking.interrupt("start")
        stored.append(samples(ring))
        ring.close()
    assert stored[0] == stored[1]
    assert len(stored[0]) == 4  # init, a second, the thumbnail, a second


def test_no_thumbnail_of_an_earlier_mask_outlives_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk takes nothing for a moment, and meanwhile the city hides more: the picture of before is not written."""
    taking, ring = recorder(tmp_path)
    city_key = X25519PrivateKey.generate()
    taking.footage_key, taking.pause_ms = city_key.public_key(), 0
    bright = av.VideoFrame.from_ndarray(np.full((144, 128), 235, np.uint8), "yuv420p").reformat(width=128, height=96)
    wide = Mask("gate-1", 2, (((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)),), 1)
    begin = Ring.begin

    def fail(*_: object) -> NoReturn:
        raise OSError

    monkeypatch.setattr(Ring, "begin", fail)
    for at_ms in (0, 1_000):
        taking.take(Shot(bright, START_MS + at_ms), MASK, SETTINGS)
    assert taking.counts["disk_failures"] == 1
    monkeypatch.setattr(Ring, "begin", begin)
    for at_ms in (2_000, 3_000):
        taking.take(Shot(bright, START_MS + at_ms), wide, SETTINGS)
    taking.interrupt("start")
    (item,) = ring.segments_in(0, 1 << 50)
    key = strand.unwrap("gate-1", item.head.strand_id, item.head.strand_wrapped, city_key)
    (jpeg,) = [content for record, content in segment.opened(item.path, key) if record.kind == "thumbnail"]
    assert item.head.mask_version == 2
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert shown is not None
    assert shown.max() < 4
    ring.close()


def test_sound_of_before_an_interruption_is_not_written_after_it(tmp_path: Path) -> None:
    taking, ring = recorder(tmp_path)
    taking.hear(START_MS, b"before")
    taking.interrupt("mask")
    taking.hear(START_MS + 1_000, b"after")
    for at_ms in (1_000, 2_000):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 90, np.uint8), "yuv420p")
        taking.take(Shot(frame, START_MS + at_ms), MASK, SETTINGS)
    taking.interrupt("start")
    records = [record for item in ring.segments_in(0, 1 << 50) for record in item.records]
    heard = [record.samples_sha256 for record in records if record.kind == "sound"]
    assert heard == [hashlib.sha256(b"after").digest()]
    ring.close()


def test_a_strand_is_ten_minutes_of_one_camera(tmp_path: Path) -> None:
    taking, ring = recorder(tmp_path)
    for at_ms in (0, 1_000, 599_000, 600_000, 1_199_000, 1_200_000):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 90, np.uint8), "yuv420p")
        taking.take(Shot(frame, START_MS + at_ms), MASK, SETTINGS)
    taking.interrupt("start")
    strands: dict[bytes, list[int]] = {}
    for item in ring.segments_in(0, 1 << 50):
        strands.setdefault(item.head.strand_id, []).append((item.head.start_ms - START_MS) // 600_000)
    assert list(strands.values()) == [[0, 0], [1, 1], [2]]
    ring.close()


def test_pictures_of_one_wall_clock_slot_are_one_segment(tmp_path: Path) -> None:
    taking, ring = recorder(tmp_path)
    for number in range(35):
        frame = av.VideoFrame.from_ndarray(np.full((72, 64), 90, np.uint8), "yuv420p")
        taking.take(Shot(frame, START_MS + 7_300 + 500 * number), MASK, SETTINGS)
    taking.interrupt("start")
    items = ring.segments_in(0, 1 << 50)
    assert [item.head.start_ms - START_MS for item in items] == [7_000, 10_000, 20_000]
    assert [item.end_ms - START_MS for item in items] == [10_000, 20_000, 25_000]
    assert len({item.head.start_ms // SEGMENT_MS for item in items}) == 3
    assert sum(item.frames for item in items) == 35
    ring.close()
