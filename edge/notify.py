"""What systemd is told: ready, alive, how it goes. The protocol of sd_notify(3), one datagram a message, no library.

Alive is said only while the event loop turns and no part hangs: else the pings stop and systemd starts it anew.
"""

import asyncio
import logging
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

log = logging.getLogger(__name__)

IDLE_S: Final = 10.0
"""Seconds between two looks where systemd asks for no watchdog."""
PINGS: Final = 3
"""Pings in the time that systemd waits for one: two may come late."""


@dataclass(slots=True)
class Notifier:
    """Speaks to the service manager.

    Args:
        address: path of a datagram socket, "@" first for an abstract one; "" = nobody asks.
        interval_s: seconds between two pings.
    """

    address: str = ""
    interval_s: float = IDLE_S
    _failures: int = field(default=0, init=False)

    @classmethod
    def of(cls, environment: Mapping[str, str], pid: int) -> Self:
        """Return the notifier that systemd's variables ask for.

        Args:
            environment: NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID are read.
            pid: of this process; a watchdog meant for another is none of ours.
        """
        address = environment.get("NOTIFY_SOCKET", "")
        limit_us = environment.get("WATCHDOG_USEC", "")
        is_ours = environment.get("WATCHDOG_PID", str(pid)) == str(pid)
        if not address.startswith(("/", "@")):
            return cls()
        return cls(address, int(limit_us) / 1e6 / PINGS if is_ours and limit_us.isdecimal() else IDLE_S)

    def send(self, **said: str) -> None:
        """Say something, as READY="1"; a manager that does not listen is counted and logged once, and harms nothing."""
        if not self.address:
            return
        message = "\n".join(f"{name}={' '.join(value.split())}" for name, value in said.items())
        address = "\0" + self.address[1:] if self.address.startswith("@") else self.address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as endpoint:
                endpoint.setblocking(False)
                endpoint.sendto(message.encode(), address)
        except OSError as error:
            self._failures += 1
            if self._failures == 1:
                log.warning("manager.unreachable", extra={"reason": type(error).__name__})
        else:
            self._failures = 0


@dataclass(frozen=True, slots=True)
class Liveness:
    """How a program is.

    Attributes:
        is_ready: whether it has begun its work; once true, true for good as far as systemd is concerned.
        status: one line for `systemctl status`.
        hung: names of parts that make no progress.
    """

    is_ready: bool
    status: str
    hung: tuple[str, ...] = ()


async def watch(notifier: Notifier, look: Callable[[], Liveness]) -> None:
    """Tell the manager for ever how it goes; say that it stops when cancelled."""
    is_ready = False
    hung: tuple[str, ...] = ()
    try:
        while True:
            seen = look()
            if seen.hung != hung:
                hung = seen.hung
                for part in hung:
                    log.error("part.hung", extra={"part": part})
            said = {"STATUS": seen.status}
            if seen.is_ready and not is_ready:
                is_ready = True
                said["READY"] = "1"
            if not hung:
                said["WATCHDOG"] = "1"
            notifier.send(**said)
            await asyncio.sleep(notifier.interval_s if is_ready else min(notifier.interval_s, 1.0))
    finally:
        notifier.send(STOPPING="1", STATUS="停止中。stopping")
