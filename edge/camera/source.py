"""Pictures from anything that FFmpeg opens, with their wall times; connects again for ever, and falls behind nobody."""

import logging
import re
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit, urlunsplit

import av
from av.container import InputContainer

from edge.camera.anchor import Anchor, Thinner, Wall
from edge.config import CameraConfig
from edge.errors import SourceError
from wire.retry import wait_s

log = logging.getLogger(__name__)

QUEUE_FRAMES: Final = 4
MOST_WAIT_S: Final = 30.0
LONGEST_PACE_MS: Final = 5_000
"""A file whose times jump by more goes on at once."""
UNREADABLE_MS: Final = 5_000
"""So long packets may come of which no picture is made."""


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture.

    Attributes:
        frame: as decoded; the decoder may still need it.
        at_ms: wall time, Unix milliseconds.
        began: why what was recorded before does not go on with it: "reconnect" or "clock-jump"; "" = it does.
    """

    frame: av.VideoFrame
    at_ms: int
    began: str = ""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a camera gives.

    Attributes:
        width: pixels.
        height: pixels.
        fps: as the stream says; 0 where it says nothing.
        codec: FFmpeg's name.
        format: FFmpeg's name of the pixels' format.
        has_sound: whether there is sound beside the pictures; it is not decoded.
    """

    width: int
    height: int
    fps: float
    codec: str
    format: str
    has_sound: bool


