"""Hands out reports and ledgers to whoever asks, computed at most now and then: everybody gets the same octets."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final

from server.reports import ledgers
from server.reports.annual import Asked, annual
from server.reports.entries import MARKS, parse
from server.reports.folder import head_of
from server.reports.ledgers import Ledger
from server.reports.rendering import Format, rendered
from server.reports.rules import ReportRules, fiscal_year
from server.reports.tables import Document, Head
from server.store import report
from server.store.connection import Connection
from server.store.pool import Pool

_KEPT: Final = 16
_FRESH_S: Final = 2.0
_SHARE: Final = 20
"""A document is kept for so many times the time that it took: no stranger makes this server compute all day."""


@dataclass(frozen=True, slots=True)
class Sheet:
    """A rendered document.

    Attributes:
        name: of the file.
        octets: of it.
        etag: of the octets, quoted.
    """

    name: str
    octets: bytes
    etag: str


@dataclass(slots=True)
class _Kept:
    document: Document
    until_s: float
    sheets: dict[Format, Sheet] = field(default_factory=dict)


class ReportDesk:
    """Makes what is asked for.

    Args:
        pool: of a role that may read the log and the registry's devices.
        city: id.
        rules: of the city.
        clock_s: monotonic seconds.
    """

    def __init__(
        self, pool: Pool, city: str, rules: ReportRules, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._pool = pool
        self._city = city
        self._rules = rules
        self._clock_s = clock_s
        self._lock = asyncio.Lock()
        self._kept: OrderedDict[str, _Kept] = OrderedDict()

    async def years(self) -> list[int]:
        """Return the fiscal years that the log has entries of, newest first."""
        async with self._pool.connection() as conn:
            ends = [parse(body).at_ms for body in await report.ends(conn)]
        return sorted(range(fiscal_year(min(ends)), fiscal_year(max(ends)) + 1), reverse=True) if ends else []

    async def annual(self, year: int, form: Format) -> Sheet:
        """Return the report of a fiscal year.

        Raises:
            ReportError: no such year, or the log cannot be read.
        """

        async def make(conn: Connection) -> Document:
            head, bodies = await log_of(conn)
            return await asyncio.to_thread(annual, bodies, Asked(year, self._rules, head))

        return await self._sheet(f"annual-{year}", form, make)

    async def ledger(self, ledger: Ledger, form: Format) -> Sheet:
        """Return a ledger for the public; that of provision with small rows merged.

        Raises:
            ReportError: the log cannot be read.
        """

        async def make(conn: Connection) -> Document:
            return await public_ledger(conn, ledger, self._city, self._rules)

        return await self._sheet(f"ledger-{ledger.value}", form, make)

    async def _sheet(self, name: str, form: Format, make: Callable[[Connection], Awaitable[Document]]) -> Sheet:
        """Return a document in a form; one at a time is computed, the others wait for it."""
        async with self._lock:
            kept = self._kept.get(name)
            if kept is None or self._clock_s() >= kept.until_s:
                begun_s = self._clock_s()
                async with self._pool.connection() as conn:
                    document = await make(conn)
                took_s = self._clock_s() - begun_s
                kept = _Kept(document, self._clock_s() + max(_FRESH_S, _SHARE * took_s))
                self._kept[name] = kept
            self._kept.move_to_end(name)
            while len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
            if form not in kept.sheets:
                octets = await asyncio.to_thread(rendered, kept.document, form)
                kept.sheets[form] = Sheet(f"{kept.document.id}.{form.value}", octets, f'"{sha256(octets).hexdigest()}"')
            return kept.sheets[form]


async def log_of(conn: Connection, marks: tuple[bytes, ...] = MARKS) -> tuple[Head | None, list[bytes]]:
    """Return the head of the log and the entries before it that a report counts; None and nothing before the first.

    Raises:
        ReportError: the head cannot be read.
    """
    found = await report.head_note(conn)
    if found is None:
        return None, []
    size, note = found
    return head_of(note), await report.bodies(conn, size, marks)


async def public_ledger(conn: Connection, ledger: Ledger, city: str, rules: ReportRules) -> Document:
    """Return a ledger as everybody may see it.

    Raises:
        ReportError: the log cannot be read.
    """
    match ledger:
        case Ledger.CAMERAS:
            return ledgers.cameras(await report.cameras(conn, city), rules)
        case Ledger.EQUIPMENT:
            return ledgers.equipment(await report.devices(conn, city), rules)
        case Ledger.PROVISION:
            head, bodies = await log_of(conn)
            return await asyncio.to_thread(ledgers.provision, bodies, rules, head)
