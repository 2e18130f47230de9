"""What the service counts, for Prometheus. Durations are seconds, amounts of data bytes.

The metrics live in one module so that a dashboard's names can be read in one place. Every role serves them at
`/metrics`; those that belong to another role simply stay at zero, and those that are measured stay away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call]  # before the first metric: a second series for each, that nobody asks for


class Measured(Collector):
    """A gauge that is absent until it was measured, and while it cannot be: a 0 would say that all is well."""

    def __init__(self, name: str, text: str) -> None:
        self._name = name
        self._text = text
        self._value: float | None = None
        REGISTRY.register(self)

    def set(self, value: float) -> None:
        """Export `value` from now on."""
        self._value = value

    def forget(self) -> None:
        """Export nothing until the next `set`."""
        self._value = None

    def describe(self) -> Iterable[Metric]:
        """Return the name, so that a second metric of that name is refused."""
        return [GaugeMetricFamily(self._name, self._text)]

    def collect(self) -> Iterable[Metric]:
        """Return the value, if there is one."""
        family = GaugeMetricFamily(self._name, self._text)
        if self._value is not None:
            family.add_metric([], self._value)
        return [family]


LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

REQUESTS = Counter("chronicle_http_requests", "HTTP requests answered", ["method", "route", "code"])
REQUEST_SECONDS = Histogram("chronicle_http_request_seconds", "Time to answer", ["method", "route"], buckets=LATENCIES)
REQUESTS_IN_FLIGHT = Gauge("chronicle_http_requests_in_flight", "HTTP requests being answered")
REFUSED_ACCESS = Counter("chronicle_http_refused_access", "Requests whose key was not let in, by status", ["status"])
EVENT_STREAMS = Gauge("chronicle_event_streams", "Readers of the feed of transactions")
PROBLEMS = Counter("chronicle_http_problems", "Problems answered, by machine code", ["code"])

BATCH_SIZE = Histogram(
    "chronicle_posting_batch_size",
    "Postings that shared one database transaction",
    buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024),
)
RETRIES = Counter("chronicle_posting_retries", "Database transactions run again, by SQLSTATE", ["sqlstate"])
QUEUE = Gauge("chronicle_posting_queue", "Postings that wait for a batch")

OUTBOX_BACKLOG = Measured(
    "chronicle_outbox_backlog_events", "Events that JetStream has not acknowledged yet, counted up to 10000"
)
OUTBOX_OLDEST = Measured("chronicle_outbox_oldest_seconds", "Age of the oldest of them")
OUTBOX_TOO_LARGE = Measured(
    "chronicle_outbox_too_large_events", "Those of them that are larger than what NATS takes, counted up to 10"
)
RELAY_SHARDS = Gauge("chronicle_relay_shards", "Shards of the outbox that this relay holds")
RELAY_PUBLISHED = Counter("chronicle_relay_published", "Events that JetStream acknowledged")
RELAY_DUPLICATES = Counter("chronicle_relay_duplicates", "Those that were in the stream before")
RELAY_FAILURES = Counter("chronicle_relay_failures", "Attempts that did not go through and are tried again")
PROJECTED = Counter("chronicle_projector_events", "Messages by what became of them", ["outcome"])
PROJECTOR_GAPS = Counter("chronicle_projector_gap_entries", "Entries that no message brought; read from the ledger")
PROJECTOR_PENDING = Measured("chronicle_projector_pending_events", "Messages of the stream not projected yet")
PROJECTOR_BATCH_SECONDS = Histogram("chronicle_projector_batch_seconds", "Time to project a batch", buckets=LATENCIES)

READY = Gauge("chronicle_ready", "1 while /readyz says yes")
RELOADS = Counter("chronicle_file_reloads", "Files read anew after a change", ["file", "result"])

CONTENT_TYPE = CONTENT_TYPE_LATEST


class _Live(Collector):
    """Gauges that are read at the moment of the scrape (a pool's and a queue's state)."""

    def __init__(self) -> None:
        self.sources: dict[str, tuple[str, Callable[[], Mapping[str, float]]]] = {}

    def collect(self) -> Iterable[Metric]:
        for name, (text, read) in self.sources.items():
            family = GaugeMetricFamily(name, text, labels=["figure"])
            for figure, value in read().items():
                family.add_metric([figure], value)
            yield family


_live = _Live()
REGISTRY.register(_live)


def live(name: str, text: str, read: Callable[[], Mapping[str, Any]]) -> None:
    """Export `read()` (figure to number) as gauge `name{figure=…}` at each scrape."""
    _live.sources[name] = (text, read)


class Posting:
    """What the posting engine reports, counted (the Protocol `posting.metrics.PostingMetrics`)."""

    def batch(self, size: int) -> None:
        """A batch of `size` commands was answered."""
        BATCH_SIZE.observe(size)

    def retry(self, sqlstate: str) -> None:
        """A batch is run again because the database said `sqlstate`."""
        RETRIES.labels(sqlstate).inc()

    def queue(self, length: int) -> None:
        """`length` commands wait for a batch."""
        QUEUE.set(length)


def exposition() -> bytes:
    """Everything in Prometheus's text format."""
    return generate_latest(REGISTRY)
