"""The camera's output, read back with FFmpeg's own libraries."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from firmware_sim.errors import FeedError
from firmware_sim.street import feed
from firmware_sim.street.noise import Noise
from firmware_sim.street.plain import OUTSIDE, KnownColours
from firmware_sim.street.scene import Scene

PLAIN = KnownColours(160, 96, ())
START_MS = 1_795_560_000_000


@pytest.fixture
def serving() -> Iterator[Callable[..., feed.Feed]]:
    """Serve in a thread until the test ends."""
    stop = threading.Event()
    threads = []

    def serve(camera: feed.Camera, url: str = "tcp://127.0.0.1:0") -> feed.Feed:
        live = feed.Feed(camera, url)
        threads.append(threading.Thread(target=live.serve, args=(stop,)))
        threads[-1].start()
        return live

    yield serve
    stop.set()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def _frames(url: str, count: int) -> list[NDArray[Any]]:
    found: list[NDArray[Any]] = []
    with av.open(url, options={"probesize": "50000", "analyzeduration": "500000"}, timeout=5) as container:
        for frame in container.decode(video=0):
            found.append(frame.to_ndarray(format="rgb24"))
            if len(found) == count:
                break
    return found


def test_a_file_has_every_frame_and_its_sound_and_is_not_there_half(tmp_path: Path) -> None:
    camera = feed.Camera(PLAIN, START_MS, 10, Noise(loud_at_s=(1.0,)))
    seen = []
    feed.write(camera, tmp_path / "a.mp4", seconds=2, on_frame=lambda: seen.append((tmp_path / "a.mp4").exists()))
    assert seen == [False] * 20
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    with av.open(str(tmp_path / "a.mp4")) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.frames, video.codec.name, audio.codec.name) == (20, "h264", "aac")
        sound = np.concatenate([part.to_ndarray()[0] for part in container.decode(audio=0)])
    assert 1.9 * 48_000 < len(sound) < 2.2 * 48_000
    assert np.abs(sound[10_000:40_000]).max() < 0.05
    assert np.abs(sound[55_000:90_000]).max() > 0.3


def test_a_file_of_another_kind_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match="mp4"):
        feed.write(feed.Camera(PLAIN, START_MS), tmp_path / "a.gif", seconds=1)
    assert not list(tmp_path.iterdir())


def test_what_goes_wrong_while_filming_leaves_no_file(tmp_path: Path) -> None:
    def fail(at_s: float) -> None:
        if at_s > 0.3:
            raise RuntimeError

    with pytest.raises(RuntimeError):
        feed.write(feed.Camera(PLAIN, START_MS, 10, before_frame=fail), tmp_path / "a.mp4", seconds=1)
    assert not list(tmp_path.iterdir())


def test_readers_come_one_after_another_and_the_scene_goes_on(serving: Callable[..., feed.Feed]) -> None:
    live = serving(feed.Camera(PLAIN, START_MS, 20))
    first = _frames(live.url, 5)
    second = _frames(live.url, 5)
    assert live.readers == 2
    for frame in (*first, *second):
        assert abs(np.median(frame.reshape(-1, 3), 0) - OUTSIDE).max() < 12
    assert not np.array_equal(first[0], second[0])


def test_it_is_sent_at_the_pace_of_the_clock(serving: Callable[..., feed.Feed]) -> None:
    live = serving(feed.Camera(PLAIN, START_MS, 20))
    began_s = time.monotonic()
    _frames(live.url, 30)
    assert 1.4 < time.monotonic() - began_s < 5.0


def test_a_unix_socket_serves_a_scene_with_sound(open_dir: Path, serving: Callable[..., feed.Feed]) -> None:
    path = open_dir / "street.sock"
    live = serving(feed.Camera(Scene(160, 96), START_MS, 10, Noise()), f"unix:{path}")
    assert live.url == f"unix:{path}"
    with av.open(live.url, options={"probesize": "200000", "analyzeduration": "1000000"}, timeout=5) as container:
        assert {stream.type for stream in container.streams} == {"video", "audio"}


@pytest.mark.parametrize(
    "url", ["tcp://0.0.0.0:9000", "http://127.0.0.1:80", "tcp://127.0.0.1", "tcp://127.0.0.1:99999"]
)
def test_only_an_address_of_this_machine_is_served(url: str) -> None:
    with pytest.raises(FeedError):
        feed.Feed(feed.Camera(PLAIN, START_MS), url)
