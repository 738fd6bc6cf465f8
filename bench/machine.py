"""What this machine's memory can do at best, measured in the same run: the limits that the core is held against."""

import os
import platform
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numba import njit
from numpy.typing import NDArray

from bench.measure import best_ns_per

_LINE_WORDS = 8  # of 8 bytes: one cache line
_LOOKUPS = 1_000_000


@dataclass(frozen=True, slots=True)
class Machine:
    """What was measured.

    Attributes:
        processor: its name, as the system gives it.
        cores: that may be used.
        load: of the last minute when the run began: how much others ran beside it.
        dram_latency_ns: one dependent miss: each address comes out of the line before.
        copy_gb_s: bytes copied a second, read and written counted once.
        random_line_ns: one of many independent random lines, read.
        random_change_ns: likewise, changed.
        floor_ns: see `memory_floor_ns`.
    """

    processor: str
    cores: int
    load: float
    dram_latency_ns: float
    copy_gb_s: float
    random_line_ns: float
    random_change_ns: float
    floor_ns: float


def look(*, is_small: bool, bytes_read: int, bytes_changed: int, bytes_streamed: int) -> Machine:
    """Return what this machine can do.

    Args:
        is_small: with less memory, 256 MB in place of 1 GB.
        bytes_read: size of the table of which each sighting reads a random line.
        bytes_changed: size of the table of which each sighting changes a random line.
        bytes_streamed: of a sighting's own columns.
    """
    size = 256 << 20 if is_small else 1 << 30
    load = os.getloadavg()[0]
    ring = _ring(size // 64)
    words = np.ones(size // 8, np.int64)  # not zeros: untouched pages are all one page, in cache
    copy_ns = _copy_ns(words)
    n_lines = size // 64
    return Machine(
        processor_name(),
        len(os.sched_getaffinity(0)),
        load,
        best_ns_per(_LOOKUPS // 4, lambda: _chase(ring, _LOOKUPS // 4)),
        1 / copy_ns,
        best_ns_per(_LOOKUPS, lambda: _read(words, n_lines, _LOOKUPS)),
        best_ns_per(_LOOKUPS, lambda: _change(words, n_lines, _LOOKUPS)),
        memory_floor_ns(bytes_read, bytes_changed, bytes_streamed),
    )


def memory_floor_ns(bytes_read: int, bytes_changed: int, bytes_streamed: int) -> float:
    """Return the time that a sighting costs by its memory alone, nothing computed and nothing waited for.

    One random line is read in a table as large as the ids', one is changed in a table as large as that of the active
    tags, and the sighting's own columns stream by. No address depends on anything read before, so as many lines are
    under way as the processor can have.
    """
    ids = np.ones(max(bytes_read // 64, 1) * _LINE_WORDS, np.int64)
    lines = np.ones(max(bytes_changed // 64, 1) * _LINE_WORDS, np.int64)
    columns = np.ones(_LOOKUPS * max(bytes_streamed // 8, 1), np.int64)
    return best_ns_per(_LOOKUPS, lambda: _touch(ids, lines, columns, _LOOKUPS), runs=9)


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
