"""When a picture was taken: the stream's own steady times, tied to the wall clock and tied anew when they part."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

MAX_DRIFT_MS: Final = 500


class Wall(Protocol):
    """What recording asks of a clock, as edge.clock.WallClock answers it."""

    def now_ms(self) -> int:
        """Return the wall time, Unix milliseconds."""

    def monotonic_ms(self) -> int:
        """Return milliseconds that never jump."""

    def is_synced(self) -> bool:
        """Return whether the wall clock is known to be right."""

    def jumped_ms(self) -> int:
        """Return how far the wall clock was set since the clock object was made."""


@dataclass(slots=True)
class Anchor:
    """Turns the times of a stream into wall times that only go back when the wall clock itself was set back."""

    clock: Wall
    _wall_ms: int = 0
    _stream_ms: float | None = None
    _last_ms: int = -1
    _jumped_ms: int = 0

    def __post_init__(self) -> None:
        self._jumped_ms = self.clock.jumped_ms()

    def loosen(self) -> None:
        """Tie anew at the next picture: it is of another connection."""
        self._stream_ms = None

    def at_ms(self, stream_ms: float | None) -> tuple[int, bool]:
        """Return the wall time of a picture that came just now, and whether the wall clock was set before it.

        Args:
            stream_ms: time in the stream; None where it says none.
        """
        now_ms, jumped_ms = self.clock.now_ms(), self.clock.jumped_ms()
        is_jump = abs(jumped_ms - self._jumped_ms) > MAX_DRIFT_MS
        if is_jump:
            self._jumped_ms, self._last_ms = jumped_ms, -1
        at_ms = self._tied(stream_ms)
        if at_ms is None or is_jump or abs(at_ms - now_ms) > MAX_DRIFT_MS:
            self._wall_ms, self._stream_ms, at_ms = now_ms, stream_ms, now_ms
        self._last_ms = max(at_ms, self._last_ms + 1)
        return self._last_ms, is_jump

    def _tied(self, stream_ms: float | None) -> int | None:
        if stream_ms is None or self._stream_ms is None:
            return None
        return self._wall_ms + round(stream_ms - self._stream_ms)


@dataclass(slots=True)
class Thinner:
    """Lets so many pictures a second through, evenly."""

    fps: Callable[[], int]
    _due_ms: float = field(default=0.0)

    def is_kept(self, at_ms: int) -> bool:
        """Return whether the picture of this wall time is among those kept."""
        step_ms = 1000 / self.fps()
        if abs(at_ms - self._due_ms) > 2 * step_ms:
            self._due_ms = at_ms
        if at_ms < self._due_ms - 1:  # camera times are whole milliseconds, a step need not be
            return False
        self._due_ms += step_ms
        return True
