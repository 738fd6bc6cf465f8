"""What this machine's memory can do at best, measured in the same run: the limits that the core is held against."""

import functools
import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.measure import best_ns_per, thread_ns_of
from server.core.kernels.line import bare, prefetch

_LINE_WORDS = 8  # of 8 bytes: one cache line
_LOOKUPS = 1_000_000
_AHEAD = 64


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured.

    Attributes:
        processor: its name, as the system gives it.
        cores: that may be used.
        load: of the last minute when the run began: how much others ran beside it.
        copy_gb_s: bytes copied a second, each counted once.
        random_line_ns: one of many independent random lines, read.
        random_change_ns: likewise, changed.
    """

    processor: str
    cores: int
    load: float
    copy_gb_s: float
    random_line_ns: float
    random_change_ns: float


def look(*, is_small: bool) -> Machine:
    """Return what this machine can do, on 1 GB of memory, or 256 MB."""
    size = 256 << 20 if is_small else 1 << 30
    load = os.getloadavg()[0]
    words = np.ones(size // 8, np.int64)  # not zeros: untouched pages are all one page, in cache
    n_lines = size // 64
    return Machine(
        processor_name(),
        len(os.sched_getaffinity(0)),
        load,
        1 / _copy_ns(words),
        best_ns_per(_LOOKUPS, lambda: _read(words, n_lines, _LOOKUPS)),
        best_ns_per(_LOOKUPS, lambda: _change(words, n_lines, _LOOKUPS)),
    )


class Limits:
    """What no program can beat on this machine, to be run in turn with what is held against it.

    The floor is what a sighting costs by its memory alone, with nothing computed: one random line is read in a table as
    large as the ids', one is changed in a table as large as that of the active tags, and the sighting's own columns
    stream by. No address depends on anything read before, so as many lines are under way as the processor finds by
    itself; the hard floor is the same with every line asked for 64 sightings ahead, which no loop that must look at
    one line to know the next can do. Latency is the opposite: each address comes out of the line before.

    Args:
        bytes_read: size of the table of which each sighting reads a random line.
        bytes_changed: size of the table of which each sighting changes a random line.
        bytes_streamed: of a sighting's own columns.
        bytes_chased: memory that latency is measured on.
    """

    def __init__(self, *, bytes_read: int, bytes_changed: int, bytes_streamed: int, bytes_chased: int) -> None:
        self._ids = np.ones(max(bytes_read // 64, 1) * _LINE_WORDS, np.int64)
        self._lines = np.ones(max(bytes_changed // 64, 1) * _LINE_WORDS, np.int64)
        self._columns = np.ones(_LOOKUPS * max(bytes_streamed // 8, 1), np.int64)
        self._ring = _walk(bytes_chased // 64)

    def floor_ns(self) -> float:
        """Return the time of one sighting by its memory alone."""
        return thread_ns_of(lambda: _touch(self._ids, self._lines, self._columns, _LOOKUPS)) / _LOOKUPS

    def hard_floor_ns(self) -> float:
        """Return the time of one sighting by its memory alone when all lines have been asked for ahead."""
        return thread_ns_of(lambda: _touch_ahead(self._ids, self._lines, self._columns, _LOOKUPS)) / _LOOKUPS

    def latency_ns(self) -> float:
        """Return the time of one dependent miss."""
        return thread_ns_of(lambda: _chase(self._ring, _LOOKUPS // 4)) / (_LOOKUPS // 4)


@functools.lru_cache(maxsize=1)
def _walk(n_lines: int) -> NDArray[np.int64]:
    """Return the ring, which takes seconds to make, of the last call again."""
    return _ring(n_lines)


def _copy_ns(words: NDArray[np.int64]) -> float:
    copied = np.empty_like(words)
    return best_ns_per(words.nbytes, lambda: np.copyto(copied, words))


def processor_name() -> str:
    """Return the processor's name."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


@njit(cache=True, nogil=True)
def _ring(n_lines: int) -> NDArray[np.int64]:
    """Return one closed walk over all lines in random order (Sattolo): word 0 of a line is the next line's word."""
    order = np.empty(n_lines, np.int64)
    for i in range(n_lines):
        order[i] = i
    state = np.uint64(88172645463325252)
    for i in range(n_lines - 1, 0, -1):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        j = np.int64(state % np.uint64(i))
        order[i], order[j] = order[j], order[i]
    ring = np.zeros(n_lines * _LINE_WORDS, np.int64)
    for i in range(n_lines):
        ring[i * _LINE_WORDS] = order[i] * _LINE_WORDS
    return ring


@njit(cache=True, nogil=True)
def _chase(ring: NDArray[np.int64], n: int) -> np.int64:
    at: np.int64 = ring[0]
    for _ in range(n):
        at = ring[at]
    return at


@njit(cache=True, nogil=True)
def _read(words: NDArray[np.int64], n_lines: int, n: int) -> np.int64:
    state, total = np.uint64(88172645463325252), np.int64(0)
    for _ in range(n):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        total += words[np.int64(((state >> np.uint64(32)) * np.uint64(n_lines)) >> np.uint64(32)) * _LINE_WORDS]
    return total


@njit(cache=True, nogil=True)
def _change(words: NDArray[np.int64], n_lines: int, n: int) -> None:
    state = np.uint64(88172645463325252)
    for _ in range(n):
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        words[np.int64(((state >> np.uint64(32)) * np.uint64(n_lines)) >> np.uint64(32)) * _LINE_WORDS] += 1


@njit(cache=True, nogil=True)
def _touch(ids: NDArray[np.int64], lines: NDArray[np.int64], columns: NDArray[np.int64], n: int) -> np.int64:
    state, total = np.uint64(88172645463325252), np.int64(0)
    n_ids, n_lines = np.uint64(ids.size // _LINE_WORDS), np.uint64(lines.size // _LINE_WORDS)
    width = columns.size // n
    for i in range(n):
        for word in range(width):
            total += columns[i * width + word]
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        total += ids[np.int64(((state >> np.uint64(32)) * n_ids) >> np.uint64(32)) * _LINE_WORDS]
        low = state * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
        lines[np.int64((low * n_lines) >> np.uint64(32)) * _LINE_WORDS] += 1
    return total


@njit(cache=True, nogil=True)
def _touch_ahead(ids: NDArray[np.int64], lines: NDArray[np.int64], columns: NDArray[np.int64], n: int) -> np.int64:
    state, total = np.uint64(88172645463325252), np.int64(0)
    n_ids, n_lines = np.uint64(ids.size // _LINE_WORDS), np.uint64(lines.size // _LINE_WORDS)
    width, read, changed = columns.size // n, np.zeros(_AHEAD, np.int64), np.zeros(_AHEAD, np.int64)
    all_ids, all_lines = bare(ids), bare(lines)
    for i in range(n):
        for word in range(width):
            total += columns[i * width + word]
        state = state * np.uint64(6364136223846793005) + np.uint64(1442695040888963407)
        low = state * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(32)
        slot = i & (_AHEAD - 1)
        total += all_ids[read[slot]]
        all_lines[changed[slot]] += 1
        read[slot] = np.int64(((state >> np.uint64(32)) * n_ids) >> np.uint64(32)) * _LINE_WORDS
        changed[slot] = np.int64((low * n_lines) >> np.uint64(32)) * _LINE_WORDS
        prefetch(all_ids, read[slot])
        prefetch(all_lines, changed[slot])
    return total
