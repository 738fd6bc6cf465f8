"""A network camera over RTSP, that is switched off and on again while it is recorded."""

from itertools import pairwise

import numpy as np
import pytest

from firmware_sim.street import feed
from firmware_sim.street.plain import KnownColours
from firmware_sim.street.rtsp import RtspCamera
from tests.edge.camera.conftest import AREA, START_MS, CameraMaker, City, Diary, running, seconds, stored, until

SCENE = KnownColours(320, 192, (AREA,))


@pytest.fixture
def street() -> RtspCamera:
    return RtspCamera(feed.Camera(SCENE, START_MS, 15))


async def test_a_network_camera_is_recorded_masked_through_an_outage(
    make_camera: CameraMaker, city: City, diary: Diary, street: RtspCamera
) -> None:
    async with street:
        camera = make_camera(street.url, read_timeout_s=1.0)
        camera.set_mask(city.mask())
        async with running(camera):
            await until(seconds(camera, 2), 15)
            await street.switch_off()
            await until(lambda: camera.state == "no-signal")
            await street.switch_on()
            await until(seconds(camera, 2), 15)
            assert camera.state == "recording"
    states = [body["state"] for body in diary.of("camera.state")]
    assert states == ["recording", "no-signal", "recording", "stopped"]
    items = stored(camera)
    assert "reconnect" in {item.head.began for item in items}
    for before, after in pairwise(items):
        assert after.head.previous == before.chain
    for item in items:
        for picture in city.pictures(item):
            assert np.abs(picture[:192][SCENE.is_inside()].astype(int) - 16).max() <= 3
            assert picture[:192][:, :20].min() > 20  # outside nothing is black
