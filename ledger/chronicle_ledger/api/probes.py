"""/health, /livez, /readyz and /metrics: open to everybody, because those who ask have no key."""

from __future__ import annotations

from typing import Any

import msgspec

from chronicle_ledger import metrics
from chronicle_ledger.api import answers
from chronicle_ledger.web.call import Answer, Call
from chronicle_ledger.web.operation import operation
from chronicle_ledger.web.problems import retry_after


class ComponentAnswer(msgspec.Struct, frozen=True):
    """A component's state; further members give its figures (nodes_live, backlog, lag_events, …)."""

    status: str


class HealthAnswer(msgspec.Struct, frozen=True):
    """The state of the service and of each component."""

    status: str
    components: dict[str, ComponentAnswer]
    instance: str
    region: str
    version: str
    sabotage: str | None = None


@operation(
    "GET",
    "/health",
    id="getHealth",
    tag="operation",
    summary="The service's state",
    role=None,
    answer=HealthAnswer,
    may_be_down=True,
)
async def health(call: Call[None]) -> Answer:
    """200 for `ok` and `degraded`, 503 for `down`. Answers within two seconds, whatever its components do."""
    report = await call.service.health.report()
    return Answer(503 if report["status"] == "down" else 200, report)


@operation(
    "GET", "/livez", id="getLiveness", tag="operation", summary="Is it alive?", role=None, answer=answers.StatusAnswer
)
async def livez(call: Call[None]) -> Answer:
    """Looks at no dependency: restarting this process mends no other."""
    del call
    return Answer(200, answers.StatusAnswer("ok"))


@operation(
    "GET",
    "/readyz",
    id="getReadiness",
    tag="operation",
    summary="Should requests come here?",
    role=None,
    answer=answers.StatusAnswer,
    may_be_down=True,
)
async def readyz(call: Call[None]) -> Answer:
    """503 while the database is down and from the first moment of a shutdown on; also in the first five seconds, until
    the instance has heard of each component once."""
    reason = await call.service.readiness.reason_against()
    return (
        Answer(200, answers.StatusAnswer("ok"))
        if reason is None
        else Answer(
            503,
            answers.StatusAnswer("down", reason),
            {"retry-after": retry_after(1), "content-type": "application/json"},
        )
    )


@operation(
    "GET",
    "/metrics",
    id="getMetrics",
    tag="operation",
    summary="Figures for Prometheus",
    role=None,
    answer=str,
    media_type="text/plain",
)
async def read_metrics(call: Call[None]) -> Answer:
    """Prometheus's text format."""
    del call
    return Answer(200, metrics.exposition(), {"content-type": metrics.CONTENT_TYPE})


OPERATIONS: tuple[Any, ...] = (livez, readyz, health, read_metrics)
