"""The ring of footage: what is kept and for how long, what is frozen, and the proof of what was deleted.

A deletion is written down before it is done (`deleting.cbor`), then the files go, then the proof goes into the
gateway's log, then the note: whatever moment the power goes, the next start ends what was begun.
"""

import hashlib
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from edge.camera import disk, segment
from edge.camera.anchor import Wall
from edge.camera.frozen import Frozen
from edge.camera.index import Index, Row
from edge.camera.segment import FIRST, SUFFIX, Head, Segment, Writer
from edge.errors import RingError, SegmentError
from wire import fields as _f
from wire.camera_settings import CameraSettings
from wire.errors import MessageError
from wire.orders import Freeze

Journal = Callable[[str, Mapping[str, Any]], None]
DAY_MS: Final = 86_400_000
MAX_PROVED: Final = 200
"""Segments in one entry of the log."""
MAX_GAPS: Final = 500
_MEGABYTE: Final = 1_000_000


@dataclass(slots=True)
class TrustedTime:
    """What time it is for deleting: a clock that nobody vouches for cannot make footage old.

    Attributes:
        base_ms: a time that was right, Unix milliseconds.
        at_ms: monotonic time of that moment.
    """

    clock: Wall
    base_ms: int
    at_ms: int

    @classmethod
    def load(cls, path: Path, clock: Wall, newest_ms: int) -> "TrustedTime":
        """Return the time that was right when `path` was written; where there is none, that of the newest footage."""
        try:
            base_ms = _f.uint(_f.loads(path.read_bytes()), 1)
        except (OSError, MessageError):
            base_ms = newest_ms
        return cls(clock, base_ms, clock.monotonic_ms())

    def save(self, path: Path) -> None:
        """Write down what time it is, for the next start.

        Raises:
            OSError: the disk is full, read-only or gone.
        """
        disk.replace(path, _f.dumps({1: self.now_ms()}))

    def now_ms(self) -> int:
        """Return the wall time where the kernel vouches for it, else what has certainly passed since it did."""
        monotonic_ms = self.clock.monotonic_ms()
        if self.clock.is_synced():
            self.base_ms, self.at_ms = self.clock.now_ms(), monotonic_ms
        return self.base_ms + monotonic_ms - self.at_ms


