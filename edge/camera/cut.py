"""Cutting: whole seconds out of sealed segments, put into clips picture by picture as they were encoded.

Clear footage is in memory alone (memfd): at one time one clip of at most `MAX_CLIP_OCTETS`, and one segment.
"""

import contextlib
import hashlib
import io
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice
from typing import Final, TypeAlias

import av

from edge.camera import segment
from edge.camera.encode import TICKS_PER_MS
from edge.camera.segment import Record, Segment
from edge.errors import ExportError, SegmentError
from wire.evidence import SECOND_MS, Gap, Link, Second, gaps_between, second_of

MAX_CLIP_MS: Final = 600_000
MAX_CLIP_OCTETS: Final = 96_000_000
"""Of pictures. A clip, its marked twin and what c2pa holds of both while it signs are four times as much."""
_TICK: Final = Fraction(1, TICKS_PER_MS * 1000)
Packet: TypeAlias = "av.Packet[av.VideoStream]"


@dataclass(frozen=True, slots=True)
class Window:
    """Whole seconds, from and to in Unix milliseconds; `to_ms` is not part of it."""

    from_ms: int
    to_ms: int

    def holds(self, at_ms: int) -> bool:
        """Return whether a second belongs to the window."""
        return self.from_ms <= second_of(at_ms) < self.to_ms

    def touches(self, item: Segment) -> bool:
        """Return whether a segment may hold seconds of the window."""
        return item.head.start_ms < self.to_ms and self.from_ms < max(item.end_ms, item.head.start_ms + 1)


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip in memory. `file` stands at its start and is the caller's to close."""

    file: io.BufferedRandom
    seconds: tuple[Second, ...]
    mask_versions: tuple[int, ...]

    @property
    def from_ms(self) -> int:
        """Return the start of its first second."""
        return second_of(self.seconds[0].at_ms)

    @property
    def to_ms(self) -> int:
        """Return the end of its last second."""
        return second_of(self.seconds[-1].at_ms) + SECOND_MS

    @property
    def frames(self) -> int:
        """Return how many pictures are in it."""
        return sum(second.frames for second in self.seconds)


@dataclass(slots=True)
class Findings:
    """What cutting has met so far.

    Attributes:
        links: the segments that footage came from.
        damaged: wall times of what does not open, start and end.
        seconds: the wall-clock seconds that are in a clip.
        unsynced: how many segments were recorded while the clock was not held for synchronised.
    """

    links: list[Link] = field(default_factory=list)
    damaged: list[tuple[int, int]] = field(default_factory=list)
    seconds: list[int] = field(default_factory=list)
    unsynced: int = 0

    def gaps(self, window: Window) -> tuple[Gap, ...]:
        """Return what of the window is missing, and why."""
        found: list[Gap] = []
        for start, end in gaps_between(self.seconds, window.from_ms, window.to_ms):
            for at in range(start, end, SECOND_MS):
                why = "damaged" if any(one < at + SECOND_MS and at < other for one, other in self.damaged) else ""
                gap = Gap(at, at + SECOND_MS, why or "not-recorded")
                if found and (found[-1].to_ms, found[-1].why) == (at, gap.why):
                    gap = Gap(found.pop().from_ms, gap.to_ms, gap.why)
                found.append(gap)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class _Piece:
    """One second out of a segment, demuxed."""

    second: Second
    mask_version: int
    packets: tuple[Packet, ...]
    stream: av.VideoStream
    start_ms: int

    @property
    def octets(self) -> int:
        return sum(packet.size for packet in self.packets)


def plan(segments: Sequence[Segment], window: Window, strands: Mapping[bytes, bytes]) -> list[Segment]:
    """Return the segments to cut from, in the order in which they were recorded.

    Raises:
        ExportError: there are none, or the order holds no key for some: it says which.
    """
    wanted = _chained([item for item in segments if window.touches(item)])
    if not any(item.frames for item in wanted):
        raise ExportError("nothing was recorded in this window")
    missing = {item.head.strand_id: item.head.start_ms for item in wanted if item.head.strand_id not in strands}
    if missing:
        named = ", ".join(f"{strand.hex()} (from {at_ms})" for strand, at_ms in list(missing.items())[:5])
        raise ExportError(f"the order holds no key for {len(missing)} strands: {named}")
    return wanted


def cut(segments: Sequence[Segment], window: Window, strands: Mapping[bytes, bytes], found: Findings) -> Iterator[Clip]:
    """Yield the clips of a window one after the other; each must be done with before the next is asked for.

    Args:
        segments: as `plan` gives them.
        window: what is wanted.
        strands: keys by the ids of strands.
        found: is filled as the clips are cut.
    """
    open_clip: _Open | None = None
    for item in segments:
        for piece in _pieces(item, window, strands[item.head.strand_id], found):
            if open_clip is not None and not open_clip.takes(piece):
                yield open_clip.close()
                open_clip = None
            open_clip = open_clip or _Open(piece)
            open_clip.put(piece)
            found.seconds.append(piece.second.at_ms)
    if open_clip is not None:
        yield open_clip.close()


def _chained(segments: Sequence[Segment]) -> list[Segment]:
    """Return segments as each names the one before; wall time does not order them where a clock was put back."""
    by_time = sorted(segments, key=lambda item: item.head.start_ms)
    after: dict[bytes, list[Segment]] = {}
    for item in by_time:
        after.setdefault(item.head.previous, []).append(item)
    chains = {item.chain for item in by_time}
    ordered: list[Segment] = []
    for first in (item for item in by_time if item.head.previous not in chains):
        waiting = [first]
        while waiting:
            ordered.append(waiting.pop())
            waiting += reversed(after.get(ordered[-1].chain, []))
    return ordered


