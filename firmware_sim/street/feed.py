"""The camera's output: the scene as H.264, into a file or live over a socket, one reader after another."""

import contextlib
import logging
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from threading import Event
from typing import Final, Protocol
from urllib.parse import urlsplit

import av
from av.container import OutputContainer

from firmware_sim.errors import FeedError
from firmware_sim.street.brush import Picture
from firmware_sim.street.noise import Noise

log = logging.getLogger(__name__)

_STALLED_S: Final = 5.0
_POLL_S: Final = 0.2
_LATE_S: Final = 1.0


class Sight(Protocol):
    """Something to film."""

    @property
    def width(self) -> int:
        """Pixels, even."""

    @property
    def height(self) -> int:
        """Pixels, even."""

    def frame(self, at_ms: int) -> Picture:
        """Return the picture at `at_ms`: red, green, blue."""


@dataclass(frozen=True, slots=True)
class Camera:
    """A camera that films a scene.

    Attributes:
        sight: what it sees.
        start_ms: when the first frame is taken, Unix milliseconds of the scene.
        fps: frames a second.
        noise: what its microphone hears; None: it has none.
        before_frame: called with the seconds since the start before each frame: here a test turns the camera.
    """

    sight: Sight
    start_ms: int
    fps: int = 15
    noise: Noise | None = None
    before_frame: Callable[[float], None] = lambda _: None


class Film:
    """One recording of a camera: encodes frame by frame into a container."""

    def __init__(self, camera: Camera, container: OutputContainer, first: int) -> None:
        self._camera = camera
        self._container = container
        self._first = first
        self._video = container.add_stream("libx264", rate=camera.fps)
        self._video.width, self._video.height = camera.sight.width, camera.sight.height
        self._video.pix_fmt = "yuv420p"
        self._video.gop_size = camera.fps
        self._video.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "24"}
        self._audio = container.add_stream("aac", rate=camera.noise.rate_hz, layout="mono") if camera.noise else None

    def take(self, number: int) -> None:
        """Film the frame of this number, and the sound until the next."""
        camera = self._camera
        camera.before_frame(number / camera.fps)
        picture = camera.sight.frame(camera.start_ms + number * 1000 // camera.fps)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = number - self._first, Fraction(1, camera.fps)
        self._container.mux(self._video.encode(frame))
        if self._audio and camera.noise:
            begin, end = (at * camera.noise.rate_hz // camera.fps for at in (number, number + 1))
            sound = av.AudioFrame.from_ndarray(camera.noise.samples(begin, end - begin)[None], "fltp", "mono")
            sound.sample_rate = camera.noise.rate_hz
            sound.pts = begin - self._first * camera.noise.rate_hz // camera.fps
            sound.time_base = Fraction(1, camera.noise.rate_hz)
            self._container.mux(self._audio.encode(sound))

    def end(self) -> None:
        """Write what the encoders still hold."""
        self._container.mux(self._video.encode(None))
        if self._audio:
            self._container.mux(self._audio.encode(None))


def write(camera: Camera, path: Path, *, seconds: int, on_frame: Callable[[], None] = lambda: None) -> None:
    """Write `seconds` of the camera to `path`, as its suffix says (.mp4, .mkv, .ts); nothing is there until all is.

    Raises:
        FeedError: no such kind of file, or it cannot be written.
    """
    kind = {".mp4": "mp4", ".mkv": "matroska", ".ts": "mpegts"}.get(path.suffix.lower())
    if kind is None:
        raise FeedError(f"{path.name}: .mp4、.mkv、.ts のどれかにしてください。Name it .mp4, .mkv or .ts")
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with av.open(str(unfinished), "w", format=kind) as container:
            film = Film(camera, container, 0)
            for number in range(seconds * camera.fps):
                film.take(number)
                on_frame()
            film.end()
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


class Feed:
    """The camera live: MPEG-TS over a socket on this machine.

    The scene goes on while nobody looks. Readers come one after another; the next waits until the first has gone.

    Args:
        camera: what is sent.
        url: `tcp://127.0.0.1:PORT` (0: a free one, see `url`) or `unix:/PATH`.
        now_s: a clock that never goes back, seconds.

    Raises:
        FeedError: the address is none of this machine, or taken.
    """

    def __init__(self, camera: Camera, url: str, now_s: Callable[[], float] = time.monotonic) -> None:
        self._camera = camera
        self._now_s = now_s
        self._start_s = now_s()
        self._path, self._listener = _listen(url)
        self._listener.settimeout(_POLL_S)
        self.readers = 0

    @property
    def url(self) -> str:
        """Where a reader connects to, as FFmpeg writes it."""
        if self._path:
            return f"unix:{self._path}"
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def serve(self, stop: Event) -> None:
        """Serve readers until `stop` is set; a reader that goes away, or does not read, is no error."""
        try:
            while not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    reader = self._listener.accept()[0]
                    self.readers += 1
                    with reader:
                        self._show(reader, stop)
        finally:
            self.close()

    def close(self) -> None:
        """Let nobody in any more."""
        self._listener.close()
        if self._path:
            self._path.unlink(missing_ok=True)

    def _show(self, reader: socket.socket, stop: Event) -> None:
        reader.settimeout(_STALLED_S)
        began_s, sent = self._now_s(), _Sent()
        with av.open(sent, "w", format="mpegts", options={"flush_packets": "1"}) as container:
            film: Film | None = None
            for number in self._due(stop):
                film = film or Film(self._camera, container, number)
                film.take(number)
                try:
                    reader.sendall(sent.take())
                except OSError as error:
                    facts = {"error_kind": type(error).__name__, "seconds": round(self._now_s() - began_s)}
                    log.info("reader.left", extra=facts)
                    return

    def _due(self, stop: Event) -> Iterator[int]:
        """Yield the number of each frame when its time has come; what is late by a second is left out."""
        fps = self._camera.fps
        number = int((self._now_s() - self._start_s) * fps) + 1
        while not stop.is_set():
            wait_s = self._start_s + number / fps - self._now_s()
            if wait_s < -_LATE_S:
                number = int((self._now_s() - self._start_s) * fps)
            elif wait_s > 0 and stop.wait(wait_s):
                return
            yield number
            number += 1


class _Sent:
    """What PyAV writes to. It keeps the octets for us to send: an error within its callback would come up anywhere."""

    def __init__(self) -> None:
        self._octets = bytearray()

    def write(self, data: bytes) -> int:
        self._octets += data
        return len(data)

    def take(self) -> bytes:
        """Return what was written since the last call."""
        octets = bytes(self._octets)
        self._octets.clear()
        return octets


def port_of(url: str, scheme: str) -> int:
    """Return the port in `scheme://127.0.0.1:PORT`.

    Raises:
        FeedError: it is another scheme, not this machine, or no port.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == scheme and parts.hostname == "127.0.0.1" and parts.port is not None:
            return parts.port
    except ValueError as error:
        raise FeedError(f"{url}: ポートではありません。Not a port") from error
    raise FeedError(
        "--serve: rtsp://127.0.0.1:ポート、tcp://127.0.0.1:ポート、unix:/パス のどれかです。"
        "rtsp://127.0.0.1:PORT, tcp://127.0.0.1:PORT or unix:/PATH"
    )


def _listen(url: str) -> tuple[Path | None, socket.socket]:
    try:
        if not url.startswith("unix:"):
            return None, socket.create_server(("127.0.0.1", port_of(url, "tcp")))
        path = Path(url.removeprefix("unix:"))
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(path))
        listener.listen()
    except OSError as error:
        raise FeedError(f"{url}: 待ち受けできません。Cannot listen there: {error}") from error
    return path, listener
