"""gpsd.sock: the gpsd JSON protocol for all moving detectors, the device being the detector's id.

Source: gpsd_json(5) and gpsd's client HOWTO: VERSION on connect; DEVICES and WATCH in answer to
`?WATCH={...};`; then TPV.
"""

import asyncio
import contextlib
import datetime as dt
import json
import logging
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from firmware_sim.gps import GpsFix

log = logging.getLogger(__name__)

_MAX_BACKLOG_BYTES: Final = 1 << 16
_VERSION: Final = {"class": "VERSION", "release": "3.25", "rev": "mimamori-sim", "proto_major": 3, "proto_minor": 15}


class GpsdSocket:
    """Serves positions to whoever watches.

    Args:
        devices: ids of the moving detectors, in the order of the fixes given to `publish`.
    """

    def __init__(self, devices: Iterable[str]) -> None:
        self.devices = tuple(devices)
        self._watching: dict[asyncio.StreamWriter, frozenset[str]] = {}

    @property
    def has_watchers(self) -> bool:
        """Whether anybody wants positions."""
        return bool(self._watching)

    @contextlib.asynccontextmanager
    async def open(self, path: Path) -> Any:  # noqa: ANN401 - an async context without a value
        """Listen on `path` inside the block; an old socket file goes away first."""
        path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, on a local disk
        server = await asyncio.start_unix_server(self._serve, path, backlog=1024)
        try:
            yield
        finally:
            server.close()
            for writer in list(self._watching):
                writer.close()
            path.unlink(missing_ok=True)  # noqa: ASYNC240 - once, on a local disk

    def publish(self, at_ms: int, fixes: list[GpsFix]) -> None:
        """Send this second's fixes to those who watch; who does not read gets the next one instead."""
        at = dt.datetime.fromtimestamp(at_ms / 1000, dt.UTC)
        at_text = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        wanted = frozenset().union(*self._watching.values())
        lines = {
            device: _line(fix.tpv(device, at_text))
            for device, fix in zip(self.devices, fixes, strict=True)
            if device in wanted
        }
        for writer, devices in self._watching.items():
            if writer.transport.get_write_buffer_size() < _MAX_BACKLOG_BYTES and not writer.is_closing():
                writer.write(b"".join(lines[device] for device in devices if device in lines))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_line(_VERSION))
        try:
            while command := await reader.readuntil(b";"):
                self._obey(command.strip().decode(), writer)
        except (ValueError, asyncio.LimitOverrunError):
            log.warning("gpsd.refused")
            writer.write(_line({"class": "ERROR", "message": "Unrecognized request"}))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._watching.pop(writer, None)
            writer.close()

    def _obey(self, command: str, writer: asyncio.StreamWriter) -> None:
        name, _, argument = command.rstrip(";").partition("=")
        if name == "?VERSION":
            writer.write(_line(_VERSION))
        elif name == "?DEVICES":
            writer.write(_line(self._devices(frozenset(self.devices))))
        elif name == "?WATCH":
            watch = json.loads(argument) if argument else {}
            if not isinstance(watch, dict):
                raise ValueError("not a JSON object")
            self._watch(watch, writer)
        else:
            raise ValueError("unknown command")

    def _watch(self, watch: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        device = watch.get("device")
        devices = frozenset(self.devices) & ({str(device)} if device else frozenset(self.devices))
        if watch.get("enable", True):
            self._watching[writer] = devices
        else:
            self._watching.pop(writer, None)
        writer.write(_line(self._devices(devices)))
        writer.write(_line({"class": "WATCH", "enable": writer in self._watching, "json": True} | watch))

    def _devices(self, devices: frozenset[str]) -> dict[str, Any]:
        known = [{"class": "DEVICE", "path": path, "driver": "mimamori-sim"} for path in sorted(devices)]
        return {"class": "DEVICES", "devices": known}


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode() + b"\r\n"
