"""Segments: ten seconds of masked footage in one sealed file, second by second, each named by a hash chain.

A file is a CBOR sequence (RFC 8742) of byte strings: the head; for each record its clear fields and its sealed content;
the tail. A record is sealed on its own, so that a power cut takes the open second and nothing before it. The sealed
contents, opened and put together, are a fragmented MP4: "init", then one "second" after the other.

docs/FOOTAGE.md says what is hashed and sealed over which octets. Nothing here needs a video library.
"""

import hashlib
import os
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from edge.camera.disk import sync_folder
from edge.camera.parts import FIRST, KINDS, MAX_HEAD_OCTETS, REASONS, SECOND_MS, SEGMENT_MS, SUFFIX, Head, Record, Tail
from edge.errors import SegmentError
from wire import fields as _f
from wire.errors import MessageError

__all__ = [
    "FIRST",
    "KINDS",
    "MAX_HEAD_OCTETS",
    "MAX_RECORD_OCTETS",
    "REASONS",
    "SECOND_MS",
    "SEGMENT_MS",
    "SUFFIX",
    "Head",
    "Record",
    "Segment",
    "Tail",
    "Writer",
    "boxes",
    "chain_value",
    "mend",
    "opened",
    "read",
    "samples_of",
]
MAX_RECORD_OCTETS: Final = 64_000_000
_INFO: Final = b"mimamori/segment/1"


@dataclass(frozen=True, slots=True)
class Segment:
    """A file as it was read, nothing of it opened.

    Attributes:
        head_sha256: of the encoded head.
        tail: None while it is being written, or when the power went.
        whole_octets: what of the file is whole; there is more where the power went within a record.
        octets: of the file.
    """

    path: Path
    head: Head
    head_sha256: bytes
    records: tuple[Record, ...]
    tail: Tail | None
    whole_octets: int
    octets: int

    @property
    def chain(self) -> bytes:
        """Return the chain value of what is there, whatever the tail says."""
        return chain_value(self.head.previous, self.head_sha256, (item.samples_sha256 for item in self.records))

    @property
    def end_ms(self) -> int:
        """Return when the last second ends, Unix milliseconds; the start where there is none."""
        if self.tail is not None:
            return self.tail.end_ms
        return _end_ms(self.head, self.records)

    @property
    def frames(self) -> int:
        """Return how many pictures are in it."""
        return sum(item.frames for item in self.records if item.kind == "second")


def chain_value(previous: bytes, head_sha256: bytes, samples: Iterable[bytes]) -> bytes:
    """Return SHA-256(previous ‖ SHA-256(encoded head) ‖ the `samples_sha256` of all records in order)."""
    return hashlib.sha256(b"".join((previous, head_sha256, *samples))).digest()


def samples_of(fragment: bytes) -> bytes:
    """Return the samples of an MP4 fragment: all that its mdat boxes hold.

    Raises:
        SegmentError: not a run of whole boxes.
    """
    return b"".join(fragment[start:end] for kind, start, end in boxes(fragment) if kind == b"mdat")


