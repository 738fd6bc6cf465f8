import asyncio
import contextlib
import itertools
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from edge.camera.source import Probe, Shot, Source, _is_file, _options, _url, probe
from edge.clock import WallClock
from edge.config import CameraConfig
from edge.errors import SourceError
from tests.edge.camera.conftest import CameraMaker, City, Film, SetClock, picture, running, seconds, stored, until


@contextmanager
def reading(url: Path | str, clock: WallClock | None = None, **values: object) -> Iterator[Source]:
    config = CameraConfig(url=str(url), **{"read_timeout_s": 0.5, "open_timeout_s": 0.5, **values})  # type: ignore[arg-type]
    source = Source(config, clock or WallClock(), Counter())
    source.start()
    try:
        yield source
    finally:
        source.stop()


def shots(source: Source, number: int, limit_s: float = 5.0) -> list[Shot]:
    found: list[Shot] = []
    end_s = time.monotonic() + limit_s
    while len(found) < number and time.monotonic() < end_s:
        shot = source.next(0.2)
        if shot is not None:
            found.append(shot)
    return found


def test_a_file_is_played_in_real_time_with_wall_times(film: Film) -> None:
    began_ms = WallClock().now_ms()
    with reading(film(seconds=1)) as source:
        found = shots(source, 15)
        assert 900 < WallClock().now_ms() - began_ms < 3_000
        asked_s = time.monotonic()
        assert source.next(0.5) is None
        assert time.monotonic() - asked_s > 0.4
        assert (source.is_over, source.state) == (True, "no-signal")
    assert len(found) == 15
    steps = np.diff([shot.at_ms for shot in found])
    assert steps.min() > 0
    assert np.median(steps) in {66, 67}
    assert 0 <= found[0].at_ms - began_ms < 2_000


def test_a_looped_file_goes_on_for_ever(film: Film) -> None:
    with reading(film(seconds=0.4), is_looped=True) as source:
        found = shots(source, 15)
    times = [shot.at_ms for shot in found]
    assert len(times) == 15
    assert times == sorted(set(times))
    assert {shot.began for shot in found} == {""}


def test_who_is_too_slow_gets_the_newest_and_the_rest_is_counted(film: Film) -> None:
    with reading(film(seconds=1)) as source:
        while not source.is_over:
            time.sleep(0.05)
        waiting = shots(source, 10, 0.5)
        assert source.counts["camera_frames_dropped"] == 11
    assert len(waiting) == 4
    assert waiting[-1].at_ms - waiting[0].at_ms == 200


def transport(path: Path, *sizes: tuple[int, int], number: int = 15) -> Path:
    """One stream that changes its size."""
    parts = []
    for at, size in enumerate(sizes):
        part = path.with_suffix(f".{at}.ts")
        with av.open(part, "w", format="mpegts") as container:
            stream = container.add_stream("libx264", rate=15, options={"tune": "zerolatency"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            for index in range(number):
                container.mux(stream.encode(picture(index, size)))
            container.mux(stream.encode(None))
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))
    return path


