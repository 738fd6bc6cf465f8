"""From painted pictures to whole seconds of video: each a closed group of pictures and a fragment of an MP4."""

import hashlib
import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, TypeAlias

import av
import numpy as np
from av.codec.hwaccel import HWAccel
from av.video.frame import PictureType
from av.video.reformatter import ColorRange

from edge.camera.segment import SECOND_MS, boxes, samples_of
from edge.errors import EncodeError

TICKS_PER_MS: Final = 90
"""The time scale of the tracks is 90,000 a second."""
SOFTWARE: Final = "libx264"
HARDWARE: Final = ("h264_v4l2m2m", "h264_vaapi", "h264_nvenc", "h264_qsv")
"""In the order in which they are tried."""
Packet: TypeAlias = "av.Packet[av.VideoStream]"
_BITS_PER_PIXEL: Final = 0.1
_LONGEST_GOP: Final = 600
_MS: Final = Fraction(1, 1000)
_MOVFLAGS: Final = "frag_custom+empty_moov+default_base_moof+skip_trailer"


@dataclass(frozen=True, slots=True)
class Shape:
    """What is encoded, and how.

    Attributes:
        width: pixels, even.
        height: pixels, even.
        fps: pictures a second at most.
        preset: of libx264.
        crf: of libx264; lower is better and larger.
    """

    width: int
    height: int
    fps: int
    preset: str = "superfast"
    crf: int = 26


@dataclass(frozen=True, slots=True)
class Second:
    """All pictures of one wall-clock second, encoded.

    Attributes:
        at_ms: the second's start, Unix milliseconds.
        first_ms: wall time of the first picture.
        frames: pictures.
        samples_sha256: over the samples as they stand in the fragment.
        run: the encoder that made them.
    """

    at_ms: int
    first_ms: int
    frames: int
    samples_sha256: bytes
    run: "Encoder" = field(repr=False)
    _fragment: bytes = field(repr=False)

    def fragment(self, start_ms: int, number: int) -> bytes:
        """Return moof and mdat for a file that begins at `start_ms`, as its fragment `number`, the first being 1."""
        return _placed(self._fragment, (self.first_ms - start_ms) * TICKS_PER_MS, number)


