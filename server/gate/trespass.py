"""Finds in the broker's log who tried a topic that is not its own: NATS denies it, tells nobody, and goes on.

There is no event for it in NATS 2.15, neither an advisory nor a counter of a connection; only the log says it.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final

_LINE: Final = re.compile(
    rb"\[\d+\] \S+ \S+ \[ERR\] (?P<address>\S+:\d+) - mid:(?P<cid>\d+) - .*?(?P<kind>Publish|Subscription) Violation - "
)
_READ_OCTETS: Final = 4 * 1024 * 1024
_LONGEST_LINE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Trespass:
    """One line of the log.

    Attributes:
        cid: number of the connection.
        address: its `host:port`; with `cid` it names one connection and no later one.
        kind: "publish" or "subscribe".
    """

    cid: int
    address: str
    kind: str


@dataclass(slots=True)
class LogFollower:
    """Reads a log that grows, and goes on in the new file when it is rotated or cut.

    Args:
        file: the broker's log.
    """

    file: Path
    _open: IO[bytes] | None = field(default=None, init=False)
    _rest: bytes = field(default=b"", init=False)

    def read(self) -> list[Trespass]:
        """Return what was written since the last time; the first time all that is there, 4 MiB at most at a time.

        Raises:
            OSError: there is no such file, or it cannot be read.
        """
        if self._open is None:
            self._open = self.file.open("rb")
        data = self._open.read(_READ_OCTETS)
        if len(data) < _READ_OCTETS and self._has_moved_on():
            data += self._open.read(_READ_OCTETS)  # what was written between our reading and the change
            self.close()
            return self._found(data + b"\n")
        return self._found(data)

    def close(self) -> None:
        """Let go of the file; the next `read` begins at its beginning."""
        if self._open is not None:
            self._open.close()
            self._open = None

    def _has_moved_on(self) -> bool:
        """Whether the name means another file now, or the same one was cut."""
        assert self._open is not None  # noqa: S101 - called by read
        try:
            status = self.file.stat()
        except FileNotFoundError:
            return False  # between the two steps of a rotation
        ours = os.fstat(self._open.fileno())
        return (ours.st_dev, ours.st_ino) != (status.st_dev, status.st_ino) or status.st_size < self._open.tell()

    def _found(self, data: bytes) -> list[Trespass]:
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= _LONGEST_LINE else b""
        return [found for line in lines if (found := _parse(line)) is not None]


def _parse(line: bytes) -> Trespass | None:
    match = _LINE.match(line)
    if match is None:
        return None
    kind = "publish" if match["kind"] == b"Publish" else "subscribe"
    return Trespass(int(match["cid"]), match["address"].decode("ascii", "replace"), kind)
