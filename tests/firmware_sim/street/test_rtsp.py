"""The network camera, opened by FFmpeg's own RTSP client."""

import asyncio
import time
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_sim.street import feed
from firmware_sim.street.plain import OUTSIDE, KnownColours
from firmware_sim.street.rtsp import RtspCamera

CAMERA = feed.Camera(KnownColours(160, 96, ()), 1_795_560_000_000, 20)


def _frames(url: str, count: int, transport: str = "tcp", timeout_s: float = 5) -> list[NDArray[Any]]:
    options = {"rtsp_transport": transport, "analyzeduration": "500000"}
    found: list[NDArray[Any]] = []
    with av.open(url, options=options, timeout=timeout_s) as container:
        for frame in container.decode(video=0):
            found.append(frame.to_ndarray(format="rgb24"))
            if len(found) == count:
                break
    return found


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffmpeg_plays_it(transport: str) -> None:
    async with RtspCamera(CAMERA) as camera:
        frames = await asyncio.to_thread(_frames, camera.url, 30, transport)
    assert len(frames) == 30
    for frame in frames:
        assert abs(np.median(frame.reshape(-1, 3), 0) - OUTSIDE).max() < 12


async def test_a_camera_switched_off_is_gone_and_comes_back_at_the_same_address() -> None:
    async with RtspCamera(CAMERA) as camera:
        url = camera.url
        reading = asyncio.create_task(asyncio.to_thread(_frames, url, 10_000))
        while not camera.readers:  # noqa: ASYNC110 - what is waited for is FFmpeg's doing
            await asyncio.sleep(0.01)
        await camera.switch_off()
        assert await _ends(reading)
        with pytest.raises(OSError, match="refused"):
            await asyncio.to_thread(_frames, url, 1)
        await camera.switch_on()
        assert camera.url == url
        assert len(await asyncio.to_thread(_frames, url, 3)) == 3


async def test_a_camera_that_hangs_keeps_the_connection_and_sends_nothing() -> None:
    async with RtspCamera(CAMERA) as camera:
        camera.is_hung = True
        began_s = time.monotonic()
        with pytest.raises(av.error.FFmpegError, match="exit requested"):
            await asyncio.to_thread(_frames, camera.url, 1, "tcp", 1.0)
        assert time.monotonic() - began_s > 0.8


@pytest.mark.parametrize("request_line", ["PLAY rtsp://x/ RTSP/1.0", "FLY rtsp://x/ RTSP/1.0", "nonsense"])
async def test_a_request_out_of_turn_is_refused_and_harms_nobody(request_line: str) -> None:
    async with RtspCamera(CAMERA) as camera:
        port = int(camera.url.split(":")[2].split("/")[0])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{request_line}\r\nCSeq: 4\r\n\r\n".encode())
        answer = await reader.read(1000)
        assert answer == b"" or answer.split()[1] in (b"455", b"501")
        writer.close()
        assert len(await asyncio.to_thread(_frames, camera.url, 2)) == 2


async def _ends(reading: "asyncio.Task[Any]") -> bool:
    done, _ = await asyncio.wait([reading], timeout=10)
    for task in done:
        task.exception()
    return bool(done)
