"""Carries out orders to export: from the ring to the sealed file, and from there to the city."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from edge.camera.bring import Bearer
from edge.camera.export import Exporter, Made
from edge.camera.segment import Segment
from wire.orders import Export


@dataclass(frozen=True, slots=True)
class Exports:
    """The handler of the command `Export`.

    Attributes:
        exporter: returns who makes exports, with the certificate that is in force now.
        segments: returns what the ring holds of a window, from and to in Unix milliseconds.
        bearer: returns who brings them, with the key that the city has registered now.
    """

    exporter: Callable[[], Exporter]
    segments: Callable[[int, int], Sequence[Segment]]
    bearer: Callable[[], Bearer]

    async def carry_out(self, order: Export) -> dict[str, Any]:
        """Return what the log says of an export that is made, and brought where the order says so. May come twice.

        Raises:
            ExportError: it cannot be made as it is ordered.
            RingError: the ring cannot be read.
            BringError: it is made, but the city cannot be reached; the same order again only brings it.
            BringRefusedError: the city does not take it.
        """
        exporter = self.exporter()
        made = await asyncio.to_thread(self._make, exporter, order)
        if order.upload_url and not made.is_brought:
            await self.bearer().bring(order.export, made.path, order.upload_url)
            await asyncio.to_thread(exporter.set_brought, order.export)
        return {
            "export": order.export,
            "case": order.case,
            "from_ms": order.from_ms,
            "to_ms": order.to_ms,
            "sha256": made.sha256,
            "octets": made.octets,
            "clips": made.clips,
            "gaps": made.gaps,
            "is_brought": bool(order.upload_url),
        }

    def _make(self, exporter: Exporter, order: Export) -> Made:
        return exporter.make(order, self.segments(order.from_ms, order.to_ms))
