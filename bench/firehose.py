"""Batches as detectors send them: what was heard, sealed to the city and signed, made by all cores beforehand."""

import contextlib
import functools
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.crowd import BUCKET_MS, CITY, CROWD, FOREIGN, HEARERS, ROTATION_EXPONENT, ROWS, Plan, Town, name_of
from wire import batch, eid, seal, status
from wire.batch import Batch
from wire.keys import CityBundle
from wire.status import StatusKeys, TagStatus

EPOCH: Final = 7
_VISITS_AT_ONCE: Final = 16
_BASE_DBM: Final = (-58, -64, -70)
"""Of the three detectors that hear a crowd, the nearest first."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Frames of a crowd in ten seconds, the same for all who hear them; n = 475, in order of time.

    Attributes:
        ids: u8, shape (n,).
        sealed: u1, shape (n, 6).
        at_ms: i8, shape (n,), town time.
    """

    ids: NDArray[np.uint64]
    sealed: NDArray[np.uint8]
    at_ms: NDArray[np.int64]


@dataclass(slots=True)
class Press:
    """Seals the batches of a town, keeping keys and ids from one batch to the next.

    Args:
        town: whose tags and detectors.
        city: whom to seal to.
    """

    town: Town
    city: CityBundle
    _ids: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    _status_keys: dict[int, StatusKeys] = field(default_factory=dict)
    _signers: dict[int, tuple[Any, bytes]] = field(default_factory=dict)

    def batches(self, visit: int, detectors: list[int], sequences: list[int], due_ms: list[int]) -> Iterator[bytes]:
        """Yield the sealed batches of a visit."""
        heard = self.frames(visit % self.town.n_crowds, due_ms[0] // BUCKET_MS - 1)
        for at, (detector, sequence, sealed_at_ms) in enumerate(zip(detectors, sequences, due_ms, strict=True)):
            rng = np.random.default_rng([self.town.seed, 3, detector, sequence])
            yield self._sealed(batch.encode(_batch(heard, _BASE_DBM[at], rng)), detector, (sequence, sealed_at_ms))

    def frames(self, crowd: int, bucket: int) -> Heard:
        """Return what a crowd sends in a bucket: each tag once a second, each with its own fraction of it."""
        n = ROWS - FOREIGN
        who, second = np.arange(n) % CROWD, np.arange(n) // CROWD
        tags = np.array(self.town.tags_of(crowd))[who]
        at_ms = bucket * BUCKET_MS + second * 1000 + who * 20
        steps = (at_ms - self.town.offsets_ms[tags]) // 1000 // status.STEP_S
        # What a tag sends stays the same for a step, and all who hear it hear the same: each is worked out once.
        told, which = np.unique(tags << 40 | steps, return_inverse=True)
        frames = [self._frame(key >> 40, (key & (1 << 40) - 1) * status.STEP_S) for key in told.tolist()]
        octets = np.frombuffer(b"".join(frames), np.uint8).reshape(-1, 14)[which]
        return Heard(np.ascontiguousarray(octets[:, :8]).view("<u8").ravel(), octets[:, 8:], at_ms)

    def _frame(self, tag: int, beacon_s: int) -> bytes:
        """Return id and sealed octets."""
        key = self.town.identity_keys[tag].tobytes()
        name = self._id(tag, key, beacon_s)
        if tag not in self._status_keys:
            self._status_keys[tag] = StatusKeys.of(key)
        told = TagStatus(status.step_of(beacon_s), moving=True)
        return name + status.seal(self._status_keys[tag], name, told)

    def _id(self, tag: int, key: bytes, beacon_s: int) -> bytes:
        quantum = beacon_s >> ROTATION_EXPONENT
        if self._ids.get(tag, (0, b""))[0] != quantum:
            self._ids[tag] = quantum, eid.derive(key, ROTATION_EXPONENT, beacon_s)
        return self._ids[tag][1]

    def _sealed(self, payload: bytes, detector: int, when: tuple[int, int]) -> bytes:
        if detector not in self._signers:
            key = self.town.detector_key(detector)
            self._signers[detector] = key, seal.kid(key.public_key())
        signer, kid = self._signers[detector]
        header = seal.Header(
            city=CITY,
            detector=name_of(detector),
            epoch=EPOCH,
            sequence=when[0],
            sealed_at_ms=when[1],
            recipient_kid=seal.kid(self.city.seal_key),
            signer_kid=kid,
            content="sightings",
        )
        return seal.seal(payload, header, signer=signer, recipient=self.city.seal_key)


def _batch(heard: Heard, base_dbm: int, rng: np.random.Generator) -> Batch:
    """Return what one detector makes of it: its own signal strengths, and foreign tags in between."""
    foreign_ms = heard.at_ms[0] + rng.integers(0, BUCKET_MS, FOREIGN)
    at_ms = np.append(heard.at_ms, foreign_ms)
    order = np.argsort(at_ms, kind="stable")
    ids = np.append(heard.ids, rng.integers(0, 2**64, FOREIGN, dtype=np.uint64))
    sealed = np.append(heard.sealed, rng.integers(0, 256, (FOREIGN, 6), dtype=np.uint8), axis=0)
    rssi_dbm = (base_dbm + rng.integers(-4, 5, ROWS)).astype(np.int8)
    return Batch(
        kinds=np.zeros(ROWS, np.uint8),
        ids=ids[order],
        sealed=sealed[order],
        rssi_best_dbm=rssi_dbm,
        rssi_mean_dbm=rssi_dbm,
        counts=np.ones(ROWS, np.uint16),
        first_heard_ms=at_ms[order],
        last_heard_ms=at_ms[order],
    )


@dataclass(frozen=True, slots=True)
class Spool:
    """Sealed batches in a folder, for a load generator that reads them into its memory.

    Attributes:
        detectors: shape (n,).
        sequences: shape (n,).
        starts: shape (n + 1,), where each payload begins.
        payloads: one after another.
    """

    detectors: NDArray[np.int64]
    sequences: NDArray[np.int64]
    starts: NDArray[np.int64]
    payloads: bytes

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Return what `Firehose.spool` wrote."""
        with np.load(folder / "index.npz") as index:
            detectors, sequences, starts = (index[name] for name in ("detectors", "sequences", "starts"))
        return cls(detectors, sequences, starts, (folder / "payloads.bin").read_bytes())


class Firehose:
    """A pool of processes that seal. Use it in a `with`."""

    def __init__(self, town: Town, city_file: Path) -> None:
        self._job = (replace(town), str(city_file))  # a fresh one: what a town has worked out is not worth sending
        cores = len(os.sched_getaffinity(0))
        self._pool = ProcessPoolExecutor(cores, multiprocessing.get_context("spawn"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def spool(self, plan: Plan, folder: Path) -> None:
        """Seal the batches of a plan into a folder, in their order."""
        folder.mkdir()
        each = _VISITS_AT_ONCE * HEARERS
        parts = [plan.take(slice(at, at + each)) for at in range(0, len(plan), each)]
        starts = [0]
        with _progress(len(plan)) as progress, (folder / "payloads.bin").open("wb") as file:
            for sealed in self._pool.map(_seal, [self._job] * len(parts), parts):
                for payload in sealed:
                    file.write(payload)
                    starts.append(starts[-1] + len(payload))
                progress.advance(progress.task_ids[0], len(sealed))
        np.savez(folder / "index.npz", detectors=plan.detectors, sequences=plan.sequences, starts=np.array(starts))


@functools.lru_cache(maxsize=2)
def _press(town: Town, city_file: str) -> Press:
    return Press(town, CityBundle.load(city_file))


def _seal(job: tuple[Town, str], plan: Plan) -> list[bytes]:
    press = _press(*job)
    sealed: list[bytes] = []
    for at in range(0, len(plan), HEARERS):
        columns = (column[at : at + HEARERS].tolist() for column in (plan.detectors, plan.sequences, plan.due_ms))
        sealed += press.batches(int(plan.visits[at]), *columns)
    return sealed


@contextlib.contextmanager
def _progress(batches: int) -> Iterator[Progress]:
    # On stderr: the last line of stdout is for machines.
    columns = (TextColumn("sealing batches"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        progress.add_task("", total=batches)
        yield progress
