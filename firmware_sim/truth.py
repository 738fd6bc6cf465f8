"""What really left the radio, per detector and tag: the figure that nothing downstream may fall short of or exceed."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from firmware_sim.tag import Tag


@dataclass(slots=True)
class Truth:
    """Counts of packets that were given to detectors.

    Attributes:
        tags: in the order of emitters; emitters beyond them are strangers.
        packets: id-carrying packets by (detector, emitter).
        telemetry: telemetry packets by (detector, emitter).
        strangers: packets of no tag of ours, by detector.
        missed: packets that a full controller dropped, by detector.
    """

    tags: Sequence[Tag]
    packets: Counter[tuple[str, int]] = field(default_factory=Counter)
    telemetry: Counter[tuple[str, int]] = field(default_factory=Counter)
    strangers: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    first_at_us: int | None = None
    last_at_us: int | None = None

    def note(self, detector: str, emitter: int, at_us: int, *, is_telemetry: bool) -> None:
        """Count one packet."""
        if emitter >= len(self.tags):
            self.strangers[detector] += 1
        elif is_telemetry:
            self.telemetry[detector, emitter] += 1
        else:
            self.packets[detector, emitter] += 1
        self.first_at_us = at_us if self.first_at_us is None else self.first_at_us
        self.last_at_us = at_us

    def as_json(self) -> dict[str, Any]:
        """What `save` writes: totals, and by detector the packets of each tag."""
        detectors: dict[str, dict[str, Any]] = {}
        for (detector, emitter), count in sorted(self.packets.items()):
            _of(detectors, detector)["tags"][self.tags[emitter].id] = count
        for (detector, emitter), count in sorted(self.telemetry.items()):
            _of(detectors, detector)["telemetry"][self.tags[emitter].id] = count
        for detector, count in sorted(self.strangers.items()):
            _of(detectors, detector)["strangers"] = count
        for detector, count in sorted(self.missed.items()):
            _of(detectors, detector)["missed"] = count
        return {
            "packets": self.packets.total(),
            "telemetry": self.telemetry.total(),
            "strangers": self.strangers.total(),
            "missed": self.missed.total(),
            "first_at_us": self.first_at_us,
            "last_at_us": self.last_at_us,
            "detectors": detectors,
        }

    def save(self, path: Path, **more: object) -> None:
        """Write it as JSON, whole or not at all.

        Args:
            path: the file.
            more: further totals, such as `waiting`: packets that left the radio and were never acknowledged.
        """
        fresh = path.with_suffix(path.suffix + ".new")
        fresh.write_text(json.dumps(self.as_json() | more, indent=1) + "\n", "utf-8")
        fresh.replace(path)


def _of(detectors: dict[str, dict[str, Any]], detector: str) -> dict[str, Any]:
    return detectors.setdefault(detector, {"tags": {}, "telemetry": {}, "strangers": 0, "missed": 0})
