"""Counters of one gateway, its heartbeat and, for whoever wants to scrape them, Prometheus text."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version

from edge.condition import SAMPLE_S, Gauges
from edge.notify import Liveness
from edge.pulse import Pulses
from edge.sight import Sight
from wire.errors import OutboxError
from wire.messages import Heartbeat
from wire.outbox import Outbox

PREFIX = "mimamori_edge_"
WELL = frozenset({
    "batches_sent", "reports_sent", "orders_taken", "orders_repeated", "orders_done", "certificates_renewed",
})  # fmt: skip
"""Counts of what went as it should; all others are errors."""


@dataclass(slots=True)
class Health:
    """What one agent counts.

    Attributes:
        counts: by name; every name ends in what is counted, and becomes `mimamori_edge_<name>_total`.
        is_connected: to the broker.
        pulses: of the parts; one that is silent for too long hangs.
        gauges: what the condition is read from; whoever runs a camera or obeys orders plugs itself in there.
        camera_counts: what the camera counts, by names as above; not all of it is an error.
    """

    detector: str
    sight: Sight
    outbox: Outbox
    counts: Counter[str] = field(default_factory=Counter)
    is_connected: bool = False
    started_s: float = field(default_factory=time.monotonic)
    pulses: Pulses = field(default_factory=Pulses)
    gauges: Gauges = field(default_factory=Gauges)
    camera_counts: Counter[str] = field(default_factory=Counter)

    async def run(self) -> None:
        """Count what is heard in a minute, for ever."""
        while True:
            self.gauges.adverts.sample(self.sight.advertisements, time.monotonic())
            await asyncio.sleep(SAMPLE_S)

    def heartbeat(self, state: str = "online") -> Heartbeat:
        """Return what the city is told, at wall time."""
        totals = self.outbox.totals()
        dropped = self.sight.dropped
        malformed = dropped["malformed"]
        return Heartbeat(
            detector=self.detector,
            epoch=self.outbox.epoch,
            sent_at_ms=time.time_ns() // 1_000_000,
            uptime_s=int(time.monotonic() - self.started_s),
            queued_batches=totals.pending_batches,
            oldest_queued_ms=totals.oldest_ms,
            heard=self.sight.advertisements,
            dropped=dropped.total() - malformed,
            errors=malformed + sum(count for name, count in self.counts.items() if name not in WELL),
            software=software(),
            state=state,
            rows_total=totals.put_rows,
            condition=self.gauges.read(self.sight.advertisements, totals),
        )

    def lines(self) -> list[str]:
        """Return the samples of this agent in Prometheus' text format."""
        label = f'detector="{self.detector}"'
        totals = self.outbox.totals()
        values: dict[str, int] = {
            "advertisements_total": self.sight.advertisements,
            "accepted_total": self.sight.accepted,
            "rows_put_total": totals.put_rows,
            "rows_accepted_total": totals.accepted_rows,
            "rows_refused_total": totals.refused_rows,
            "rows_thinned_total": totals.thinned_rows,
            "batches_thinned_total": totals.thinned_batches,
            "ids_replaced_total": self.sight.merge.replaced,
            "pending_batches": totals.pending_batches,
            "pending_rows": totals.pending_rows,
            "connected": int(self.is_connected),
            **{f"{name}_total": count for name, count in sorted((self.counts + self.camera_counts).items())},
        }
        samples = [f"{PREFIX}{name}{{{label}}} {value}" for name, value in values.items()]
        samples += [
            f'{PREFIX}dropped_total{{{label},reason="{reason}"}} {count}'
            for reason, count in sorted(self.sight.dropped.items())
        ]
        return samples


@dataclass(slots=True)
class Vitals:
    """How the agents of one process are.

    Attributes:
        running: by detector; one that failed and waits for its next start is not among them.
        failures: how often each had to be started anew.
    """

    running: dict[str, Health] = field(default_factory=dict)
    failures: Counter[str] = field(default_factory=Counter)

    def liveness(self) -> Liveness:
        """Return what the service manager is told; a gateway that failed is tried again here, no new process helps."""
        running, all_of_them = len(self.running), len(self.failures)
        connected = sum(health.is_connected for health in self.running.values())
        status = f"動作 {running}/{all_of_them}、接続 {connected}。running {running}, connected {connected}"
        hung = tuple(f"{name}:{part}" for name, health in self.running.items() for part in health.pulses.hung())
        has_begun = running > 0 or self.failures.total() > 0
        return Liveness(has_begun, status + (f"; 停止 hung: {', '.join(hung)}" if hung else ""), hung)

    def text(self) -> str:
        """Return all samples in Prometheus' text format."""
        lines = [line for health in self.running.values() for line in _lines(health)]
        for detector, count in self.failures.items():
            lines.append(f'{PREFIX}agent_failures_total{{detector="{detector}"}} {count}')
            lines.append(f'{PREFIX}agent_up{{detector="{detector}"}} {int(detector in self.running)}')
        return "\n".join(lines) + "\n"


def _lines(health: Health) -> list[str]:
    try:
        return health.lines()
    except OutboxError:  # a failing disk takes its own gateway's samples away, nobody else's
        return []


def software() -> str:
    """Return name and version of this program."""
    try:
        return f"mimamori-edge {version('mimamori')}"
    except PackageNotFoundError:
        return "mimamori-edge"


async def serve_metrics(port: int, vitals: Vitals) -> asyncio.Server:
    """Return a server on the loopback address that answers every request with all agents' samples."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(5):
                await reader.readuntil(b"\r\n\r\n")
            body = vitals.text().encode()
            head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {len(body)}\r\n"
            writer.write(head.encode() + b"Connection: close\r\n\r\n" + body)
            await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # whoever asked went away or never asked
        finally:
            writer.close()

    return await asyncio.start_server(answer, "127.0.0.1", port)
