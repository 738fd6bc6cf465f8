"""How times are taken here: processor time, alternated runs, medians of ratios.

The machine is shared and drifts, so a time alone says little. Two things are compared by running them in turn and
taking the median of the ratios of neighbours; waiting for a processor that others hold is not counted.
"""

import statistics
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RUNS: Final = 5


def cpu_ns_of(work: Callable[[], object]) -> int:
    """Return the processor time that this process spends while `work` runs in the calling thread."""
    start_ns = time.process_time_ns()
    work()
    return time.process_time_ns() - start_ns


def thread_ns_of(work: Callable[[], object]) -> int:
    """Return the processor time that this thread spends on `work`."""
    start_ns = time.thread_time_ns()
    work()
    return time.thread_time_ns() - start_ns


def best_ns_per(n: int, work: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median thread time of `work` for each of the `n` things that it does, after one run to warm up."""
    work()
    return statistics.median(thread_ns_of(work) for _ in range(runs)) / n


def cpu_ns_of_process(pid: int) -> int:
    """Return the processor time of all threads of another process so far.

    Raises:
        FileNotFoundError: no such process, or not on Linux.
    """
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


@dataclass(frozen=True, slots=True)
class Race:
    """Times of several that did the same in turn.

    Attributes:
        ns: by name, one time a run.
    """

    ns: Mapping[str, Sequence[float]]

    def median(self, name: str) -> float:
        """Return the median time of one."""
        return statistics.median(self.ns[name])

    def ratio(self, name: str, to: str) -> float:
        """Return how many times longer `name` takes than `to`: the median over runs that followed each other."""
        return statistics.median(a / b for a, b in zip(self.ns[name], self.ns[to], strict=True))


def alternate(entrants: Mapping[str, Callable[[], float]], runs: int = RUNS) -> Race:
    """Return the times of `entrants`, each of which runs once and returns its own time, run in turn after a warm-up."""
    ns: dict[str, list[float]] = {name: [] for name in entrants}
    for run in range(runs + 1):
        for name, entrant in entrants.items():
            took_ns = entrant()
            if run > 0:
                ns[name].append(took_ns)
    return Race(ns)


def slope(growth: Mapping[int, float]) -> float:
    """Return by what factor a cost grows when its size grows tenfold, between the smallest and the largest size.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len(growth) < 2:
        raise ValueError("a slope needs two sizes")
    smallest, largest = min(growth), max(growth)
    decades = len(str(largest)) - len(str(smallest))
    return float((growth[largest] / growth[smallest]) ** (1 / decades))


def together(works: Sequence[Callable[[], object]]) -> float:
    """Return the wall time, seconds, until all works are done, each in a thread of its own.

    Raises:
        RuntimeError: one of them failed.
    """
    errors: list[BaseException] = []

    def run(work: Callable[[], object]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001 - a thread has nobody above it; told below
            errors.append(error)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    start_s = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took_s = time.perf_counter() - start_s
    if errors:
        raise RuntimeError("a thread of the benchmark failed") from errors[0]
    return took_s
