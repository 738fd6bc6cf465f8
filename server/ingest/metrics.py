"""What ingest counts, for Prometheus on the loopback. No label ever names a tag, a ward or a person."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

REASONS: Final = (
    "topic",
    "too-large",
    "malformed",
    "not-enrolled",
    "wrong-key",
    "wrong-city",
    "wrong-detector",
    "wrong-recipient",
    "wrong-content",
    "unknown-version",
    "bad-batch",
    "revoked",
    "bad-heartbeat",
    "stale",
)
_PREFIX: Final = "mimamori_ingest"
_LATENCY_S: Final = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 3600)


class Metrics:
    """All counters of one ingest process, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.messages = self._counter("messages", "Messages from the broker.", "leaf")
        self.batches = self._counter("batches", "Batches, by what became of them.", "result")
        self.refused = self._counter("refused_messages", "Messages that could not be used, by reason.", "reason")
        self.sightings = self._counter("sightings", "Rows of new batches, by what became of them.", "result")
        self.rows = self._counter("rows", "Rows written: one a tag, detector and ten seconds of a step.")
        self.corrected = self._counter("clock_corrected_batches", "Batches of detectors whose clock is wrong.")
        self.fixes = self._counter("fixes", "Places found, by what became of them.", "result")
        self.events = self._counter("events", "Arrivals, departures and SOS.", "kind")
        self.notices = self._counter("notices", "Notices written for guardians.")
        self.receipts_unsent = self._counter("receipts_unsent", "Receipts that the broker did not take.")
        self.dropped = self._counter("dropped_messages", "Messages let go because too many waited.")
        self.retries = self._counter("database_retries", "Transactions that had to be tried again.")
        self.partitions_dropped = self._counter("partitions_dropped", "Days of sightings that retention removed.")
        self.sealed_hours = self._counter("sealed_hours", "Hours of wards moved into the sealed history.")
        self.broker_up = self._gauge("broker_up", "1 while connected to the broker.")
        self.database_up = self._gauge("database_up", "1 while the database takes transactions.")
        self.waiting_octets = self._gauge("waiting_octets", "Payload waiting in memory.")
        self.latency = self._histogram("publish_to_commit_seconds", "From sealing to commit, wall time.")
        self.commit = self._histogram("commit_seconds", "One transaction of ingest.")
        for reason in REASONS:
            self.refused.labels(reason)
        for result in ("stored", "unknown", "suspicious", "expired"):
            self.sightings.labels(result)
        for result in ("accepted", "duplicate", "refused", "failed"):
            self.batches.labels(result)
        for kind in ("arrived", "departed", "sos"):
            self.events.labels(kind)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"{_PREFIX}_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str) -> Gauge:
        return Gauge(f"{_PREFIX}_{name}", text, registry=self.registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"{_PREFIX}_{name}", text, registry=self.registry, buckets=_LATENCY_S)
