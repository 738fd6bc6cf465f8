"""What the gate counts, for Prometheus: on a loopback port of its own; reasons are the only labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_ANSWER_BUCKETS_S = (0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class GateMetrics:
    """The counters of one gate."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Counter("mimamori_gate_answers", "connections asked about", ["outcome"], registry=self.registry)
        self.answer_s = Histogram(
            "mimamori_gate_answer_seconds", "from question to answer", buckets=_ANSWER_BUCKETS_S, registry=self.registry
        )
        self.cut_off = Counter(
            "mimamori_gate_cut_off", "connections ended by the gate", ["reason"], registry=self.registry
        )
        self.sweep_s = Histogram("mimamori_gate_sweep_seconds", "one look at all connections", registry=self.registry)
        self.connections = Gauge("mimamori_gate_connections", "connections at the last look", registry=self.registry)
        self.broker = Gauge("mimamori_gate_broker_up", "1 while signed in to the broker", registry=self.registry)
        self.database_errors = Counter(
            "mimamori_gate_database_errors", "times the database was away", registry=self.registry
        )
        self.log_missing = Gauge(
            "mimamori_gate_log_missing", "1 while the broker's log cannot be read", registry=self.registry
        )
