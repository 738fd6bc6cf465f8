"""From pictures to sealed segments: fit, paint, encode, seal. One thread calls all of it."""

import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange, VideoReformatter
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from numpy.typing import NDArray

from edge.camera import disk, encode
from edge.camera.anchor import Wall
from edge.camera.encode import Encoder, Second, Shape
from edge.camera.mask import Painter, pixels_of
from edge.camera.ring import Ring
from edge.camera.segment import SECOND_MS, SEGMENT_MS, Head, Writer
from edge.camera.source import Shot
from edge.config import CameraConfig
from edge.errors import EncodeError, RingError, SegmentError, SourceError
from privacy.masks import Mask
from wire import strand
from wire.camera_settings import CameraSettings
from wire.strand import Strand

log = logging.getLogger(__name__)

THUMBNAIL_PX: Final = 320
FPS_WINDOW_MS: Final = 12_000
MAX_SOUNDS: Final = 100
"""Levels that wait for their second; the oldest are given up while nothing can be written."""
_FULL_RANGE: Final = ("yuvj420p", "yuvj422p", "yuvj444p", "yuvj440p", "yuvj411p")


@dataclass(slots=True)
class Recorder:
    """Records one camera.

    Attributes:
        camera: id of the gateway.
        counts: frames_recorded, frames_unusable, disk_failures, encoder_failures, seconds_recorded.
        random_id: gives 16 octets.
        watch: given the painted picture in grey, shape (height, width), now and then; says whether to go on.
        watch_ms: so often the watch is asked.
        pause_ms: nothing is tried for so long after a failure of the disk or of the encoder.
        trouble: "", "disk-full" or "unreadable": why nothing is written just now.
    """

    camera: str
    config: CameraConfig
    ring: Ring
    footage_key: X25519PublicKey
    clock: Wall
    counts: Counter[str]
    random_id: Callable[[], bytes]
    watch: Callable[[NDArray[np.uint8]], bool] | None = None
    pause_ms: int = 5_000
    watch_ms: int = 5_000
    trouble: str = ""
    _mask: Mask | None = None
    _fps: int = 0
    _painter: Painter | None = None
    _encoder: Encoder | None = None
    _codec: tuple[Shape, str] | None = None
    _writer: Writer | None = None
    _fragments: int = 0
    _strand: tuple[int, Strand] | None = None
    _thumbnail: tuple[int, bytes] | None = None
    _sounds: deque[tuple[int, bytes]] = field(default_factory=lambda: deque(maxlen=MAX_SOUNDS))
    _began: str = "start"
    _idle_since_ms: int = 0
    _watched_ms: int | None = None
    _paused_until_ms: int = 0
    _recent: deque[tuple[int, int]] = field(default_factory=deque)
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter, repr=False)

    def take(self, shot: Shot, mask: Mask, settings: CameraSettings) -> None:
        """Record one picture under a mask that is in force."""
        self._idle_since_ms = self.clock.monotonic_ms()
        self._break_where_something_changed(shot, mask, settings)
        if self.clock.monotonic_ms() < self._paused_until_ms:
            return
        try:
            painted = self._painted(shot.frame, mask)
            if not self._may_go_on(painted):
                return
            encoder = self._opened(painted, settings)
            for second in encoder.encode(painted, shot.at_ms):
                self._write(second)
            self._keep_thumbnail(painted, shot.at_ms)
            self.trouble = ""
        except SourceError:
            self.counts["frames_unusable"] += 1
            self.trouble = "unreadable"
        except EncodeError as error:
            self._fail("encoder", "unreadable", error)
        except (OSError, RingError, SegmentError) as error:
            self._fail("disk", "disk-full", error)

    def hear(self, at_ms: int, levels: bytes) -> None:
        """Write sound levels into the segment at its next second."""
        self._sounds.append((at_ms, levels))

    def idle(self, longest_ms: int = 2 * SECOND_MS) -> None:
        """End the open segment if no picture came for so long."""
        if self._encoder is not None and self.clock.monotonic_ms() - self._idle_since_ms > longest_ms:
            self.interrupt("reconnect")

    def interrupt(self, reason: str) -> None:
        """End the open second and the open segment; the next one begins for `reason`."""
        encoder, self._encoder = self._encoder, None
        try:
            for second in [] if encoder is None else encoder.finish():
                self._write(second)
            self._end()
        except EncodeError as error:
            self._fail("encoder", self.trouble, error)
        except (OSError, RingError, SegmentError) as error:
            self._fail("disk", "disk-full", error)
        self._thumbnail = None
        self._sounds.clear()  # what goes on may be under other rules
        self._began = self._began if self._began != "next" else reason

    def fps_centi(self) -> int:
        """Return hundredths of a frame a second, as written in the last seconds."""
        now_ms = self.clock.monotonic_ms()
        while self._recent and now_ms - self._recent[0][0] > FPS_WINDOW_MS:
            self._recent.popleft()
        return round(100 * sum(frames for _, frames in self._recent) / max(1, len(self._recent)))

    def _break_where_something_changed(self, shot: Shot, mask: Mask, settings: CameraSettings) -> None:
        reason = shot.began
        if mask is not self._mask:
            reason = reason or "mask"
        elif settings.fps != self._fps:
            reason = reason or "settings"
        if reason and self._encoder is not None:
            self.interrupt(reason)  # what is still open was painted under the mask of before
        if mask is not self._mask:
            self._mask, self._painter, self._watched_ms = mask, None, None
        self._fps = settings.fps

    def _painted(self, frame: av.VideoFrame, mask: Mask) -> av.VideoFrame:
        fitted = self._fitted(frame)
        painter = self._painter
        if painter is None or (painter.width, painter.height) != (fitted.width, fitted.height):
            painter = self._painter = Painter(mask, fitted.width, fitted.height)
        return painter.paint(fitted)

    def _fitted(self, frame: av.VideoFrame) -> av.VideoFrame:
        """Return the picture as yuv420p in limited range, small enough, its sides even."""
        shrink = min(1.0, self.config.max_width / frame.width, self.config.max_height / frame.height)
        width, height = (int(side * shrink + 0.001) // 2 * 2 for side in (frame.width, frame.height))
        if min(width, height) < 16:
            raise SourceError("a picture too small to be one")
        is_full = frame.format.name in _FULL_RANGE or frame.color_range == ColorRange.JPEG
        source_range = ColorRange.JPEG if is_full else None
        if frame.format.is_rgb or frame.format.name.startswith(("gray", "pal", "mono")):
            source_range = None
        try:
            return self._reformatter.reformat(
                frame,
                width,
                height,
                "yuv420p",
                src_color_range=source_range,
                dst_color_range=ColorRange.MPEG,
                threads=1,
            )
        except (ValueError, av.FFmpegError) as error:
            raise SourceError("a picture of a kind that cannot be converted") from error

    def _may_go_on(self, painted: av.VideoFrame) -> bool:
        now_ms = self.clock.monotonic_ms()
        if self.watch is None or (self._watched_ms is not None and now_ms - self._watched_ms < self.watch_ms):
            return True
        self._watched_ms = now_ms
        return self.watch(pixels_of(painted.planes[0]).copy())

    def _opened(self, painted: av.VideoFrame, settings: CameraSettings) -> Encoder:
        shape = Shape(painted.width, painted.height, settings.fps, self.config.preset, self.config.crf)
        if self._encoder is not None and self._encoder.shape != shape:
            self.interrupt("size")
        if self._encoder is None:
            if self._codec is None or self._codec[0] != shape:
                self._codec = (shape, encode.choose(self.config.encoder, shape))
            self._check_space()
            self._encoder = Encoder(self._codec[1], shape)
        return self._encoder

    def _keep_thumbnail(self, painted: av.VideoFrame, at_ms: int) -> None:
        """Make the thumbnail of the segment that this picture is in, if it has none yet."""
        slot = at_ms // SEGMENT_MS
        is_due = self._thumbnail is None or self._thumbnail[0] != slot
        if self._writer is None and is_due and self._mask is not None:
            self._thumbnail = (slot, thumbnail(painted, self._mask))

    def _check_space(self) -> None:
        if disk.free_mb(self.ring.footage) < self.config.min_free_mb:
            raise OSError("less is free than recording must leave")

    def _write(self, second: Second) -> None:
        writer = self._writer
        if writer is not None and second.at_ms // SEGMENT_MS != writer.head.start_ms // SEGMENT_MS:
            self._end()
        writer = self._writer or self._begin(second)
        self._fragments += 1
        writer.second(
            second.fragment(writer.head.start_ms, self._fragments),
            at_ms=second.at_ms,
            frames=second.frames,
            samples_sha256=second.samples_sha256,
        )
        self._write_small(writer, second)
        self.counts["frames_recorded"] += second.frames
        self.counts["seconds_recorded"] += 1
        self._recent.append((self.clock.monotonic_ms(), second.frames))
        if (second.at_ms + SECOND_MS) % SEGMENT_MS == 0:
            self._end()

    def _write_small(self, writer: Writer, second: Second) -> None:
        """Write what goes beside the video: a thumbnail a segment, and sound levels."""
        if self._fragments == 1 and self._thumbnail is not None:
            writer.thumbnail(self._thumbnail[1], at_ms=second.at_ms)
        while self._sounds:
            at_ms, levels = self._sounds.popleft()
            writer.sound(levels, at_ms=at_ms)

    def _begin(self, second: Second) -> Writer:
        if self._mask is None:
            raise SegmentError("no mask, no segment")
        self._check_space()
        self.ring.mend_left()
        key, shape = self._strand_at(second.at_ms), second.run.shape
        head = Head(
            camera=self.camera,
            id=self.random_id(),
            start_ms=second.at_ms,
            mask_version=self._mask.version,
            strand_id=key.id,
            strand_wrapped=key.wrapped,
            width=shape.width,
            height=shape.height,
            fps=shape.fps,
            codec=second.run.codec,
            previous=self.ring.chain,
            is_clock_synced=self.clock.is_synced(),
            began=self._began,
        )
        writer = self._writer = self.ring.begin(head, key.key)
        self._fragments, self._began = 0, "next"
        writer.init(second.run.init)
        return writer

    def _strand_at(self, at_ms: int) -> Strand:
        slot = at_ms // strand.STRAND_MS
        if self._strand is None or self._strand[0] != slot:
            self._strand = (slot, Strand.new(self.camera, self.footage_key))
        return self._strand[1]

    def _end(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            self.ring.end(writer)

    def _fail(self, what: str, trouble: str, error: Exception) -> None:
        """Give the open segment up as it is, and do nothing for a while."""
        self.counts[f"{what}_failures"] += 1
        if self.trouble != trouble:
            log.error("recording.failed", extra={"reason": type(error).__name__, "state": trouble})
        self.trouble = trouble
        writer, self._writer, self._encoder = self._writer, None, None
        self._thumbnail = None  # when it goes on, another mask may be in force
        if writer is not None:
            writer.abandon()
            self.ring.leave(writer)
            self._began = what
        self._paused_until_ms = self.clock.monotonic_ms() + self.pause_ms


def thumbnail(painted: av.VideoFrame, mask: Mask) -> bytes:
    """Return a JPEG of a painted picture, 320 pixels wide or less, painted once more: whole blocks of it are black."""
    width = min(THUMBNAIL_PX, painted.width)
    height = max(2, painted.height * width // painted.width // 2 * 2)
    small = painted.reformat(width=width, height=height, format="yuv420p", threads=1)
    pixels = Painter(mask, width, height).paint(small).to_ndarray(format="bgr24")
    is_made, data = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 80])
    if not is_made:
        raise EncodeError("the thumbnail cannot be made")
    octets: bytes = data.tobytes()
    return octets
