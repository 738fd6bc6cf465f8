"""What is counted of orders and reports, for Prometheus; reasons and states are the only labels."""

from prometheus_client import CollectorRegistry, Counter, Gauge


class OrderMetrics:
    """The counters of one sender of orders.

    Args:
        registry: where they are shown; None makes one.
    """

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = CollectorRegistry() if registry is None else registry
        self.sent = Counter("mimamori_orders_sent", "orders sent, repeats too", registry=self.registry)
        self.settled = Counter(
            "mimamori_orders_settled", "orders whose outcome came", ["state"], registry=self.registry
        )
        self.reports = Counter(
            "mimamori_reports",
            "reports: new, again, early, broken, forked, or why refused",
            ["outcome"],
            registry=self.registry,
        )
        self.alarms = Counter(
            "mimamori_reports_alarms", "a log that does not hold together", ["reason"], registry=self.registry
        )
        self.flagged = Gauge(
            "mimamori_reports_flagged",
            "kept entries that do not fit the one before, or wait for it; not for long if all is well",
            registry=self.registry,
        )
        self.broker = Gauge("mimamori_orders_broker_up", "1 while connected to the broker", registry=self.registry)
        self.database_errors = Counter(
            "mimamori_orders_database_errors", "times the database was away", registry=self.registry
        )
