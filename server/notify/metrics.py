"""What notify counts, for Prometheus: on a loopback port of its own, with channels and reasons as the only labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

LATENCY_BUCKETS_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 86_400.0)


class NotifyMetrics:
    """The counters of one notify process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sent = self._counter("notices_sent", "Notices that the other side took.", "channel")
        self.repeated = self._counter(
            "notices_repeated", "Attempts after a sender that vanished while sending.", "channel"
        )
        self.retried = self._counter("notices_retried", "Attempts that will be made again.", "channel", "reason")
        self.failed = self._counter("notices_failed", "Notices given up.", "channel", "reason")
        self.gone = self._counter("push_subscriptions_gone", "Subscriptions that their service no longer knows.")
        self.database_errors = self._counter("notify_database_errors", "Times the database was away.")
        self.latency_s = Histogram(
            "notice_latency_seconds",
            "From learning of an event to its notice being taken, wall time.",
            ["channel"],
            buckets=LATENCY_BUCKETS_S,
            registry=self.registry,
        )
        self.in_flight = Gauge("notices_in_flight", "Being sent now.", ["channel"], registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)
