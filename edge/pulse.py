"""Which parts of a gateway still make progress: each says so itself, and a part that is silent for too long hangs."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(slots=True)
class _Part:
    limit_s: float
    beaten_s: float


@dataclass(slots=True)
class Pulses:
    """The parts of one gateway.

    Args:
        now_s: a clock that only goes forward.
    """

    now_s: Callable[[], float] = time.monotonic
    _parts: dict[str, _Part] = field(default_factory=dict, init=False, repr=False)

    def add(self, name: str, limit_s: float) -> Callable[[], None]:
        """Return what a part calls whenever it has got on; it hangs after `limit_s` seconds without a call."""
        part = self._parts[name] = _Part(limit_s, self.now_s())

        def beat() -> None:
            part.beaten_s = self.now_s()

        return beat

    def remove(self, name: str) -> None:
        """Expect nothing more of a part: it has ended in order."""
        self._parts.pop(name, None)

    def hung(self) -> list[str]:
        """Return the names of the parts that hang, in order."""
        now_s = self.now_s()
        return sorted(name for name, part in self._parts.items() if now_s - part.beaten_s > part.limit_s)