@dataclass(slots=True)
class Ring:
    """The footage of one camera.

    Attributes:
        folder: state_dir/camera; footage lies in footage/<day>/ below it.
        journal: writes an entry into the gateway's log, on disk when it returns.
        counts: segments, segments_mended, segments_torn, segments_missing, segments_deleted.
        is_open: whether `open` has succeeded.
    """

    folder: Path
    clock: Wall
    journal: Journal
    counts: Counter[str]
    is_open: bool = False
    _index: Index = field(init=False, repr=False)
    _frozen: Frozen = field(init=False, repr=False)
    _time: TrustedTime = field(init=False, repr=False)
    _chain: bytes = field(init=False, default=FIRST)
    _unclosed: list[Path] = field(default_factory=list, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, repr=False)

    def open(self) -> None:
        """End what a power cut broke off, mend torn segments, bring the index up to date; before that nothing works.

        Raises:
            RingError: the disk is read-only, full or gone, or the list of frozen windows is damaged.
        """
        with self._lock:
            try:
                self.footage.mkdir(parents=True, exist_ok=True, mode=0o700)
                self._frozen = Frozen.load(self.folder / "frozen.cbor")
                self._index = Index(self.folder / "ring.db")
                self._redo()
                self._reconcile()
            except OSError as error:
                raise RingError("the footage cannot be opened") from error
            newest_ms = max((row.end_ms for row in self._index.rows()), default=self.clock.now_ms())
            self._time = TrustedTime.load(self._time_file, self.clock, newest_ms)
            self.is_open = True

    @contextmanager
    def _using(self) -> Iterator[None]:
        with self._lock:
            if not self.is_open:
                raise RingError("the footage is not open")
            yield

    @property
    def footage(self) -> Path:
        """Return the folder of the day folders."""
        return self.folder / "footage"

    @property
    def chain(self) -> bytes:
        """Return the newest value of the hash chain."""
        return self._chain

    def close(self) -> None:
        """Close the index."""
        with self._lock:
            if self.is_open:
                self.is_open = False
                self._index.close()

    def totals(self) -> tuple[int, int | None]:
        """Return octets of all footage, and the start of the oldest, Unix milliseconds.

        Raises:
            RingError: the index cannot be read.
        """
        with self._using():
            return self._index.totals()

    def begin(self, head: Head, strand_key: bytes) -> Writer:
        """Return the writer of a new segment, which is in the index from now on.

        Args:
            head: its `previous` is our `chain`.
            strand_key: 32 octets.

        Raises:
            OSError: the disk is full, read-only or gone; no file is left.
            RingError: the index cannot be written; no file is left.
        """
        with self._using():
            self.mend_left()
            path = self.footage / _day(head.start_ms) / head.name
            writer = Writer(path, head, strand_key)
            try:
                self._index.put(Row.of(self._name(path), segment.read(path)))
            except (RingError, SegmentError):
                writer.abandon()
                path.unlink(missing_ok=True)
                raise
            self.counts["segments"] += 1
            return writer

    def end(self, writer: Writer) -> None:
        """Close a segment.

        Raises:
            OSError: the disk is full, read-only or gone; `mend_left` ends it later.
            RingError: as OSError, of the index.
        """
        with self._using():
            self.leave(writer)
            writer.close(writer.end_ms)
            self.mend_left()

    def leave(self, writer: Writer) -> None:
        """Let a segment be that cannot be written any more; `mend_left` ends it later."""
        with self._using():
            self._unclosed.append(writer.path)

    def mend_left(self) -> None:
        """Bring what was left to its end and into the index.

        Raises:
            OSError: the disk is still full, read-only or gone.
            RingError: as OSError, of the index.
        """
        with self._using():
            while self._unclosed:
                self._take_in(self._unclosed[0], is_hashed=True)  # it is still in memory
                self._unclosed.pop(0)

    def freeze(self, order: Freeze) -> dict[str, Any]:
        """Freeze a window and return what the log says of it: what there is, what is missing, the strands to open.

        Raises:
            OSError: the disk is full, read-only or gone; nothing is frozen.
            RingError: the index cannot be read.
        """
        with self._using():
            self._frozen.add(order)
            rows = self._index.between(order.from_ms, order.to_ms)
        now_ms = self.clock.now_ms()
        spans = [(row.start_ms, max(row.end_ms, now_ms if row.is_open else 0)) for row in rows]
        spans = [(max(start, order.from_ms), min(end, order.to_ms)) for start, end in spans]
        strands = {row.strand_id: row.strand_wrapped for row in rows if row.strand_id}
        return {
            "case": order.case,
            "segments": len(rows),
            "from_ms": min((start for start, _ in spans), default=order.from_ms),
            "to_ms": max((end for _, end in spans), default=order.from_ms),
            "gaps": _gaps(spans, order.from_ms, order.to_ms),
            "strands": [[strand_id, wrapped] for strand_id, wrapped in strands.items()],
        }

    def thaw(self, case: str, settings: CameraSettings) -> dict[str, Any]:
        """Let the windows of a case go, delete what is over its time, and return what the log says of it.

        Raises:
            OSError: the disk is full, read-only or gone.
            RingError: the index cannot be used.
        """
        with self._using():
            windows = self._frozen.take(case)
        deleted = self._delete(self._aged(settings), "thaw") if windows else 0
        return {"case": case, "windows": len(windows), "deleted": deleted}

    def sweep(self, settings: CameraSettings) -> int:
        """Delete what is over its time or too much, never what is frozen, and return how many segments went.

        Raises:
            OSError: the disk is read-only or gone.
            RingError: the index cannot be used.
        """
        with self._using():
            self._redo()
            now_ms = self._time.now_ms()
            if self.clock.is_synced():
                self._index.rejuvenate(now_ms)
            self._frozen.expire(now_ms)
            self._time.save(self._time_file)
        return self._delete(self._aged(settings), "age") + self._delete(self._excess(settings), "bytes")

    def segments_in(self, from_ms: int, to_ms: int) -> list[Segment]:
        """Return the segments that share time with a window, in the order of their time.

        Raises:
            RingError: the index cannot be read.
        """
        with self._using():
            rows = self._index.between(from_ms, to_ms)
        found = []
        for row in rows:
            try:
                found.append(segment.read(self.footage / row.path))
            except SegmentError:
                self.counts["segments_unreadable"] += 1
        return [item for item in found if item.end_ms > from_ms]

    def _aged(self, settings: CameraSettings) -> list[Row]:
        with self._lock:
            limit_ms = self._time.now_ms() - settings.retention_days * DAY_MS
            return self._free(self._index.aged(limit_ms))

    def _excess(self, settings: CameraSettings) -> list[Row]:
        with self._lock:
            excess = self._index.totals()[0] - settings.max_mb * _MEGABYTE
            rows = []
            for row in self._free(self._index.oldest()) if excess > 0 else ():
                if excess <= 0:
                    break
                rows.append(row)
                excess -= row.octets
            return rows

    def _free(self, rows: Iterable[Row]) -> list[Row]:
        return [row for row in rows if not self._frozen.holds(row.start_ms, max(row.end_ms, row.start_ms + 1))]

    def _delete(self, rows: Sequence[Row], reason: str) -> int:
        deleted = 0
        for at in range(0, len(rows), MAX_PROVED):
            with self._lock:  # given back after each part, so that recording never waits long
                part = self._free(rows[at : at + MAX_PROVED])  # something may have been frozen meanwhile
                self._write_down(part, reason)
                self._redo()
            deleted += len(part)
        return deleted

    def _write_down(self, rows: Sequence[Row], reason: str) -> None:
        proofs = [
            [row.path, row.sha256 or _sha256(self.footage / row.path), row.chain, row.start_ms, row.end_ms]
            for row in rows
        ]
        if proofs:
            disk.replace(self._note, _f.dumps({1: reason, 2: proofs}))

    @property
    def _time_file(self) -> Path:
        return self.folder / "time.cbor"

    @property
    def _note(self) -> Path:
        return self.folder / "deleting.cbor"

    def _redo(self) -> None:
        """Do the deletion that is written down, if one is."""
        try:
            fields = _f.loads(self._note.read_bytes())
            reason, proofs = _f.text(fields, 1), fields[2]
            paths = [_f.text(dict(enumerate(proof)), 0) for proof in proofs]
        except FileNotFoundError:
            return
        except (MessageError, KeyError, TypeError) as error:
            raise RingError("the note of a deletion cannot be read") from error
        disk.remove(*(self.footage / path for path in paths))
        self._index.drop(paths)
        self.journal("footage.deleted", {"segments": proofs, "reason": reason})
        disk.remove(self._note)
        self.counts["segments_deleted"] += len(paths)
        for folder in {(self.footage / path).parent for path in paths}:
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()

    def _reconcile(self) -> None:
        """Make the index say what the files say, mend what is torn, and find where the chain ends."""
        rows = self._index.rows()
        on_disk = {self._name(path): path for path in sorted(self.footage.glob(f"*/*{SUFFIX}"))}
        missing = [row.path for row in rows if row.path not in on_disk]
        if missing:
            self.counts["segments_missing"] += len(missing)
            for at in range(0, len(missing), MAX_PROVED):
                self.journal("footage.missing", {"segments": missing[at : at + MAX_PROVED]})
            self._index.drop(missing)
        known = {row.path for row in rows if not row.is_open}
        unknown = [path for name, path in on_disk.items() if name not in known]
        self._chain = self._index.remembered()
        for path in unknown:
            self._take_in(path)
        if len(unknown) > 1:
            self._chain = self._end_of_chain()
            self._index.remember(self._chain)

    def _take_in(self, path: Path, *, is_hashed: bool = False) -> None:
        """Bring one file to its end and into the index."""
        name = self._name(path)
        try:
            was_open = segment.read(path).tail is None
            tail = segment.mend(path)
            self._index.put(Row.of(name, segment.read(path), _sha256(path) if is_hashed else b""))
        except SegmentError:
            self._take_in_unreadable(path)
            return
        self.counts["segments_mended"] += was_open
        self._chain = tail.chain
        self._index.remember(tail.chain)

    def _take_in_unreadable(self, path: Path) -> None:
        """Keep a damaged file until its time is over; what does not even hold a head is nothing."""
        self.counts["segments_torn"] += 1
        start_ms = _start_ms(path)
        octets = path.stat().st_size if path.exists() else 0
        if octets < segment.MAX_HEAD_OCTETS or start_ms is None:
            disk.remove(path)
            self._index.drop([self._name(path)])
            return
        self._index.put(Row(self._name(path), start_ms, start_ms, start_ms, octets, bytes(32), b"", b""))

    def _end_of_chain(self) -> bytes:
        """Return the chain value that no segment names yet; names of files tell no order once a clock has jumped."""
        rows, named = self._index.rows(), set()
        for row in rows:
            try:
                named.add(segment.read(self.footage / row.path).head.previous)
            except SegmentError:
                continue
        loose = [row for row in rows if row.chain not in named and row.strand_id]
        newest = max(loose, key=lambda row: row.end_ms, default=None)
        return self._chain if newest is None else newest.chain

    def _name(self, path: Path) -> str:
        return path.relative_to(self.footage).as_posix()


def _gaps(spans: list[tuple[int, int]], from_ms: int, to_ms: int) -> list[list[int]]:
    """Return the parts of a window that no span covers; from the 500th on in one."""
    gaps, at = [], from_ms
    for start, end in sorted(spans):
        if start > at:
            gaps.append([at, start])
        at = max(at, end)
    if at < to_ms:
        gaps.append([at, to_ms])
    return gaps if len(gaps) <= MAX_GAPS else [*gaps[: MAX_GAPS - 1], [gaps[MAX_GAPS - 1][0], gaps[-1][1]]]


def _day(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000, UTC):%Y-%m-%d}"


def _start_ms(path: Path) -> int | None:
    text = path.name.partition("-")[0]
    return int(text) if text.isascii() and text.isdigit() else None


def _sha256(path: Path) -> bytes:
    """Return the hash of a file, of nothing if somebody has taken it away."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except FileNotFoundError:
        return hashlib.sha256(b"").digest()