@dataclass(slots=True)
class Source:
    """Reads one camera in a thread of its own.

    Attributes:
        counts: camera_connects, camera_failures, camera_packets_damaged, camera_frames, camera_frames_dropped.
        fps: what is let through at most.
        hear: given each piece of sound with its wall time; None: no sound is even decoded.
        state: "starting", "", "no-signal" or "unreadable"; "" = pictures come.
        is_over: a file was played to its end; nothing comes any more.
    """

    config: CameraConfig
    clock: Wall
    counts: Counter[str]
    fps: int = 15
    hear: Callable[[av.AudioFrame, int], None] | None = None
    state: str = "starting"
    is_over: bool = False
    _shots: deque[Shot] = field(default_factory=deque, repr=False)
    _arrived: threading.Condition = field(default_factory=threading.Condition, repr=False)
    _stopped: threading.Event = field(default_factory=threading.Event, repr=False)
    _thread: threading.Thread | None = None
    _anchor: Anchor = field(init=False)
    _sound_anchor: Anchor = field(init=False)
    _thinner: Thinner = field(init=False)
    _began: str = ""
    _picture_ms: int = 0
    _hears: bool = False

    def __post_init__(self) -> None:
        self._anchor, self._sound_anchor = Anchor(self.clock), Anchor(self.clock)
        self._thinner = Thinner(lambda: self.fps)

    def start(self) -> Self:
        """Begin to read."""
        self._thread = threading.Thread(target=self._run, name="camera-source", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> None:
        """Stop reading; a camera that hangs is left to its own time-out."""
        self._stopped.set()
        with self._arrived:
            self._shots.clear()
            self._arrived.notify_all()
        if self._thread is not None:
            self._thread.join(self.config.read_timeout_s + 1)

    def next(self, timeout_s: float) -> Shot | None:
        """Return the oldest picture that waits; None if none comes in `timeout_s` wall seconds."""
        with self._arrived:
            self._arrived.wait_for(lambda: self._shots or self._stopped.is_set(), timeout_s)
            return self._shots.popleft() if self._shots else None

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            before = self.counts["camera_frames"]
            try:
                self._read_once()
            except (av.FFmpegError, SourceError, OSError, ValueError) as error:
                self.counts["camera_failures"] += 1
                self.state = "unreadable" if _is_unreadable(error) else "no-signal"
                log.warning("camera.failed", extra={"reason": type(error).__name__, "state": self.state})
            except Exception:
                self.counts["camera_failures"] += 1
                self.state = "unreadable"
                log.exception("camera.crashed")
            if self.is_over:
                break
            failures = 0 if self.counts["camera_frames"] > before else failures + 1
            self._stopped.wait(wait_s(failures, most_s=MOST_WAIT_S) if failures else 0.01)
        with self._arrived:
            self._arrived.notify_all()

    def _read_once(self) -> None:
        with opened(self.config) as container:
            video = next(iter(container.streams.video), None)
            if video is None:
                raise SourceError("a stream without pictures")
            video.thread_count, video.thread_type = 1, "NONE"
            self.counts["camera_connects"] += 1
            if self.counts["camera_connects"] > 1 and not self.config.is_looped:
                self._began = "reconnect"
            for anchor in (self._anchor, self._sound_anchor):
                anchor.loosen()
            self._picture_ms = self.clock.monotonic_ms()
            self._hears = self.hear is not None
            sounds = list(container.streams.audio[:1]) if self._hears else []
            self._read(container.demux([video, *sounds]))
        if _is_file(self.config.url) and not self.config.is_looped and not self._stopped.is_set():
            self.is_over, self.state = True, "no-signal"

    def _read(self, packets: Iterator[Any]) -> None:
        pace = Pace(self.clock) if _is_file(self.config.url) else None
        for packet in packets:
            for frame in self._decoded(packet):
                stream_ms = None if frame.time is None else frame.time * 1000
                if pace is not None and not pace.wait(stream_ms, self._stopped):
                    return
                if isinstance(frame, av.VideoFrame):
                    self._show(frame, stream_ms)
                elif self.hear is not None:
                    self.hear(frame, self._sound_anchor.at_ms(stream_ms)[0])
            if self._stopped.is_set() or self._hears != (self.hear is not None):
                return
            if self.clock.monotonic_ms() - self._picture_ms > UNREADABLE_MS:
                raise SourceError("packets, but no pictures")

    def _decoded(self, packet: Any) -> list[Any]:  # noqa: ANN401 -- of a video or an audio stream
        try:
            frames: list[Any] = packet.decode()
        except (av.FFmpegError, ValueError):
            self.counts["camera_packets_damaged"] += 1
            return []
        return frames

    def _show(self, frame: av.VideoFrame, stream_ms: float | None) -> None:
        self._picture_ms = self.clock.monotonic_ms()
        self.counts["camera_frames"] += 1
        self.counts["camera_source_cpu_ms"] = time.thread_time_ns() // 1_000_000
        at_ms, is_jump = self._anchor.at_ms(stream_ms)
        if is_jump:
            self._began = "clock-jump"
        elif not self._thinner.is_kept(at_ms):
            return
        shot = Shot(frame, at_ms, self._began)
        self._began, self.state = "", ""
        with self._arrived:
            self._shots.append(shot)
            if len(self._shots) > QUEUE_FRAMES:
                dropped = self._shots.popleft()
                self.counts["camera_frames_dropped"] += 1
                if dropped.began:
                    self._shots[0] = replace(self._shots[0], began=dropped.began)
            self._arrived.notify()


@dataclass(slots=True)
class Pace:
    """Holds the pictures of a file back until their time has come."""

    clock: Wall
    _origin_ms: float | None = None

    def wait(self, stream_ms: float | None, stopped: threading.Event) -> bool:
        """Return True when it is time; False if `stopped` was set first."""
        if stream_ms is None:
            return not stopped.is_set()
        now_ms = self.clock.monotonic_ms()
        if self._origin_ms is None or abs(self._origin_ms + stream_ms - now_ms) > LONGEST_PACE_MS:
            self._origin_ms = now_ms - stream_ms
        return not stopped.wait(max(0.0, self._origin_ms + stream_ms - now_ms) / 1000)


def probe(config: CameraConfig) -> Probe:
    """Return what a camera gives, after one picture of it was decoded; nothing of that is kept.

    Raises:
        SourceError: it cannot be reached, or gives no pictures that we can read; the message says which.
    """
    try:
        with opened(config) as container:
            video = next(iter(container.streams.video), None)
            frame = None if video is None else next(container.decode(video), None)
            if video is None or frame is None:
                raise SourceError("a stream without pictures")
            fps = float(video.average_rate or 0)
            codec = video.codec_context.name
            return Probe(frame.width, frame.height, fps, codec, frame.format.name, bool(container.streams.audio))
    except (av.FFmpegError, OSError, ValueError) as error:
        what = "no pictures that can be read" if _is_unreadable(error) else "no answer"
        raise SourceError(f"{what}: {getattr(error, 'strerror', '') or type(error).__name__}") from error


def opened(config: CameraConfig) -> InputContainer:
    """Return the camera as libav opens it.

    Raises:
        av.FFmpegError: it cannot be opened.
        OSError: the file with the password cannot be read.
    """
    timeout = (config.open_timeout_s, config.read_timeout_s)
    return av.open(_url(config), "r", format=_format(config), options=_options(config), timeout=timeout)


def _format(config: CameraConfig) -> str | None:
    return config.format or ("v4l2" if config.url.startswith("/dev/video") else None)


def _options(config: CameraConfig) -> dict[str, str]:
    given = dict(item.split("=", 1) for item in config.options)
    usual = {"rtsp_transport": "tcp"} if config.url.startswith(("rtsp:", "rtsps:")) else {}
    return usual | given


def _url(config: CameraConfig) -> str:
    if not config.password_file:
        return config.url
    password = Path(config.password_file).read_text(encoding="utf-8").partition("\n")[0].strip()
    parts = urlsplit(config.url)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(
        parts._replace(netloc=f"{quote(parts.username or '', safe='')}:{quote(password, safe='')}@{host}")
    )


def _is_file(url: str) -> bool:
    """Return whether what comes is there already and has to be paced: no address, no socket, no device."""
    is_address = re.match(r"[a-z][a-z0-9+.-]*:", url) and not url.startswith("file:")
    return not is_address and not url.startswith("/dev/")


def _is_unreadable(error: Exception) -> bool:
    """Return whether something answered, but not with pictures that we can read."""
    return isinstance(error, SourceError | ValueError | av.error.DecoderNotFoundError | av.error.DemuxerNotFoundError)
