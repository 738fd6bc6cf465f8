"""Where advertisements come from: BlueZ on a gateway, the radio socket in the simulated town."""

from collections import Counter
from typing import Protocol

from edge.air import AirScan
from edge.config import EdgeConfig
from edge.sight import Sight


class Source(Protocol):
    """A radio.

    Attributes:
        position: packets taken over so far; stays 0 where the radio cannot send anything twice.
    """

    position: int

    async def run(self) -> None:
        """Feed the pipeline for ever, through every failure of the radio."""

    def release(self, position: int) -> None:
        """Let the radio forget every packet up to `position`: what they said is safe."""

    async def finish(self) -> None:
        """Stop listening, but take over what the radio has already delivered."""


def open_source(config: EdgeConfig, sight: Sight, counts: Counter[str], *, position: int) -> Source:
    """Return the source that the configuration names; `position` is where a radio that can repeat goes on."""
    if config.scan.socket_path is not None:
        return AirScan(config.scan.socket_path, config.detector, sight, counts=counts, position=position)
    # bleak and D-Bus cost 30 MB; a process that listens to the simulated radio does without.
    from edge.bluez import BluezScan  # noqa: PLC0415 -- see above

    return BluezScan(sight, counts, adapter=config.scan.adapter, clock=config.clock, formats=config.formats)
