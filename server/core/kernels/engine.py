"""All steps over one preallocated state: sightings in, rows to store, places and events out."""

from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from server.core.fix import KIND_WEIGHTS
from server.core.kernels import batches, eidtable, fences, fix, places, poses, suppress
from server.core.kernels.columns import Columns
from server.core.kernels.layout import aligned
from server.core.kernels.suppress import Verdict

MAX_ROWS: Final = 65_536
"""Rows that are worked on at a time; a step may have any number."""
_PARTS: Final = ("table", "windows", "openings", "poses", "last", "cells", "watches", "fences")


@dataclass(frozen=True, slots=True)
class Capacity:
    """How much room there is. What does not fit is counted, see `Engine.counters`, and harms nothing else.

    Attributes:
        tags: registered ones.
        detectors: likewise.
        active_tags: heard in one bucket at most; 0: all of them.
        open_buckets: how many can be open at a time, a power of two from 2 to 8.
        poses: of moving detectors in all open buckets.
        held: tags at a time that seem to have jumped; 0: one in 16.
        cells: of 250 m where tags are; 0: one for four tags. Tags in further cells are found all the same, only slower.
        events: in one step.
    """

    tags: int
    detectors: int
    active_tags: int = 0
    open_buckets: int = 2
    poses: int = 65_536
    held: int = 0
    cells: int = 0
    events: int = 65_536


class Outcome(NamedTuple):
    """What came out of a step; views that the next step overwrites, but for those of rows, which are copies.

    Attributes:
        verdicts: uint8, a row of the input each, `suppress.Verdict`.
        kept: int32, numbers of the input rows that are the first of tag and detector in their bucket.
        fixes: of the buckets that closed, then of late rows; not more than one a tag and bucket of each of the two.
        whole: how many of the fixes, the first ones, are of buckets that closed.
        events: of those fixes and of silence.
    """

    verdicts: NDArray[np.uint8]
    kept: NDArray[np.int32]
    fixes: fix.Fixes
    whole: int
    events: fences.Events