def _pieces(item: Segment, window: Window, key: bytes, found: Findings) -> Iterator[_Piece]:
    init, seconds, fault_ms = _opened(item, window, key)
    with contextlib.ExitStack() as stack:
        try:
            pieces = _demuxed(item, init, seconds, stack) if init and seconds else []
        except SegmentError:
            init, pieces, fault_ms = b"", [], item.head.start_ms
        if fault_ms is not None:
            found.damaged.append((fault_ms, max(item.end_ms, fault_ms + SECOND_MS)))
        if init:
            found.links.append(_link(item))
            found.unsynced += not item.head.is_clock_synced
            yield from pieces


def _opened(item: Segment, window: Window, key: bytes) -> tuple[bytes, list[tuple[Record, bytes]], int | None]:
    """Return the init of a segment, its seconds within the window, and from when on it does not open, if so.

    What opened before the damage is as it was recorded; the rest becomes a gap that the manifest states.
    """
    init, seconds = b"", []
    try:
        for record, content in _records(item, key):
            if record.kind == "init":
                init = content
            elif record.kind == "second" and window.holds(record.at_ms):
                seconds.append((record, content))
    except (SegmentError, OSError):
        return init, seconds, second_of(seconds[-1][0].at_ms) + SECOND_MS if seconds else item.head.start_ms
    return init, seconds, None


def _records(item: Segment, key: bytes) -> Iterator[tuple[Record, bytes]]:
    """Yield the records of a segment, opened.

    Raises:
        SegmentError: damaged, forged, or sealed with another key.
    """
    if item.tail is not None and item.tail.chain != item.chain:
        raise SegmentError("the tail is of other records")
    opened = segment.opened(item.path, key, may_be_open=item.tail is None)
    # One that is being written grows meanwhile: it is taken as it was when the export began.
    yield from opened if item.tail is not None else islice(opened, len(item.records))


def _link(item: Segment) -> Link:
    samples = tuple(record.samples_sha256 for record in item.records)
    head = item.head
    return Link(head.id, head.start_ms, item.end_ms, head.previous, item.chain, item.head_sha256, samples)


def _demuxed(
    item: Segment, init: bytes, seconds: Sequence[tuple[Record, bytes]], stack: contextlib.ExitStack
) -> list[_Piece]:
    """Return the seconds with their packets; what holds them in memory is let go with `stack`.

    Raises:
        SegmentError: what opened is no video with the pictures that it says it has.
    """
    # PyAV's containers are cycles that only the garbage collector ends: without these two, memory grows till it comes.
    source = stack.enter_context(io.BytesIO(init + b"".join(content for _, content in seconds)))
    try:
        container = stack.enter_context(av.open(source, "r", format="mp4"))
        stream = container.streams.video[0]
        packets = [packet for packet in container.demux(stream) if packet.pts is not None]
    except (av.FFmpegError, IndexError, ValueError) as error:
        raise SegmentError("no video") from error
    pieces, at = [], 0
    for record, _ in seconds:
        own = tuple(packets[at : at + record.frames])
        at += record.frames
        if hashlib.sha256(b"".join(bytes(packet) for packet in own)).digest() != record.samples_sha256:
            raise SegmentError("other pictures than it says")
        second = Second(record.at_ms, record.frames, record.samples_sha256)
        pieces.append(_Piece(second, item.head.mask_version, own, stream, item.head.start_ms))
    return pieces


class _Open:
    """A clip that is being put together."""

    def __init__(self, first: _Piece) -> None:
        self._from_ms = second_of(first.second.at_ms)
        self._kind = _kind_of(first.stream)
        self._seconds: list[Second] = []
        self._masks: set[int] = set()
        self._octets = 0
        self._file = memory_file("clip")
        options = {"video_track_timescale": str(TICKS_PER_MS * 1000)}
        self._container = av.open(self._file, "w", format="mp4", options=options)
        self._stream = self._container.add_stream_from_template(first.stream, opaque=True)
        self._stream.time_base = _TICK

    def takes(self, piece: _Piece) -> bool:
        """Return whether a second may follow in this clip."""
        start_ms = second_of(piece.second.at_ms)
        return (
            _kind_of(piece.stream) == self._kind
            and second_of(self._seconds[-1].at_ms) < start_ms < self._from_ms + MAX_CLIP_MS
            and self._octets + piece.octets <= MAX_CLIP_OCTETS
        )

    def put(self, piece: _Piece) -> None:
        """Add a second."""
        shift = (piece.start_ms - self._from_ms) * TICKS_PER_MS
        for packet in piece.packets:
            scale = Fraction(packet.time_base) / _TICK
            pts = round((packet.pts or 0) * scale) + shift
            duration = round((packet.duration or 0) * scale)
            packet.stream, packet.time_base = self._stream, _TICK
            packet.pts = packet.dts = pts
            packet.duration = duration
            self._container.mux(packet)
        self._seconds.append(piece.second)
        self._masks.add(piece.mask_version)
        self._octets += piece.octets

    def close(self) -> Clip:
        """Return the clip."""
        self._container.close()
        self._file.seek(0)
        return Clip(self._file, tuple(self._seconds), tuple(sorted(self._masks)))


def memory_file(name: str) -> io.BufferedRandom:
    """Return a file that is on no disk and gone with its last handle."""
    return os.fdopen(os.memfd_create(name, os.MFD_CLOEXEC), "w+b")


def _kind_of(stream: av.VideoStream) -> tuple[str, int, int, bytes]:
    context = stream.codec_context
    return stream.codec.name, context.width, context.height, context.extradata or b""
