"""The whole of it on a filmed street: somebody turns the camera."""

from dataclasses import replace
from pathlib import Path

import pytest

from edge.camera import drift
from edge.camera.senses import Senses
from firmware_sim.street import feed, scene
from tests.edge.camera.conftest import START_MS, CameraMaker, City, Diary, running, seconds, stored, until


@pytest.fixture(scope="module")
def turned_street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds of a street; after four of them the camera is turned by an eighth of its view."""
    sight, path = scene.Scene(640, 360, 7), tmp_path_factory.mktemp("film") / "street.mkv"

    def turn(at_s: float) -> None:
        sight.conditions = replace(
            sight.conditions, view=replace(sight.conditions.view, pan_px=80.0 if at_s >= 4 else 0.0)
        )

    feed.write(feed.Camera(sight, START_MS + 4 * 3_600_000, 10, None, turn), path, seconds=8)
    return path


async def test_a_turned_camera_stops_and_goes_on_with_the_next_mask(
    make_camera: CameraMaker, turned_street: Path, city: City, diary: Diary, tmp_path: Path
) -> None:
    reference = tmp_path / "view.cbor"
    senses = Senses(watch=lambda mask, painted: drift.Watch.open(reference, mask.version, painted))
    camera = make_camera(turned_street, senses=senses)
    camera.recorder.watch_ms = 200
    camera.set_mask(city.mask(1, ((0.0, 0.0), (0.2, 0.0), (0.2, 0.3))))
    async with running(camera):
        await until(seconds(camera, 2))
        assert camera.state == "recording"
        await until(lambda: camera.state == "moved")
        recorded = camera.counts["frames_recorded"]
        assert diary.of("camera.moved") == [{"mask_version": 1}]
        camera.set_mask(city.mask(2, ((0.3, 0.0), (0.5, 0.0), (0.5, 0.3))))
        await until(seconds(camera, 1))
        assert camera.counts["frames_recorded"] > recorded
    assert {item.head.mask_version for item in stored(camera)} == {1, 2}
