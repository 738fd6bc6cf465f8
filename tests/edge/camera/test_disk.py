"""Recording onto a real small disk that fills up, and one that turns read-only."""

import itertools
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.camera import disk, segment
from edge.errors import RingError
from tests.edge.camera.conftest import CameraMaker, City, Diary, Film, running, seconds, stored, until


def mount(*arguments: str | Path) -> bool:
    return subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode == 0


def unmount(path: Path) -> None:
    subprocess.run(["umount", "-l", path], check=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "state"
    path.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=500k", "none", path):
        pytest.skip("may not mount a disk here")
    yield path
    unmount(path)


async def test_a_full_disk_stops_recording_without_half_a_record_and_it_goes_on_by_itself(
    make_camera: CameraMaker, film: Film, city: City, diary: Diary, small_disk: Path
) -> None:
    camera = make_camera(film(size=(320, 192)))
    camera.recorder.pause_ms = 300
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.state == "disk-full", 20)
        assert {"state": "disk-full"} in diary.of("camera.state")
        for item in stored(camera):
            assert item.whole_octets == item.octets
            list(segment.opened(item.path, city.key_of(item), may_be_open=True))
        assert mount("-o", "remount,size=50m", small_disk)
        await until(seconds(camera, 2))
        assert camera.state == "recording"
    items = stored(camera)
    for before, after in itertools.pairwise(items):
        assert after.head.previous == before.chain
    assert all(list(segment.opened(item.path, city.key_of(item))) for item in items)
    assert camera.counts["disk_failures"] > 0
    assert camera.counts["camera_crashes"] == 0


async def test_a_folder_that_turns_read_only_stops_recording_until_it_is_writable(
    make_camera: CameraMaker, film: Film, city: City, small_disk: Path
) -> None:
    assert mount("-o", "remount,size=50m", small_disk)
    camera = make_camera(film())
    camera.recorder.pause_ms = 200
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
        footage = camera.ring.footage
        assert mount("--bind", footage, footage)
        assert mount("-o", "remount,bind,ro", footage)
        try:
            camera.set_mask(city.mask(2))  # begins a new segment
            await until(lambda: camera.state == "disk-full")
        finally:
            unmount(footage)
        await until(seconds(camera, 2))
        assert camera.state == "recording"
    assert camera.counts["camera_crashes"] == 0
    assert stored(camera)[-1].head.mask_version == 2


async def test_a_read_only_disk_is_told_and_takes_nothing_down(
    make_camera: CameraMaker, film: Film, small_disk: Path
) -> None:
    path = film()
    assert mount("-o", "remount,ro", small_disk)
    camera = make_camera(path)
    assert camera.counts["camera_open_failures"] == 1
    with pytest.raises(RingError):
        camera.ring.open()
    async with running(camera):
        await until(lambda: camera.state == "no-mask")
    assert camera.counts["camera_crashes"] == 0


async def test_room_is_left_for_everything_else(make_camera: CameraMaker, film: Film, city: City) -> None:
    camera = make_camera(film(), min_free_mb=1_000_000)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.state == "disk-full")
    assert stored(camera) == []


def test_a_file_is_replaced_as_a_whole_or_not_at_all(small_disk: Path) -> None:
    path = small_disk / "file"
    disk.replace(path, b"before")
    with pytest.raises(OSError, match="space"):
        disk.replace(path, bytes(1_000_000))
    assert path.read_bytes() == b"before"
    assert list(small_disk.iterdir()) == [path]
