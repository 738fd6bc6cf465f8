"""Which batches to send when: a sliding window over numbered batches, without clock or I/O.

A batch is done only when the server's receipt names it. The window shrinks to one after a time-out and grows by one
with each receipt, so that a slow server slows its detectors instead of drowning in repeats. A batch that timed out lets
the others pass and comes again after them, in turn: one that the server never answers, because the detector's key has
changed or its octets have, must not hold up the rest for ever.

After days without a network the queue is long, and what is heard now must not wait behind it. So all places but one are
first offered to urgent batches, newest first, and then to the newest batch; what is left of the window works off the
rest from its oldest end. When nothing new comes, the newest is the end of the rest, which so is eaten from both ends.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from wire.outbox import Outbox, Pending

_TRIES: Final = 2
"""An urgent batch that timed out more often goes after the newest one."""
_MOST_LATE: Final = 1_000
"""Batches of which it is remembered that they timed out; what is forgotten may go ahead once more."""


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
    _late: Counter[int] = field(default_factory=Counter, init=False, repr=False)
    _went_ahead: set[int] = field(default_factory=set, init=False, repr=False)

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
        """Return the batches to send now: some ahead of their turn, then what never timed out, then the others.

        Raises:
            OutboxError: the disk failed.
        """
        ahead = self._ahead(outbox)
        chosen = self.next_to_send(list(dict.fromkeys([*ahead, *self._in_turn(outbox)])))
        self._went_ahead = {n for n in self._went_ahead if n in self._due_at_s}.union(n for n in ahead if n in chosen)
        return outbox.batches(chosen)

    def _ahead(self, outbox: Outbox) -> list[int]:
        """Return what goes before its turn.

        With one place alone, every second time-out is followed by what is next in turn.
        """
        under_way = sum(n in self._due_at_s for n in self._went_ahead)
        places = max(1, self.allowed - 1) - under_way
        if places <= 0 or (self.allowed == 1 and self.timeouts % 2):
            return []
        limit = 2 * self.size
        urgent = [n for n in outbox.urgent(limit) if n not in self._due_at_s]
        newest = [n for n in outbox.newest(limit) if n not in self._due_at_s and not self._late[n]][:1]
        first = [n for n in urgent if self._late[n] <= _TRIES]
        last = sorted((n for n in urgent if self._late[n] > _TRIES), key=lambda n: self._late[n])
        return list(dict.fromkeys([*first, *newest, *last]))[:places]

    def _in_turn(self, outbox: Outbox) -> list[int]:
        """Return what never timed out, oldest first, then what did."""
        limit = 2 * self.size
        found = outbox.oldest(limit, after=self._passed)
        if self._passed:
            found += outbox.oldest(limit, after=self._last_late) or outbox.oldest(limit)
        return found

    def sent(self, sequence: int, now_s: float) -> None:
        """Note that a batch left at `now_s` (any monotonic clock)."""
        self._due_at_s[sequence] = now_s + self.timeout_s

    def on_receipt(self, sequences: Iterable[int]) -> int:
        """Free the places of receipted batches; return how many were outstanding, repeats and strangers not counted."""
        known = 0
        for sequence in sequences:
            known += self._due_at_s.pop(sequence, None) is not None
            self._late.pop(sequence, None)
        self.allowed = min(self.size, self.allowed + known)
        return known

    def on_timeout(self, now_s: float) -> tuple[int, ...]:
        """Return the batches whose receipt is overdue; they are no longer outstanding and the window is down to one."""
        late = tuple(n for n, due_at_s in self._due_at_s.items() if due_at_s <= now_s)
        if late:
            if len(self._late) > _MOST_LATE:
                self._late.clear()
            for sequence in late:
                del self._due_at_s[sequence]
                self._late[sequence] += 1
                if sequence not in self._went_ahead:
                    self._passed = max(self._passed, sequence)
                    self._last_late = sequence
            self.allowed = 1
            self.timeouts += 1
        return late

    def on_disconnect(self) -> None:
        """Forget what was on its way, for a new connection sends it again, one at first."""
        self._due_at_s.clear()
        self.allowed = 1

    def wait_s(self, now_s: float) -> float | None:
        """Return how long until the next time-out, None when nothing is outstanding."""
        return max(0.0, min(self._due_at_s.values()) - now_s) if self._due_at_s else None
