"""One detector's Bluetooth controller as its host sees it: numbered packets, kept until the host has them safe.

Works like HCI's host flow control (Host_Number_Of_Completed_Packets, Core Specification 5.4, Vol 4, Part E, 7.3.40), so
that what left the radio is exact even where the host is killed at any moment.
"""

from collections import deque
from itertools import islice
from typing import Final

MAX_WAITING: Final = 50_000
"""Packets a controller keeps for a host that does not take them; about 4 MB."""


class Port:
    """The packets of one detector. Packet numbers begin at 1.

    Attributes:
        missed: packets that found the controller full.
    """

    def __init__(self) -> None:
        self.missed = 0
        self._done = 0
        self._sent = 0
        self._waiting: deque[bytes] = deque()
        self._changes: list[tuple[int, bool]] = [(-(1 << 62), False)]

    @property
    def waiting(self) -> int:
        """Packets without an acknowledgement."""
        return len(self._waiting)

    @property
    def done(self) -> int:
        """Number of the last packet that was acknowledged."""
        return self._done

    def resume(self, safe: int) -> bool:
        """A host came that has `safe` packets; all later ones are to be sent again.

        Returns:
            False where the numbers do not meet (the host or the radio began anew): what waits is then numbered from
            `safe` + 1 on.
        """
        self._sent = 0
        if self._done <= safe <= self._done + len(self._waiting):
            self.acknowledge(safe)
            return True
        self._done = safe
        return False

    def acknowledge(self, safe: int) -> bool:
        """Forget the packets up to number `safe`. False, and nothing forgotten, where that was never sent."""
        count = safe - self._done
        if count > len(self._waiting):
            return False
        for _ in range(count):
            self._waiting.popleft()
        self._sent = max(0, self._sent - max(count, 0))
        self._done = max(self._done, safe)
        return True

    def scan(self, at_us: int, *, is_on: bool) -> None:
        """The receiver is on or off from that town time on."""
        self._changes.append((max(at_us, self._changes[-1][0]), is_on))

    def may_hear(self) -> bool:
        """Whether the receiver was on at any time since the last `settle`."""
        return any(is_on for _, is_on in self._changes)

    def is_on(self, at_us: int) -> bool:
        """Whether the receiver was on at a time since the last `settle`."""
        return next(is_on for since_us, is_on in reversed(self._changes) if since_us <= at_us)

    def settle(self, at_us: int) -> None:
        """Forget when the receiver was on before that time."""
        while len(self._changes) > 1 and self._changes[1][0] <= at_us:
            del self._changes[0]

    def hear(self, record: bytes) -> bool:
        """Take a packet; False where the controller is full, and it is missed."""
        if len(self._waiting) >= MAX_WAITING:
            self.missed += 1
            return False
        self._waiting.append(record)
        return True

    def unsent(self) -> bytes:
        """All packets not sent since the last `resume`; they count as sent now."""
        if self._sent == len(self._waiting):
            return b""
        fresh = b"".join(islice(self._waiting, self._sent, None))
        self._sent = len(self._waiting)
        return fresh