class Engine:
    """The state of all tags of a city, in arrays that never grow.

    An engine is changed by `step`. When what it returned could not be committed, restore what `dump` gave before, or
    build a new one. One thread at a time; the kernels release the GIL, so others run meanwhile, and may ask `index`.

    Args:
        capacity: sizes of everything.
        bucket_ms: length of a bucket.
        grace_ms: how long after its end a bucket is kept open for what is under way; None: as long as there is room.
    """

    def __init__(self, capacity: Capacity, *, bucket_ms: int = 10_000, grace_ms: int | None = None) -> None:
        tags, active = capacity.tags, capacity.active_tags or capacity.tags
        self.table = eidtable.create(tags)
        self.windows = batches.windows(capacity.detectors)
        self.openings = suppress.create(tags, active, bucket_ms=bucket_ms, places=capacity.open_buckets)
        self.poses = poses.create(capacity.poses, capacity.open_buckets)
        self.stations = fix.Stations(aligned(4 * capacity.detectors, np.int32), self.poses)
        self.last = fix.create_last(tags, capacity.held or max(64, tags // 16))
        self.cells = places.create_cells(capacity.cells or max(1024, tags // 4))
        self.fences = fences.Fences.of(())
        none = np.empty(0, np.int32)
        self.watches = fences.Watches.of(none, none, registered=tags)
        room_ms = (capacity.open_buckets - 1) * bucket_ms
        self._grace_ms = room_ms if grace_ms is None else min(grace_ms, room_ms)
        self._rows = suppress.rows(MAX_ROWS)
        self._pose_numbers = aligned(MAX_ROWS, np.int32)
        self._scratch = fix.create_scratch()
        self._fixes = fix.create_fixes(max(active, suppress.MAX_LATE))
        self._events = fences.create_events(capacity.events)
        self._indexes = [places.create_index(self.cells, tags) for _ in range(2)]
        self.index = self._indexes[0]
        self._at_index = 0
        self._parts: list[fix.Fixes] = []
        self._lost = dict.fromkeys(("ids", "poses", "events"), 0)
        self._seen = 0

    def place_detectors(
        self,
        rows: NDArray[np.int32],
        *,
        kinds: list[str],
        lat_deg: NDArray[np.float64],
        lon_deg: NDArray[np.float64],
        accuracy_m: NDArray[np.float64],
    ) -> None:
        """Say where detectors stand: NaN for those that move and bring their place with every sighting.

        Args:
            rows: shape (n,), rows of the station table.
            kinds: n names out of `server.core.fix.KIND_WEIGHTS`.
            lat_deg: shape (n,).
            lon_deg: shape (n,).
            accuracy_m: shape (n,), how well the place is known.
        """
        words = self.stations.words.reshape(-1, 4)
        weights = np.array([round(KIND_WEIGHTS[kind] * fix.WEIGHT_ONE) for kind in kinds])
        moves = ~((np.abs(lat_deg) <= 90) & (np.abs(lon_deg) <= 180))
        words[rows, 0] = np.floor(np.where(moves, 0, lat_deg) * 1e7 + 0.5)
        words[rows, 1] = np.floor(np.where(moves, 0, lon_deg) * 1e7 + 0.5)
        words[rows, 2] = np.round(np.where(moves, 0, accuracy_m) * 100)
        words[rows, 3] = np.where(moves, -weights, weights)

    def resolve(self, eids: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Return tags and turns of ids, see `eidtable.resolve`, both of shape (n,)."""
        tags, turns = np.empty(eids.size, np.int32), np.empty(eids.size, np.int32)
        eidtable.resolve(self.table, eids, tags, turns)
        return tags, turns

    def load_eids(self, tags: NDArray[np.int32], ids: NDArray[np.uint64]) -> None:
        """Give tags their previous, current and next id, shape (n, 3); 0: none."""
        self._lost["ids"] += eidtable.load(self.table, tags, np.ascontiguousarray(ids).view(np.int64))

    def rotate(self, tags: NDArray[np.int32], next_ids: NDArray[np.uint64]) -> None:
        """Move tags on by one id; `next_ids` has shape (n,)."""
        self._lost["ids"] += eidtable.rotate(self.table, tags, np.ascontiguousarray(next_ids).view(np.int64))

    def swap_eids(self, table: eidtable.EidTable) -> None:
        """Go on with a table that was built meanwhile, by `eidtable.create` and `rebuild` in another thread."""
        self.table = table

    def load_fences(self, all_fences: fences.Fences, watches: fences.Watches) -> None:
        """Watch these fences from now on, as `watches` say how tags stand towards them."""
        self.fences, self.watches = all_fences, watches

    def accept(
        self, detectors: NDArray[np.int32], epochs: NDArray[np.int64], sequences: NDArray[np.int64]
    ) -> NDArray[np.uint8]:
        """Return `batches.Delivery` of each batch and remember it."""
        deliveries = np.empty(len(detectors), np.uint8)
        batches.accept(self.windows, detectors, epochs, sequences, deliveries)
        return deliveries

    def step(self, columns: Columns, received_ms: int) -> Outcome:
        """Return what comes of `columns`.

        Args:
            columns: rows of batches that were accepted, in any order.
            received_ms: UTC of the arrival of the newest of them, by which buckets close. An older one than before
                closes nothing.
        """
        self._parts.clear()
        told = self._advance(received_ms)
        whole = sum(part.tags.size for part in self._parts)
        taken = []
        for start in range(0, columns.tags.size, MAX_ROWS):
            verdicts, kept, told = self._take(columns, start, told)
            taken.append((verdicts, kept + start if start else kept))
        if len(taken) == 1:
            verdicts, kept = taken[0]
        else:
            verdicts = _joined([part[0] for part in taken], np.uint8)
            kept = _joined([part[1] for part in taken], np.int32)
        self._lost["events"] += max(0, told - self._events.tags.size)
        return Outcome(verdicts, kept, self._all_fixes(), whole, self._events.head(min(told, self._events.tags.size)))

    def resume(self, columns: Columns, received_ms: int) -> None:
        """Fill the open buckets again after a stop, before the first step.

        Args:
            columns: what was stored and is to be placed; what is of buckets that had closed is passed over.
            received_ms: the newest that `step` had been given.
        """
        self._open_up(received_ms)
        for start in range(0, columns.tags.size, MAX_ROWS):
            self._take_open(columns, start)

    def load_last(
        self,
        tags: NDArray[np.int32],
        lat_e7: NDArray[np.int32],
        lon_e7: NDArray[np.int32],
        at_ms: NDArray[np.int64],
        accuracy_m: NDArray[np.float32],
    ) -> None:
        """Say where tags were last, before the first step; all of shape (n,)."""
        words = self.last.words.reshape(-1, 8)
        words[tags, 0], words[tags, 1] = lat_e7, lon_e7
        self.last.longs.reshape(-1, 4)[tags, 1] = at_ms
        self.last.floats.reshape(-1, 8)[tags, 4] = accuracy_m
        places.recell(self.cells, self.last)

    def load_held(self, tags: NDArray[np.int32], held: fix.Held) -> None:
        """Say which places too far to reach wait to be confirmed, before the first step; tags of shape (n,)."""
        fix.hold(self.last, tags, held)

    def sizes(self) -> dict[str, int]:
        """Return the bytes of each part of the state, room for answers included."""
        parts = self._state()
        sizes = {name: sum(a.nbytes for n, a in parts.items() if n.startswith(name)) for name in _PARTS}
        sizes["fences"] += self.fences.words.nbytes + self.fences.vertices.nbytes
        sizes["watches"] += self.watches.starts.nbytes + self.watches.fences.nbytes
        sizes["index"] = sum(index.starts.nbytes + index.rows.nbytes for index in self._indexes)
        sizes["out"] = sum(a.nbytes for a in (*self._fixes, *self._events, *self._rows, self._pose_numbers))
        return sizes

    def counters(self) -> dict[str, int]:
        """Return how many rows had which verdict, and what found no room, since the engine was made."""
        tally = {verdict.name.lower(): int(self._rows.tally[verdict]) for verdict in Verdict}
        tally["repeat"] = self._seen - sum(tally.values())
        lost = {f"lost_{name}": count for name, count in self._lost.items()}
        return (
            tally
            | lost
            | {
                "lost_held": int(self.last.counts[1]),
                "lost_listed": int(self.watches.counts[1]),
                "without_cell": int(self.cells.counts[-1]),
            }
        )

    def dump(self) -> dict[str, NDArray[Any]]:
        """Return a copy of all that `step` changes or that it was told; fences and detectors are told anew."""
        return {name: array.copy() for name, array in self._state().items()}

    def restore(self, parts: dict[str, NDArray[Any]]) -> None:
        """Go back to what `dump` gave, on an engine of the same capacity, with the same fences and detectors loaded.

        Raises:
            ValueError: a part is missing or of another size.
        """
        state = self._state()
        if state.keys() != parts.keys() or any(parts[name].shape != array.shape for name, array in state.items()):
            raise ValueError("the parts are not those of an engine of this capacity")
        for name, array in state.items():
            array[...] = parts[name]
        self._snapshot(int(parts["index.at_ms"][0]))

    def _state(self) -> dict[str, NDArray[Any]]:
        parts: dict[str, Any] = {
            "table": self.table,
            "windows": (self.windows,),
            "openings": self.openings,
            "poses": self.poses,
            "last": self.last,
            "cells": self.cells,
            "watches": self.watches,
        }
        found = {
            f"{name}.{n}": array
            for name, part in parts.items()
            for n, array in enumerate(part)
            if isinstance(array, np.ndarray) and not (name == "watches" and n < 2) and not _is_view(name, n)
        }
        return found | {"rows.tally": self._rows.tally, "index.at_ms": self.index.at_ms}

    def _advance(self, received_ms: int) -> int:
        """Close what is over at `received_ms`, in order; return how many events there are."""
        newest, first = int(self.openings.newest[0]), int(self.openings.newest[1])
        now = max(newest, received_ms // self.openings.bucket_ms)
        now_first = self._first_open(received_ms, now, first)
        if (now, now_first) == (newest, first):
            return 0
        told = 0
        if newest >= 0:
            for bucket in range(first, min(newest + 1, now_first)):
                told = self._close(bucket, told)
        over_ms = self._open_up(received_ms)
        return fences.sweep(self.fences, self.watches, self.last, over_ms, self._events, told)

    def _open_up(self, received_ms: int) -> int:
        """Go on to a time with nothing open that is over; return up to when, UTC ms, everything has been placed."""
        newest, first = int(self.openings.newest[0]), int(self.openings.newest[1])
        places_open, bucket_ms = self.openings.places, self.openings.bucket_ms
        now = max(newest, received_ms // bucket_ms)
        for bucket in range(max(newest + 1, now - places_open + 1), now + 1):
            self.poses.marks[bucket & (places_open - 1)] = self.poses.marks[-1]
        self.openings.newest[:] = now, self._first_open(received_ms, now, first)
        over_ms = int(self.openings.newest[1]) * bucket_ms
        self._snapshot(over_ms)
        return over_ms

    def _first_open(self, received_ms: int, now: int, first: int) -> int:
        return max(first, (received_ms - self._grace_ms) // self.openings.bucket_ms, now - self.openings.places + 1)

    def _close(self, bucket: int, told: int) -> int:
        place = bucket & (self.openings.places - 1)
        return self._place(place, bucket, told) if self.openings.used[place] else told

    def _place(self, place: int, bucket: int, told: int) -> int:
        """Place all tags of a bucket and see what that means; return how many events there are."""
        fixes = self._fix(place, bucket)
        places.move(self.cells, self.last, fixes)
        return fences.cross(self.fences, self.watches, fixes, self._events, told)

    def _fix(self, place: int, bucket: int) -> fix.Fixes:
        if self._parts:
            self._parts[-1] = fix.Fixes._make(column.copy() for column in self._parts[-1])
        n = fix.close(self.openings, place, bucket, self.stations, self.last, self._scratch, self._fixes, 0)
        self._parts.append(self._fixes.head(n))
        return self._parts[-1]

    def _all_fixes(self) -> fix.Fixes:
        if len(self._parts) == 1:
            return self._parts[0]
        return fix.Fixes._make(
            _joined(list(c), c[0].dtype) for c in zip(self._fixes.head(0), *self._parts, strict=True)
        )

    def _take(self, columns: Columns, start: int, told: int) -> tuple[NDArray[np.uint8], NDArray[np.int32], int]:
        late_before = int(self._rows.tally[Verdict.LATE])
        part, rows, kept = self._take_open(columns, start)
        if rows.tally[Verdict.LATE] != late_before:
            told = self._take_late(part, rows, told)
        n = part.tags.size
        found = rows.verdicts[:n], rows.kept[:kept]
        is_whole = n == columns.tags.size
        return (*found, told) if is_whole else (found[0].copy(), found[1].copy(), told)

    def _take_open(self, columns: Columns, start: int) -> tuple[Columns, suppress.Rows, int]:
        """Take what is of open buckets out of the rows from `start`, as many as a pass takes."""
        part = Columns._make(column[start : start + MAX_ROWS] for column in columns)
        n, rows = part.tags.size, self._rows
        if part.lat_deg.size:
            rows = rows._replace(poses=self._pose_numbers[:n])
            self._lost["poses"] += poses.note(self.poses, self.openings, self.stations.words, part, rows.poses)
        kept = suppress.take(self.openings, self.stations.words, self.poses.ring, part, rows)
        self._seen += n
        rows.tally[Verdict.KEPT] += kept
        return part, rows, kept

    def _take_late(self, part: Columns, rows: suppress.Rows, told: int) -> int:
        """Give late rows their place, bucket by bucket; return how many events there are."""
        late = np.flatnonzero(rows.verdicts[: part.tags.size] == Verdict.LATE).astype(np.int32)
        buckets = part.heard_at_ms[late] // self.openings.bucket_ms
        late = late[np.argsort(buckets, kind="stable")]
        numbers, firsts = np.unique(np.sort(buckets), return_index=True)
        for bucket, picks in zip(numbers.tolist(), np.split(late, firsts[1:]), strict=True):
            stations, ring = self.stations.words, self.poses.ring
            if suppress.take_late(self.openings, stations, ring, part, rows, picks):
                told = self._place(self.openings.places, bucket, told)
        return told

    def _snapshot(self, at_ms: int) -> None:
        """Put the last places in order, in the snapshot that nobody is asking, then offer that one."""
        if self.cells.used[0] * 3 >= self.cells.keys.size * 2 and 3 * np.count_nonzero(self.cells.counts) < len(
            self.cells.keys
        ):
            self.cells = places.Cells._make(np.full_like(a, f) for a, f in zip(self.cells, (-1, 0, 0), strict=True))
            places.recell(self.cells, self.last)
        other = 1 - self._at_index
        self._indexes[other] = self._indexes[other]._replace(keys=self.cells.keys)
        places.rebuild(self._indexes[other], self.cells, self.last, at_ms)
        self.index, self._at_index = self._indexes[other], other


def _is_view(part: str, n: int) -> bool:
    """Return whether an array of `fix.Last` is another's memory."""
    return part == "last" and n in (1, 2, 4, 5)


def _joined(parts: list[NDArray[Any]], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.empty(0, dtype)
