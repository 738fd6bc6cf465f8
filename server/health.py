"""What runs of a server and what it holds, for `mimamori status`."""

import contextlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from server import attention
from server.attention import Call, Limits, Moment
from server.config import DEFAULT_FILE, ServerConfig
from server.demo.parts import server_parts
from server.embedded.postgres import answers
from server.store.health import read_standings
from server.store.totals import Totals, detectors_by_state
from server.store.totals import read as read_totals
from wire.clock import SYSTEM


@dataclass(frozen=True, slots=True)
class Health:
    """One look.

    Attributes:
        parts: whether each program answers.
        totals: what the store holds; None without a database.
        detectors: how many said last that they are online or offline.
        calls: gateways that need somebody; a server with such gateways is well itself.
    """

    parts: dict[str, bool]
    totals: Totals | None
    detectors: dict[str, int]
    calls: Sequence[Call] = ()

    @property
    def is_well(self) -> bool:
        """Whether every part answers and the store can be read."""
        return all(self.parts.values()) and self.totals is not None

    def as_json(self) -> dict[str, object]:
        """Return the report as plain values."""
        totals = None if self.totals is None else asdict(self.totals)
        return {
            "well": self.is_well,
            "parts": self.parts,
            "totals": totals,
            "detectors": self.detectors,
            "attention": [asdict(call) for call in self.calls],
        }

    def as_text(self) -> str:
        """Return the report as lines."""
        lines = [f"{name:<12} {'動作中 running' if up else '停止 down'}" for name, up in self.parts.items()]
        if self.totals is not None:
            lines += [f"{name:<16} {count:>12,}" for name, count in asdict(self.totals).items()]
        lines += [f"detectors {state:<8} {count:>10,}" for state, count in self.detectors.items()]
        if self.calls:
            gateways = len({call.detector for call in self.calls})
            lines += ["", f"対応が必要なゲートウェイ {gateways}台。Gateways that need somebody"]
        lines += [f"  {call.detector:<12} {call.label_ja}: {call.ja}。{call.en}" for call in self.calls]
        return "\n".join(lines)


def look(settings: ServerConfig) -> Health:
    """Return what answers now."""
    parts = {titled.part.name: titled.part.ready() for titled in server_parts(settings, DEFAULT_FILE)}
    parts.setdefault("database", answers(settings.dsn()))
    totals, detectors, calls = None, {}, []
    if parts["database"]:
        with contextlib.suppress(Exception):  # a database without our schema: said by `totals` being absent
            totals, detectors = read_totals(settings.keeper_dsn()), detectors_by_state(settings.dsn())
            calls = _calls(settings)
    return Health(parts, totals, detectors, calls)


def _calls(settings: ServerConfig) -> list[Call]:
    now = Moment(settings.clock.now_ms(), SYSTEM.now_ms())
    return attention.calls(read_standings(settings.dsn()), now, Limits().at_speed(settings.clock.speed))
