"""What the operator counts, for Prometheus and for the tests that hold it to its promises."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

from chronicle_kube.kind import Kind
from chronicle_operator.serve.ledger_metrics import LedgerMetrics


class Metrics:
    """The operator's own figures, in a registry of their own so that two operators fit into one test process."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        """Register the figures."""
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)  # memory and CPU of the operator itself
        self.reconciles = Counter(
            "chronicle_operator_reconciles", "Reconciles, by result", ["result"], registry=self.registry
        )
        self.seconds = Histogram(
            "chronicle_operator_reconcile_seconds",
            "Duration of a reconcile",
            buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
            registry=self.registry,
        )
        self.requests = Counter(
            "chronicle_operator_api_requests",
            "Requests to the API server, without watches",
            ["verb", "group", "resource", "outcome"],
            registry=self.registry,
        )
        self.applied = Counter(
            "chronicle_operator_applied",
            "Children applied because they were missing, edited or wanted otherwise",
            ["kind"],
            registry=self.registry,
        )
        self.pruned = Counter(
            "chronicle_operator_pruned",
            "Children deleted because the spec wants them no longer",
            ["kind"],
            registry=self.registry,
        )
        self.waiting = Gauge("chronicle_operator_queue", "Ledgers that wait for a reconcile", registry=self.registry)
        self.longest = Gauge(
            "chronicle_operator_longest_run_seconds", "Age of the oldest reconcile in progress", registry=self.registry
        )
        self.watches = Gauge("chronicle_operator_watches", "Watches that are being kept", registry=self.registry)
        self.served = Gauge(
            "chronicle_operator_namespace_served",
            "1 when the ledgers of a namespace can be listed, 0 when it was deleted or its RoleBinding is gone",
            ["namespace"],
            registry=self.registry,
        )
        self.ledgers = LedgerMetrics()
        self.registry.register(self.ledgers)

    def report_namespace(self, namespace: str, served: bool) -> None:
        """Take note whether a namespace can be served; empty stands for all at once."""
        self.served.labels(namespace).set(served)

    def count_request(self, verb: str, kind: Kind, outcome: str) -> None:
        """Count one request; fits `kube.CountCall`."""
        self.requests.labels(verb, kind.group, kind.plural, outcome).inc()
