"""What groups of processes spend: processor time, and the most memory that one of them held."""

import contextlib
import threading
from collections.abc import Mapping
from typing import Final, Self

import psutil

_LOOK_S: Final = 0.1


class Spent:
    """Processor seconds of process trees between two moments, memory of one of them meanwhile. Use it in a `with`.

    Args:
        pids: roots of the trees, by what they are called.
        weighed: the one whose memory is looked at, ten times a second.
    """

    def __init__(self, pids: Mapping[str, int], weighed: str) -> None:
        self._roots = {name: psutil.Process(pid) for name, pid in pids.items()}
        self._weighed = self._roots[weighed]
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._before: dict[str, float] = {}
        self.cpu_s: dict[str, float] = {}
        self.most_bytes = 0

    def __enter__(self) -> Self:
        self._before = {name: cpu_s_of(root) for name, root in self._roots.items()}
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()
        self._weigh()
        for name, root in self._roots.items():
            with contextlib.suppress(psutil.NoSuchProcess):
                self.cpu_s[name] = cpu_s_of(root) - self._before[name]

    def _look(self) -> None:
        while not self._ends.wait(_LOOK_S):
            self._weigh()

    def _weigh(self) -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            held = sum(process.memory_info().rss for process in _tree(self._weighed))
            self.most_bytes = max(self.most_bytes, held)


def cpu_s_of(root: psutil.Process) -> float:
    """Return the processor time of a process and all below it, those that have ended too.

    Raises:
        psutil.NoSuchProcess: it has ended itself.
    """
    spent = root.cpu_times()
    total_s = spent.user + spent.system
    for process in _tree(root):
        with contextlib.suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            own_s = 0.0 if process == root else times.user + times.system
            total_s += own_s + times.children_user + times.children_system
    return total_s


def _tree(root: psutil.Process) -> list[psutil.Process]:
    return [root, *root.children(recursive=True)]
