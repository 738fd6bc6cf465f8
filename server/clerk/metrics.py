"""What the clerk counts, for Prometheus: on a loopback port of its own; duties are the only labels, never a case."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class ClerkMetrics:
    """The counters of one clerk."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.done = Counter("mimamori_clerk_done", "duties done", ["duty"], registry=self.registry)
        self.stuck = Counter("mimamori_clerk_stuck", "cases that could not be looked after", registry=self.registry)
        self.cases = Gauge("mimamori_clerk_cases", "cases that are not over", registry=self.registry)
        self.reminders = Gauge("mimamori_clerk_reminders", "reminders that are open", registry=self.registry)
        self.sweeps = Counter("mimamori_clerk_sweeps", "looks at all cases", registry=self.registry)
        self.database_errors = Counter(
            "mimamori_clerk_database_errors", "times the database was away", registry=self.registry
        )
        self.retention_runs = Counter(
            "mimamori_clerk_retention_runs", "runs of the schedule of what is kept", registry=self.registry
        )
        self.retention_failures = Counter(
            "mimamori_clerk_retention_failures", "runs that deleted nothing", registry=self.registry
        )
