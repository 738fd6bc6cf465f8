"""Which batches to send when: a sliding window over numbered batches, without clock or I/O.

A batch is done only when the server's receipt names it. The window shrinks to one after a time-out and grows by one
with each receipt, so that a slow server slows its detectors instead of drowning in repeats. A batch that timed out lets
the others pass and comes again after them, in turn: one that the server never answers, because the detector's key has
changed or its octets have, must not hold up the rest for ever.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from wire.outbox import Outbox, Pending


@dataclass(slots=True)
class SendWindow:
    """Batches on their way.

    Args:
        size: most batches outstanding at once.
        timeout_s: how long a receipt may take before the batch is sent again, wall seconds. Add jitter per detector.
    """

    size: int = 4
    timeout_s: float = 10.0
    allowed: int = field(init=False)
    timeouts: int = field(default=0, init=False)
    _due_at_s: dict[int, float] = field(default_factory=dict, init=False, repr=False)
    _passed: int = field(default=0, init=False, repr=False)
    _last_late: int = field(default=0, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.size < 1 or self.timeout_s <= 0:
            raise ValueError("a window needs at least one place and a time-out above zero")
        self.allowed = self.size

    @property
    def outstanding(self) -> tuple[int, ...]:
        """Sequences sent and not yet in a receipt, in the order they were sent."""
        return tuple(self._due_at_s)

    def next_to_send(self, pending: Sequence[int]) -> tuple[int, ...]:
        """Return what of `pending` to send now: what is not on its way already, as far as there is room."""
        room = self.allowed - len(self._due_at_s)
        return tuple(n for n in pending if n not in self._due_at_s)[: max(room, 0)]

    def next_batches(self, outbox: Outbox) -> list[Pending]:
        """Return the batches to send now: what never timed out first, then the others, one round after another.

        Raises:
            OutboxError: the disk failed.
        """
        limit = 2 * self.size
        found = outbox.pending(limit, after=self._passed)
        if self._passed:
            found += outbox.pending(limit, after=self._last_late) or outbox.pending(limit)
        by_sequence = {batch.sequence: batch for batch in found}
        return [by_sequence[sequence] for sequence in self.next_to_send(list(by_sequence))]

    def sent(self, sequence: int, now_s: float) -> None:
        """Note that a batch left at `now_s` (any monotonic clock)."""
        self._due_at_s[sequence] = now_s + self.timeout_s

    def on_receipt(self, sequences: Iterable[int]) -> int:
        """Free the places of receipted batches; return how many were outstanding, repeats and strangers not counted."""
        known = sum(self._due_at_s.pop(n, None) is not None for n in sequences)
        self.allowed = min(self.size, self.allowed + known)
        return known

    def on_timeout(self, now_s: float) -> tuple[int, ...]:
        """Return the batches whose receipt is overdue; they are no longer outstanding and the window is down to one."""
        late = tuple(n for n, due_at_s in self._due_at_s.items() if due_at_s <= now_s)
        if late:
            for sequence in late:
                del self._due_at_s[sequence]
            self.allowed = 1
            self.timeouts += 1
            self._passed = max(self._passed, *late)
            self._last_late = late[-1]
        return late

    def on_disconnect(self) -> None:
        """Forget what was on its way, for a new connection sends it again, one at first."""
        self._due_at_s.clear()
        self.allowed = 1

    def wait_s(self, now_s: float) -> float | None:
        """Return how long until the next time-out, None when nothing is outstanding."""
        return max(0.0, min(self._due_at_s.values()) - now_s) if self._due_at_s else None
