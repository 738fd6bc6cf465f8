"""What the ledger counts, for Prometheus, on a loopback port of its own."""

from prometheus_client import CollectorRegistry, Counter, Gauge

from server.ledger.panel import Said


class LedgerMetrics:
    """The counters of one ledger."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.sequenced = Counter("audit_entries_sequenced", "Entries given a place.", registry=self.registry)
        self.errors = Counter("ledger_database_errors", "Times the database was away.", registry=self.registry)
        self.size = Gauge("audit_log_size", "Entries in the tree.", registry=self.registry)
        self.published = Gauge("audit_log_published_size", "Entries published.", registry=self.registry)
        self.witnessed = Gauge("audit_log_witnessed_size", "Entries a quorum cosigned.", registry=self.registry)
        self.signs = Gauge("audit_log_signs", "1: it signs; 0: it refuses or waits.", registry=self.registry)
        self.witnesses = Gauge("audit_witnesses", "Witnesses by last answer.", ["state"], registry=self.registry)
        for said in Said:
            self.witnesses.labels(said.value).set(0)
