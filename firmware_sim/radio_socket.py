"""radio.sock: detectors say who they are and get their controller's packets; wire/air.py is the client."""

import asyncio
import contextlib
import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from firmware_sim.port import Port
from wire import btsnoop

log = logging.getLogger(__name__)

_MAX_BACKLOG_BYTES: Final = 1 << 20
"""Octets in a socket's own buffer beyond which packets wait in the port."""


class RadioSocket:
    """Serves the ports of all detectors.

    Args:
        detectors: their ids.
        now_us: town time, Unix microseconds: receivers go on and off by it.

    Attributes:
        refused: connections and lines that made no sense.
    """

    def __init__(self, detectors: Iterable[str], now_us: Callable[[], int]) -> None:
        self.ports = {detector: Port() for detector in detectors}
        self.refused = 0
        self._now_us = now_us
        self._writers: dict[str, asyncio.StreamWriter] = {}

    @property
    def connected(self) -> int:
        """Detectors with a connection."""
        return len(self._writers)

    @property
    def waiting(self) -> int:
        """Packets without an acknowledgement at connected detectors."""
        return sum(self.ports[detector].waiting for detector in self._writers)

    @contextlib.asynccontextmanager
    async def open(self, path: Path) -> Any:  # noqa: ANN401 - an async context without a value
        """Listen on `path` inside the block; an old socket file goes away first."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, on a local disk
        server = await asyncio.start_unix_server(self._serve, path, backlog=1024)
        try:
            yield
        finally:
            server.close()
            for writer in list(self._writers.values()):
                writer.close()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, on a local disk

    def flush(self) -> None:
        """Send what waits to every detector that keeps up."""
        for detector, writer in self._writers.items():
            if writer.transport.get_write_buffer_size() < _MAX_BACKLOG_BYTES and not writer.is_closing():
                fresh = self.ports[detector].unsent()
                if fresh:
                    writer.write(fresh)

    def silence(self) -> None:
        """All receivers off."""
        for port in self.ports.values():
            port.scan(self._now_us(), is_on=False)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        detector = ""
        try:
            detector, safe = self._hello(_message(await reader.readline()))
            self._connect(detector, safe, writer)
            while line := await reader.readline():
                self._obey(self.ports[detector], _message(line))
        except (ValueError, asyncio.LimitOverrunError):
            self.refused += 1
            log.warning("radio.refused")
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            if self._writers.get(detector) is writer:
                del self._writers[detector]
                self.ports[detector].scan(self._now_us(), is_on=False)
            writer.close()

    def _hello(self, message: dict[str, Any]) -> tuple[str, int]:
        detector, safe = message.get("detector"), message.get("resume")
        if not isinstance(detector, str) or detector not in self.ports or not isinstance(safe, int) or safe < 0:
            raise ValueError("no such detector, or no count to resume from")
        return detector, safe

    def _connect(self, detector: str, safe: int, writer: asyncio.StreamWriter) -> None:
        """The newest connection of a detector wins, as after a restart whose old socket lingers."""
        if old := self._writers.pop(detector, None):
            old.close()
        port = self.ports[detector]
        if not port.resume(safe):
            log.info("radio.renumbered")
        writer.write(btsnoop.header())
        self._writers[detector] = writer
        port.scan(self._now_us(), is_on=True)

    def _obey(self, port: Port, message: dict[str, Any]) -> None:
        if isinstance(message.get("ack"), int) and not port.acknowledge(message["ack"]):
            raise ValueError("an acknowledgement of packets that were never sent")
        if isinstance(message.get("scan"), bool):
            port.scan(self._now_us(), is_on=message["scan"])


def _message(line: bytes) -> dict[str, Any]:
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a JSON object")  # noqa: TRY004 - one kind of bad line
    return message