class Encoder:
    """One run of one encoder; a new size, or a clock that jumped, needs a new one.

    Attributes:
        codec: its name.
        shape: what it encodes.
        init: ftyp and moov, which stand before every fragment.
    """

    def __init__(self, codec: str, shape: Shape) -> None:
        """Open the encoder.

        Raises:
            EncodeError: it does not open.
        """
        self.codec, self.shape = codec, shape
        self._container = av.open(io.BytesIO(), "w", format="mp4", options={"movflags": _MOVFLAGS})
        try:
            self._stream = _add_stream(self._container, codec, shape)
            self._container.start_encoding()
            self.init = b"".join(_split(self._muxed([]), want_head=True))
        except (av.FFmpegError, ValueError, OSError) as error:
            raise EncodeError(f"{codec} does not open") from error
        self._packets: list[Packet] = []
        self._last_ms = -1

    def encode(self, frame: av.VideoFrame, at_ms: int) -> list[Second]:
        """Return the seconds that are complete now.

        Args:
            frame: yuv420p, painted.
            at_ms: its wall time, later than that of the picture before.

        Raises:
            EncodeError: the encoder failed, or time went back.
        """
        if at_ms <= self._last_ms:
            raise EncodeError("time went back within one run of an encoder")
        is_first = at_ms // SECOND_MS != self._last_ms // SECOND_MS
        if self._stream.codec_context.pix_fmt != "yuv420p":
            frame = frame.reformat(format=self._stream.codec_context.pix_fmt)
        frame.pts, frame.time_base = at_ms, _MS
        frame.pict_type = PictureType.I if is_first else PictureType.NONE
        self._last_ms = at_ms
        return list(self._take(frame))

    def finish(self) -> list[Second]:
        """Return the seconds that were still open; nothing can be encoded after it.

        Raises:
            EncodeError: the encoder failed.
        """
        seconds = list(self._take(None))
        if self._packets:
            seconds.append(self._second())
        return seconds

    def _take(self, frame: av.VideoFrame | None) -> Iterator[Second]:
        try:
            packets = self._stream.encode(frame)
        except (av.FFmpegError, ValueError) as error:
            raise EncodeError(f"{self.codec} failed") from error
        for packet in packets:
            if self._packets and _second_of(packet) != _second_of(self._packets[0]):
                if not packet.is_keyframe:
                    raise EncodeError(f"{self.codec} began a second without a key picture")
                yield self._second()
            self._packets.append(packet)

    def _second(self) -> Second:
        packets, self._packets = self._packets, []
        times = [_ms_of(packet) for packet in packets]
        at_ms = times[0] // SECOND_MS * SECOND_MS
        nominal_ms = max(1, SECOND_MS // self.shape.fps)
        ends = [*times[1:], min(times[-1] + nominal_ms, at_ms + SECOND_MS)]
        for packet, time_ms, end_ms in zip(packets, times, ends, strict=True):
            packet.pts = packet.dts = time_ms - times[0]
            packet.duration, packet.time_base = max(1, end_ms - time_ms), _MS
        fragment = b"".join(_split(self._muxed(packets), want_head=False))
        digest = hashlib.sha256(samples_of(fragment)).digest()
        return Second(at_ms, times[0], len(packets), digest, self, fragment)

    def _muxed(self, packets: list[Packet]) -> bytes:
        """Return an MP4 of its own with one fragment; the muxer would keep a fragment back until the next begins."""
        target = io.BytesIO()
        options = {"movflags": _MOVFLAGS, "use_editlist": "0", "video_track_timescale": str(TICKS_PER_MS * 1000)}
        with av.open(target, "w", format="mp4", options=options) as container:
            stream = container.add_stream_from_template(self._stream, opaque=True)
            stream.time_base = Fraction(1, TICKS_PER_MS * 1000)
            container.start_encoding()
            for packet in packets:
                packet.stream = stream
                container.mux(packet)
        return target.getvalue()


def choose(wanted: str, shape: Shape) -> str:
    """Return the encoder to use: `wanted` if it is not "", else the first of the hardware's that works, else libx264.

    Raises:
        EncodeError: the one wanted does not work here, or none does.
    """
    names = (wanted,) if wanted else (*HARDWARE, SOFTWARE)
    for name in names:
        if works(name, shape):
            return name
    raise EncodeError(f"{' '.join(names)}: no encoder works")


def works(codec: str, shape: Shape) -> bool:
    """Return whether an encoder opens here, begins a second anew, and makes of grey pictures what decodes to grey."""
    if codec not in av.codecs_available:
        return False
    grey = np.full((shape.height * 3 // 2, shape.width), 100, np.uint8)
    try:
        encoder = Encoder(codec, shape)
        times = (0, SECOND_MS // 2, SECOND_MS)
        seconds = [s for at_ms in times for s in encoder.encode(av.VideoFrame.from_ndarray(grey, "yuv420p"), at_ms)]
        seconds += encoder.finish()
        encoded = encoder.init + b"".join(item.fragment(0, number) for number, item in enumerate(seconds, 1))
        with av.open(io.BytesIO(encoded), "r") as container:
            pictures = [item.to_ndarray(format="yuv420p") for item in container.decode(video=0)]
    except (EncodeError, av.FFmpegError, ValueError, MemoryError):
        return False
    is_grey = all(abs(float(item.mean()) - 100) < 5 for item in pictures)
    return [item.frames for item in seconds] == [2, 1] and len(pictures) == len(times) and is_grey


def _add_stream(container: av.container.OutputContainer, codec: str, shape: Shape) -> av.VideoStream:
    hwaccel = HWAccel(device_type="vaapi") if codec.endswith("_vaapi") else None
    stream = container.add_stream(codec, rate=shape.fps, options=_options(codec, shape), hwaccel=hwaccel)
    if not isinstance(stream, av.VideoStream):
        raise EncodeError(f"{codec} encodes no pictures")
    context = stream.codec_context
    context.width, context.height = shape.width, shape.height
    context.pix_fmt = "nv12" if codec.endswith("_qsv") else "yuv420p"
    context.color_range = ColorRange.MPEG
    context.time_base, context.gop_size, context.max_b_frames, context.thread_count = _MS, _LONGEST_GOP, 0, 1
    if codec != SOFTWARE:
        context.bit_rate = round(shape.width * shape.height * shape.fps * _BITS_PER_PIXEL)
    return stream


def _options(codec: str, shape: Shape) -> dict[str, str]:
    if codec != SOFTWARE:
        return {"forced-idr": "1"} if codec in {"h264_nvenc", "h264_qsv"} else {}
    # zerolatency: a picture leaves the encoder before the next one comes, so that a second ends when it is over.
    return {
        "preset": shape.preset,
        "crf": str(shape.crf),
        "tune": "zerolatency",
        "forced-idr": "1",
        "x264-params": "scenecut=0:open-gop=0",
    }


def _split(data: bytes, *, want_head: bool) -> Iterator[bytes]:
    at = 0
    for kind, _, end in boxes(data):
        if (kind in {b"ftyp", b"moov"}) == want_head:
            yield data[at:end]
        at = end


def _placed(fragment: bytes, ticks: int, number: int) -> bytes:
    """Return a fragment with its number (mfhd) and its time in the track (tfdt) written into its moof."""
    data = bytearray(fragment)
    for kind, start, end in boxes(fragment):
        if kind == b"moof":
            _place_in_moof(data, start, end, (ticks, number))
    return bytes(data)


def _place_in_moof(data: bytearray, start: int, end: int, place: tuple[int, int]) -> None:
    ticks, number = place
    for kind, inner, inner_end in boxes(bytes(data[start:end])):
        if kind == b"mfhd":
            struct.pack_into(">I", data, start + inner + 4, number)
        if kind == b"traf":
            traf = start + inner
            for name, tfdt, _ in boxes(bytes(data[traf : start + inner_end])):
                if name == b"tfdt":
                    form = ">Q" if data[traf + tfdt] == 1 else ">I"  # the octet after the head is the box's version
                    struct.pack_into(form, data, traf + tfdt + 4, ticks)


def _second_of(packet: Packet) -> int:
    return _ms_of(packet) // SECOND_MS


def _ms_of(packet: Packet) -> int:
    if packet.pts is None:
        raise EncodeError("a packet without a time")
    return round(packet.pts * packet.time_base * 1000)
