"""Footage of a camera that the configuration no longer names: deleted when its time is over, as if it still did."""

import asyncio
import logging
from collections import Counter
from dataclasses import dataclass
from typing import Final, Self

from edge.camera.anchor import Wall
from edge.camera.ring import Journal, Ring
from edge.camera.rules import Rules
from edge.config import EdgeConfig
from edge.errors import EdgeError
from wire.errors import WireError
from wire.keys import CityBundle

log = logging.getLogger(__name__)

SWEEP_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Leftover:
    """A ring to which nothing is added any more.

    Attributes:
        counts: as those of a camera.
    """

    ring: Ring
    rules: Rules
    counts: Counter[str]

    @classmethod
    def open(cls, config: EdgeConfig, city: CityBundle, *, journal: Journal, clock: Wall) -> Self | None:
        """Return what is left of a camera in a gateway's state directory, None where nothing is.

        Args:
            config: of the gateway.
            city: signs how long footage is kept.
            journal: writes an entry into the gateway's log.
            clock: as a camera's.
        """
        folder = config.state_dir / "camera"
        if not folder.is_dir() or city.order_key is None:
            return None
        counts: Counter[str] = Counter()
        return cls(Ring(folder, clock, journal, counts), Rules(folder, city, config.detector), counts)

    async def run(self) -> None:
        """Delete what is over its time, for ever."""
        try:
            while True:
                await asyncio.to_thread(self.sweep)
                await asyncio.sleep(SWEEP_S)
        finally:
            self.ring.close()

    def sweep(self) -> None:
        """Delete what is over its time now; a disk that fails is asked again at the next sweep."""
        try:
            if not self.ring.is_open:
                self.rules.load()
                self.ring.open()
            self.ring.sweep(self.rules.settings)
        except (EdgeError, WireError, OSError) as error:
            self.counts["camera_sweep_failures"] += 1
            log.error("ring.failed", extra={"reason": type(error).__name__})  # noqa: TRY400 -- the kind of error says it all
