"""The demonstration's sum: what the detectors sent against what the store holds. `lost` has to be 0."""

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from server.store.totals import Totals
from wire.outbox import Outbox

OUTBOX_NAMES: Final = ("outbox.db", "outbox.sqlite")
"""Of a gateway, and of a phone."""
_MAX_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sent:
    """Sums over the outboxes of all detectors, rows since they were made.

    Attributes:
        rows: put into an outbox: what was heard, merged and to be delivered.
        refused: receipted as refused.
        pending: neither accepted nor refused yet.
    """

    rows: int
    refused: int
    pending: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What the last line of a demonstration says."""

    sent: Sent
    totals: Totals

    @property
    def lost(self) -> int:
        """Rows that were sent and are neither stored nor known to be nobody's, too old or refused."""
        known = self.totals.stored + self.totals.unknown + self.totals.expired
        return self.sent.rows - known - self.sent.refused

    def as_json(self) -> dict[str, int]:
        """Return the counts by the names that scripts rely on."""
        return {
            "sent": self.sent.rows,
            "received": self.totals.received,
            "stored": self.totals.stored,
            "lost": self.lost,
            "events": self.totals.events,
            "notifications": self.totals.notices_sent,
            "unknown": self.totals.unknown,
            "expired": self.totals.expired,
            "refused": self.sent.refused,
            "pending": self.sent.pending,
            "footage_mb": self.totals.footage_mb,
        }


def read_outboxes(config_dirs: Iterable[Path]) -> Sent:
    """Return the sums over the outboxes of all detectors configured in `config_dirs`; they may be in use."""
    rows = refused = pending = 0
    for folder in config_dirs:
        for file in sorted(folder.glob("*.toml")):
            state_dir = Path(tomllib.loads(file.read_text("utf-8"))["state_dir"])
            for box in (state_dir / name for name in OUTBOX_NAMES):
                if box.exists():
                    with Outbox.open(box, max_bytes=_MAX_BYTES) as outbox:
                        totals = outbox.totals()
                    rows += totals.put_rows
                    refused += totals.refused_rows
                    pending += totals.pending_rows
    return Sent(rows, refused, pending)