def boxes(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, and start and end of the content, of each box on the top level of ISO base media `data`.

    Raises:
        SegmentError: not a run of whole boxes.
    """
    at = 0
    while at < len(data):
        if len(data) - at < 8:
            raise SegmentError("a box is cut short")
        size, kind = struct.unpack_from(">I4s", data, at)
        start = at + 8
        if size == 1 and len(data) - at >= 16:
            size, start = struct.unpack_from(">Q", data, at + 8)[0], at + 16
        if not start - at <= size <= len(data) - at:
            raise SegmentError("a box runs past the end")
        yield kind, start, at + size
        at += size


class Writer:
    """Writes one segment; every call is on disk when it returns, or raises and leaves whole records alone.

    Attributes:
        head: of the segment.
        path: of the file.
        octets: written so far.
    """

    def __init__(self, path: Path, head: Head, strand_key: bytes) -> None:
        """Make the file under its final name.

        Raises:
            OSError: the disk is full, read-only or gone. No file is left.
        """
        self.path, self.head, self.octets = path, head, 0
        encoded = head.encode()
        self._head_sha256 = hashlib.sha256(encoded).digest()
        self._box = _aead(strand_key, head.id)
        self._records: list[Record] = []
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            self._append(_bstr(encoded))
            sync_folder(path.parent)
            sync_folder(path.parent.parent)
        except OSError:
            self.abandon()
            path.unlink(missing_ok=True)
            raise

    @property
    def end_ms(self) -> int:
        """Return when the last second written ends, Unix milliseconds."""
        return _end_ms(self.head, self._records)

    def init(self, data: bytes) -> None:
        """Write ftyp and moov, which stand before every second.

        Raises:
            OSError: the disk is full, read-only or gone; nothing of the record is left.
        """
        self._put("init", data, self.head.start_ms, 0, hashlib.sha256(data).digest())

    def second(self, fragment: bytes, *, at_ms: int, frames: int, samples_sha256: bytes) -> None:
        """Write the moof and mdat of one second.

        Raises:
            OSError: as `init`.
        """
        self._put("second", fragment, at_ms, frames, samples_sha256)

    def thumbnail(self, jpeg: bytes, *, at_ms: int) -> None:
        """Write a small picture of the masked view.

        Raises:
            OSError: as `init`.
        """
        self._put("thumbnail", jpeg, at_ms, 0, hashlib.sha256(jpeg).digest())

    def sound(self, levels: bytes, *, at_ms: int) -> None:
        """Write sound levels, as edge/camera/sound.py encodes them.

        Raises:
            OSError: as `init`.
        """
        self._put("sound", levels, at_ms, 0, hashlib.sha256(levels).digest())

    def close(self, end_ms: int) -> Tail:
        """Write the tail and return it.

        Raises:
            OSError: as `init`; the file is closed, `mend` writes its tail later.
        """
        chain = chain_value(self.head.previous, self._head_sha256, (item.samples_sha256 for item in self._records))
        claim = Tail(chain, end_ms)
        proof = self._box.encrypt(_nonce(len(self._records)), b"", self._head_sha256 + claim.claim)
        tail = Tail(chain, end_ms, proof=proof)
        try:
            self._append(_bstr(tail.encode()))
        finally:
            self.abandon()
        return tail

    def abandon(self) -> None:
        """Close the file as it is; `mend` writes its tail later."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _put(self, kind: str, content: bytes, at_ms: int, frames: int, samples_sha256: bytes) -> None:
        if len(content) > MAX_RECORD_OCTETS:
            raise SegmentError("more in one record than any camera gives")
        record = Record(len(self._records), kind, at_ms, frames, samples_sha256)
        clear = record.encode()
        sealed = self._box.encrypt(_nonce(record.index), content, self._head_sha256 + clear)
        self._append(_bstr(clear) + _bstr(sealed))
        self._records.append(record)

    def _append(self, octets: bytes) -> None:
        try:
            _write_all(self._descriptor, octets)
            os.fdatasync(self._descriptor)
        except OSError:
            # Half a record at the end would be cut off by `mend`; here whole records can still follow it.
            os.ftruncate(self._descriptor, self.octets)
            os.lseek(self._descriptor, self.octets, os.SEEK_SET)
            raise
        self.octets += len(octets)


def read(path: Path) -> Segment:
    """Return the segment in a file, which may end within a record.

    Raises:
        SegmentError: unreadable, or not even its head is whole.
    """
    try:
        with path.open("rb", buffering=65_536) as file:
            return _Reader(path, file.fileno()).read()
    except (OSError, MessageError) as error:
        raise SegmentError(f"{path.name} cannot be read") from error


def mend(path: Path) -> Tail:
    """Return the tail of a segment; one that has none is cut after its last whole record and gets one.

    Raises:
        SegmentError: not even its head is whole, or there is more after its tail.
        OSError: the disk is read-only or gone.
    """
    segment = read(path)
    if segment.tail is not None:
        if segment.octets != segment.whole_octets:
            raise SegmentError("something stands after the tail")
        return segment.tail
    tail = Tail(segment.chain, _end_ms(segment.head, segment.records), is_cut=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.ftruncate(descriptor, segment.whole_octets)
        os.lseek(descriptor, 0, os.SEEK_END)
        _write_all(descriptor, _bstr(tail.encode()))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return tail


def opened(path: Path, strand_key: bytes, *, may_be_open: bool = False) -> Iterator[tuple[Record, bytes]]:
    """Yield each record with its content in clear. Whoever reads to the end knows that nothing was changed.

    Args:
        path: of the file.
        strand_key: 32 octets.
        may_be_open: take a segment that is still being written, up to its last whole record.

    Raises:
        SegmentError: damaged, forged, incomplete, or sealed with another key.
    """
    segment = read(path)
    if not may_be_open and (segment.tail is None or segment.octets != segment.whole_octets):
        raise SegmentError("the segment has no end")
    box = _aead(strand_key, segment.head.id)
    with path.open("rb") as file:
        for record in segment.records:
            file.seek(record.offset)
            yield record, _content(box, segment, record, file.read(record.octets))
    if segment.tail is not None:
        _check_tail(box, segment, segment.tail)


@dataclass(slots=True)
class _Reader:
    path: Path
    descriptor: int
    at: int = 0

    def read(self) -> Segment:
        octets = os.fstat(self.descriptor).st_size
        encoded = self._clear(octets)
        if encoded is None:
            raise MessageError("the head is not whole")
        head, records, tail, whole = Head.decode(encoded), list[Record](), None, self.at
        while tail is None and (clear := self._clear(octets)) is not None:
            try:
                item = self._item(clear, octets)
            except MessageError:
                break
            if item is None or (isinstance(item, Record) and item.index != len(records)):
                break
            if isinstance(item, Tail):
                tail = item
            else:
                records.append(item)
            whole = self.at
        return Segment(self.path, head, hashlib.sha256(encoded).digest(), tuple(records), tail, whole, octets)

    def _item(self, clear: bytes, octets: int) -> Record | Tail | None:
        """Return what `clear` begins, and move behind it; None if the file ends within it."""
        if _f.text(_f.loads(clear), 1) == "tail":
            return Tail.decode(clear)
        length = self._length(octets, MAX_RECORD_OCTETS + 16)
        if length is None:
            return None
        record = Record.decode(clear, offset=self.at, octets=length)
        self.at += length
        return record

    def _clear(self, octets: int) -> bytes | None:
        length = self._length(octets, MAX_HEAD_OCTETS)
        if length is None:
            return None
        data = os.pread(self.descriptor, length, self.at)
        self.at += length
        return data

    def _length(self, octets: int, most: int) -> int | None:
        """Return the length of the byte string here and move to its first octet; None if none is whole."""
        head = os.pread(self.descriptor, 9, self.at)
        if not head or head[0] >> 5 != 2 or head[0] & 0x1F > 27:
            return None
        low = head[0] & 0x1F
        extra = 0 if low < 24 else 1 << (low - 24)
        if len(head) < 1 + extra:
            return None
        length = int.from_bytes(head[1 : 1 + extra], "big") if extra else low
        start = self.at + 1 + extra
        if length > most or start + length > octets or _bstr_head(length) != head[: 1 + extra]:
            return None
        self.at = start
        return length


def _content(box: AESGCM, segment: Segment, record: Record, sealed: bytes) -> bytes:
    try:
        content = box.decrypt(_nonce(record.index), sealed, segment.head_sha256 + record.encode())
    except InvalidTag as error:
        raise SegmentError(f"record {record.index} does not open") from error
    hashed = samples_of(content) if record.kind == "second" else content
    if hashlib.sha256(hashed).digest() != record.samples_sha256:
        raise SegmentError(f"record {record.index} holds other samples than it says")
    return content


def _check_tail(box: AESGCM, segment: Segment, tail: Tail) -> None:
    if tail.chain != segment.chain:
        raise SegmentError("records are missing, or the tail is of another segment")
    if tail.is_cut:
        if tail.end_ms != _end_ms(segment.head, segment.records):
            raise SegmentError("the tail names another end")
        return
    try:
        box.decrypt(_nonce(len(segment.records)), tail.proof, segment.head_sha256 + tail.claim)
    except InvalidTag as error:
        raise SegmentError("the tail is not of this strand") from error


def _end_ms(head: Head, records: Iterable[Record]) -> int:
    ends = (item.at_ms // SECOND_MS * SECOND_MS + SECOND_MS for item in records if item.kind == "second")
    return max(ends, default=head.start_ms)


def _aead(strand_key: bytes, segment_id: bytes) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, None, _INFO + segment_id).derive(strand_key))


def _nonce(index: int) -> bytes:
    return index.to_bytes(12, "big")


def _bstr(octets: bytes) -> bytes:
    return _bstr_head(len(octets)) + octets


def _bstr_head(length: int) -> bytes:
    if length < 24:
        return bytes((0x40 | length,))
    for low, size in ((24, 1), (25, 2), (26, 4)):
        if length < 1 << (8 * size):
            return bytes((0x40 | low,)) + length.to_bytes(size, "big")
    raise SegmentError("more octets than any record holds")


def _write_all(descriptor: int, octets: bytes) -> None:
    view = memoryview(octets)
    while view:
        view = view[os.write(descriptor, view) :]