async def test_a_camera_that_changes_its_size_gets_a_new_segment(
    make_camera: CameraMaker, city: City, tmp_path: Path
) -> None:
    camera = make_camera(transport(tmp_path / "a.ts", (160, 96), (320, 192), number=25))
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: {item.head.width for item in camera.segments_in(0, 1 << 50)} == {160, 320})
        await until(seconds(camera, 1))
    assert "size" in {item.head.began for item in stored(camera)}
    for item in stored(camera):
        for frame in city.pictures(item):
            middle = frame[item.head.height // 2 - 10 : item.head.height // 2 + 10, item.head.width // 2]
            assert np.abs(middle.astype(int) - 16).max() <= 3
    assert camera.counts["camera_crashes"] == 0


class TcpCamera:
    """Sends a transport stream to whoever connects; can be switched off, or hang."""

    def __init__(self, data: bytes) -> None:
        self.data, self.is_hung, self.port = data, False, 0
        self.server: asyncio.Server | None = None
        self.writers: set[asyncio.StreamWriter] = set()

    async def on(self) -> None:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self.server.sockets[0].getsockname()[1]

    async def off(self) -> None:
        if self.server is not None:
            self.server.close()
        for writer in self.writers:
            writer.close()

    async def _serve(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.add(writer)
        with contextlib.suppress(ConnectionError):
            while not writer.is_closing():
                for at in range(0, len(self.data), 1880):
                    while self.is_hung:  # noqa: ASYNC110 -- the test turns it, no event
                        await asyncio.sleep(0.05)
                    writer.write(self.data[at : at + 1880])
                    await writer.drain()
                    await asyncio.sleep(len(self.data[at : at + 1880]) / len(self.data) * 0.9)
        self.writers.discard(writer)


@pytest.mark.parametrize("fault", ["off", "hung"])
async def test_a_camera_that_vanishes_is_told_and_taken_up_again(
    make_camera: CameraMaker, city: City, tmp_path: Path, fault: str
) -> None:
    tcp = TcpCamera(transport(tmp_path / "a.ts", (160, 96)).read_bytes())
    await tcp.on()
    camera = make_camera(f"tcp://127.0.0.1:{tcp.port}", format="mpegts", read_timeout_s=0.8, open_timeout_s=2.0)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
        if fault == "off":
            await tcp.off()
        tcp.is_hung = fault == "hung"
        await until(lambda: camera.state == "no-signal", 15)
        tcp.is_hung = False
        if fault == "off":
            await tcp.on()
        await until(seconds(camera, 2), 20)
        assert camera.state == "recording"
    await tcp.off()
    items = stored(camera)
    assert all(item.tail is not None for item in items)
    assert camera.counts["camera_failures"] > 0
    assert camera.counts["camera_crashes"] == 0
    for before, after in itertools.pairwise(items):
        assert after.head.previous == before.chain


def broken(path: Path, film: Film, kind: str) -> Path:
    good = film().read_bytes()
    rng = np.random.default_rng(3)
    noise = rng.integers(0, 256, 50_000, dtype=np.uint8).tobytes()
    scratched = bytearray(good)
    for at in rng.integers(2_000, len(good), 300):
        scratched[at] ^= 0xFF
    contents = {
        "empty": b"",
        "noise": noise,
        "text": b"no video\n" * 100,
        "header": good[:300],
        "cut": good[: len(good) // 2],
        "scratched": bytes(scratched),
        "noise after": good[: len(good) // 2] + noise,
    }
    path.write_bytes(contents[kind])
    return path


@pytest.mark.parametrize("kind", ["empty", "noise", "text", "header", "cut", "scratched", "noise after"])
async def test_a_broken_video_is_counted_and_harms_nothing(
    make_camera: CameraMaker, film: Film, city: City, tmp_path: Path, kind: str
) -> None:
    camera = make_camera(broken(tmp_path / "broken.mkv", film, kind))
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.state != "starting" or camera.counts["camera_frames"] > 10)
        await asyncio.sleep(1)
        if kind in {"empty", "noise", "text", "header"}:
            assert camera.state in {"unreadable", "no-signal"}
            assert camera.counts["camera_failures"] > 0
        else:
            assert camera.counts["camera_frames"] > 10
    assert camera.counts["camera_crashes"] == 0
    for item in stored(camera):
        for frame in city.pictures(item):
            assert np.abs(frame[40:56, 80].astype(int) - 16).max() <= 3


def test_a_stream_without_pictures_is_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with av.open(path, "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        assert isinstance(stream, av.AudioStream)
        piece = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        piece.sample_rate = 8000
        container.mux(stream.encode(piece))
    with reading(path) as source:
        assert source.next(0.5) is None
        assert source.state == "unreadable"


@pytest.mark.parametrize("url", ["/nowhere/at/all.mp4", "tcp://127.0.0.1:9", "/dev/video99", "rtsp://127.0.0.1:9/x"])
def test_a_camera_that_is_not_there_gives_no_signal(url: str) -> None:
    with reading(url) as source:
        assert source.next(0.7) is None
        assert source.state == "no-signal"
        assert source.counts["camera_failures"] > 0


async def test_a_clock_that_is_set_back_and_forth_begins_new_segments(
    make_camera: CameraMaker, film: Film, city: City
) -> None:
    clock = Settable()
    camera = make_camera(film(), clock=clock)
    camera.set_mask(city.mask())
    async with running(camera):
        await until(seconds(camera, 1))
        clock.set_ms = -3_600_000
        await until(seconds(camera, 3))
        clock.set_ms = 3_600_000
        await until(seconds(camera, 3))
    items = sorted(stored(camera), key=lambda item: item.path.stat().st_mtime_ns)
    assert [item.head.began for item in items if item.head.began != "next"] == ["start", "clock-jump", "clock-jump"]
    for before, after in itertools.pairwise(items):
        assert after.head.previous == before.chain
    starts = [item.head.start_ms for item in items if item.head.began != "next"]
    assert starts[1] - starts[0] < -3_000_000
    assert starts[2] - starts[1] > 7_000_000
    assert camera.counts["encoder_failures"] == camera.counts["camera_crashes"] == 0


class Settable(SetClock):
    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000 + self.set_ms

    def monotonic_ms(self) -> int:
        return time.monotonic_ns() // 1_000_000


def test_the_password_is_taken_from_its_file_and_stands_in_no_configuration(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p@ss/word\n")
    config = CameraConfig(url="rtsp://user@cam.example:8554/a?b=1", password_file=str(file))
    assert _url(config) == "rtsp://user:p%40ss%2Fword@cam.example:8554/a?b=1"
    assert "p@ss" not in repr(config)


def test_rtsp_goes_by_tcp_unless_another_way_is_given() -> None:
    assert _options(CameraConfig(url="rtsp://a/b")) == {"rtsp_transport": "tcp"}
    given = CameraConfig(url="rtsp://a/b", options=("rtsp_transport=udp", "stimeout=1=2"))
    assert _options(given) == {"rtsp_transport": "udp", "stimeout": "1=2"}
    assert _options(CameraConfig(url="/dev/video0")) == {}


def test_a_probe_says_what_a_camera_gives(film: Film) -> None:
    assert probe(CameraConfig(url=str(film()))) == Probe(160, 96, 15.0, "ffv1", "yuv420p", has_sound=False)


@pytest.mark.parametrize(
    ("url", "told"), [("/nowhere.mp4", "no answer"), ("tcp://127.0.0.1:9", "no answer"), (__file__, "no pictures")]
)
def test_a_probe_says_why_there_is_no_picture(url: str, told: str) -> None:
    with pytest.raises(SourceError, match=told):
        probe(CameraConfig(url=url, open_timeout_s=1))


async def test_pictures_that_cannot_be_used_are_counted_and_told(
    make_camera: CameraMaker, film: Film, city: City
) -> None:
    camera = make_camera(film(size=(8, 8)))
    camera.set_mask(city.mask())
    async with running(camera):
        await until(lambda: camera.counts["frames_unusable"] > 5)
        await until(lambda: camera.state == "unreadable")
    assert stored(camera) == []
    assert camera.counts["camera_crashes"] == 0


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("/films/street.mp4", True),
        ("film.mkv", True),
        ("file:///films/street.mp4", True),
        ("rtsp://camera/1", False),
        ("tcp://127.0.0.1:9", False),
        ("unix:/run/street.sock", False),
        ("/dev/video0", False),
    ],
)
def test_only_what_lies_there_whole_is_paced(url: str, *, expected: bool) -> None:
    assert _is_file(url) is expected
