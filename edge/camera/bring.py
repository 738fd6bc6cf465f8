"""Brings a sealed export to the city in signed parts, and goes on where it was when the way was cut."""

import asyncio
import hashlib
import ipaddress
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from edge.errors import BringError, BringRefusedError
from wire.retry import wait_s
from wire.upload import MAX_PARTS, PART_OCTETS, Part, Sender, parts_of

log = logging.getLogger(__name__)

TRIES: Final = 8
"""In a row and for one part; then the caller is told, who may come again later."""
TIMEOUT: Final = httpx.Timeout(30.0, read=180.0)
"""With the last part the server computes the SHA-256 of the whole."""
_LONGEST_PAUSE_S: Final = 120.0
_AGAIN: Final = frozenset({408, 425, 429, 500, 502, 503, 504})
_WHOLE_AGAIN: Final = 2


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who brings exports.

    Attributes:
        sender: the gateway, with the key that the city has registered.
        client: with `TIMEOUT`, and the authorities by which the city's server is known.
        now_ms: the wall clock.
        sleep: between tries, in seconds.
    """

    sender: Sender
    client: httpx.AsyncClient
    now_ms: Callable[[], int]
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep

    async def bring(self, export: str, path: Path, url: str) -> None:
        """Return when the city has the whole file and has found its SHA-256 right.

        Args:
            export: id.
            path: of the sealed file.
            url: `upload_url` of the order.

        Raises:
            BringRefusedError: the city does not take it. Trying again does not help.
            BringError: the city cannot be reached. May be tried again: what it has, it has.
        """
        _check_url(url)
        octets, sha256 = await asyncio.to_thread(_measured, path)
        count = parts_of(octets)
        if not 0 < count <= MAX_PARTS:
            raise BringRefusedError(f"a file of {octets} octets cannot be brought")
        for _ in range(1 + _WHOLE_AGAIN):
            state = await self._ask(export, url)
            for number in _missing(state, sha256, count):
                data = await asyncio.to_thread(_read, path, number)
                state = await self._put(url, Part(export, number, count, sha256, data))
            if state["state"] == "whole" and state["sha256"] == sha256.hex():
                log.info("export.brought", extra={"bytes": octets, "count": count})
                return
            log.warning("export.incomplete", extra={"state": str(state["state"])})
        raise BringRefusedError("the city has all parts and says that the whole is another one")

    async def _ask(self, export: str, url: str) -> dict[str, Any]:
        def request() -> httpx.Request:
            signed = self.sender.ask(export, at_ms=self.now_ms())
            return self.client.build_request("GET", url, headers={"authorization": signed})

        return await self._sent(request)

    async def _put(self, url: str, part: Part) -> dict[str, Any]:
        def request() -> httpx.Request:
            body = self.sender.sign(part, at_ms=self.now_ms())
            headers = {"content-type": "application/cose"}
            return self.client.build_request("PUT", f"{url}/{part.part}", content=body, headers=headers)

        return await self._sent(request)

    async def _sent(self, request: Callable[[], httpx.Request]) -> dict[str, Any]:
        """Return the city's answer; each try is signed anew."""
        reason, asked_s = "", 0.0
        for attempt in range(TRIES):
            if attempt:
                await self.sleep(max(asked_s, wait_s(attempt + 1, _LONGEST_PAUSE_S)))
            try:
                answer = await self.client.send(request())
            except httpx.TransportError as error:
                reason, asked_s = type(error).__name__, 0.0
                continue
            if answer.status_code not in _AGAIN:
                return _progress(answer)
            reason, asked_s = f"status {answer.status_code}", _retry_after_s(answer)
        raise BringError(f"the city does not take the export now: {reason}")


def _progress(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code != httpx.codes.OK:
        raise BringRefusedError(f"the city refuses the export: status {answer.status_code}")
    try:
        told = answer.json()
        have = [(int(first), int(last)) for first, last in told["have"]]
        return {"state": str(told["state"]), "sha256": str(told["sha256"]), "have": have}
    except (ValueError, KeyError, TypeError) as error:
        raise BringRefusedError("the city answers with something else") from error


def _missing(state: dict[str, Any], sha256: bytes, count: int) -> Iterable[int]:
    """Return the parts to bring; those of another try, or of one that was refused, do not count."""
    is_same = state["sha256"] == sha256.hex() and state["state"] in {"arriving", "whole"}
    have: set[int] = set()
    for first, last in state["have"] if is_same else ():
        have.update(range(max(first, 0), min(last + 1, count)))
    missing = [number for number in range(count) if number not in have]
    # With all parts there and no word that it is whole, the last one again has the whole looked at again.
    return missing or ([] if state["state"] == "whole" else [count - 1])


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    if parts.scheme == "https" and parts.hostname:
        return
    if parts.scheme == "http" and _is_loopback(parts.hostname or ""):
        return
    raise BringRefusedError("exports are brought by https")


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _retry_after_s(answer: httpx.Response) -> float:
    told = answer.headers.get("retry-after", "")
    return min(float(told), _LONGEST_PAUSE_S) if told.isdecimal() else 0.0


def _measured(path: Path) -> tuple[int, bytes]:
    try:
        with path.open("rb") as file:
            return os.fstat(file.fileno()).st_size, hashlib.file_digest(file, "sha256").digest()
    except OSError as error:
        raise BringRefusedError("the sealed file is gone: export it again") from error


def _read(path: Path, number: int) -> bytes:
    with path.open("rb") as file:
        file.seek(number * PART_OCTETS)
        return file.read(PART_OCTETS)
