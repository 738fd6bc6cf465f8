"""What the demonstration costs: memory and processor time of this process and all below it."""

import os
import time
from dataclasses import dataclass, field
from typing import Final

import psutil

_MIB: Final = 1024 * 1024


@dataclass(slots=True)
class Meter:
    """Sampled sums over a tree of processes.

    Attributes:
        memory_mb: of the last sample, MiB; pages that processes share count once (PSS) where the system says so.
        memory_mb_max: the largest sample.
    """

    started_s: float = field(default_factory=time.monotonic)
    memory_mb: float = 0.0
    memory_mb_max: float = 0.0
    _cpu_s: dict[tuple[int, float], float] = field(default_factory=dict)
    _before_s: float = -1.0

    def sample(self) -> None:
        """Look at every process once; processor time of those that have ended since stays counted."""
        root = psutil.Process(os.getpid())
        total = 0
        for process in [root, *root.children(recursive=True)]:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._cpu_s[process.pid, process.create_time()] = times.user + times.system
                    total += _memory_bytes(process)
            except psutil.Error:
                continue
        self.memory_mb = total / _MIB
        self.memory_mb_max = max(self.memory_mb_max, self.memory_mb)

    def reset(self) -> None:
        """Start counting processor time here: what the set-up took is not the cost of running."""
        self.sample()
        self._before_s = sum(self._cpu_s.values())
        self.started_s = time.monotonic()

    @property
    def cpu_s(self) -> float:
        """Processor seconds since `reset`, as of the last sample."""
        return sum(self._cpu_s.values()) - max(self._before_s, 0.0)

    @property
    def cores(self) -> float:
        """Processors kept busy since `reset`, on average."""
        return self.cpu_s / max(time.monotonic() - self.started_s, 1e-9)


def _memory_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except (psutil.AccessDenied, AttributeError):  # another account's process; a system without PSS
        return int(process.memory_info().rss)
