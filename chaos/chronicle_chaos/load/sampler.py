"""Samples of `GET /health`, through the load balancer and of each instance, as part of the history."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from chronicle_chaos.load.client import Answer, LedgerClient
from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record.history import Recorder
from chronicle_chaos.target import Target

ANSWER_SECONDS = 3.0
"""How long a sample waits for its answer; `/health` itself takes half of it at most."""


@dataclass(slots=True)
class HealthSampler:
    """Asks every `interval` seconds and waits at most `timeout` seconds for each answer.

    Each question is its own task: an instance that hangs must not keep the others from being asked.

    What nobody behind the load balancer answered is asked once more, as every client of a read does: a question that
    was under way to an instance that was killed says nothing about the ledger's health. An instance that is asked
    directly gets no second chance.
    """

    client: LedgerClient
    recorder: Recorder
    target: Target
    interval: float = 1.0
    timeout: float = ANSWER_SECONDS
    latest: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    _newest_ns: dict[str, int] = field(default_factory=dict)
    _ok_since: dict[str, int | None] = field(default_factory=dict)
    _count: int = 0

    async def run(self) -> None:
        """Sample until cancelled."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                for name, url in self._urls():
                    task = asyncio.create_task(self._sample(name, url))
                    under_way.add(task)
                    task.add_done_callback(under_way.discard)
                await asyncio.sleep(self.interval)
        finally:
            for task in under_way:
                task.cancel()
            # Until they have ended they use the session, which closes next.
            await asyncio.gather(*under_way, return_exceptions=True)

    @property
    def all_ok_since_ns(self) -> int | None:
        """Since when the load balancer's and every instance's own answer has been `ok`; None while one is not.

        Each instance sees the database by another node, so one may know of a missing replica before the others do.
        """
        moments = [self._ok_since.get(name) for name, _ in self._urls()]
        known = [moment for moment in moments if moment is not None]
        return max(known) if len(known) == len(moments) else None

    async def sample(self) -> Mapping[str, Any]:
        """Ask the load balancer once, now; returns what was kept of the answer (`status` is absent if none came)."""
        await self._sample(LOAD_BALANCER, self.target.url)
        return self.latest.get(LOAD_BALANCER, {})

    def _urls(self) -> list[tuple[str, str]]:
        direct = [
            (f"{region}/{number}", url)
            for region, urls in self.target.regions.items()
            for number, url in enumerate(urls, 1)
        ]
        return [(LOAD_BALANCER, self.target.url), *direct]

    async def _sample(self, name: str, url: str) -> None:
        self._count += 1
        key = str(self._count)
        process = f"health-{name}"
        asked = self.recorder.record(process, "invoke", "health", key=key, target=name)
        answer = await self.client.request("GET", f"{url}/health", timeout=self.timeout)
        again = answer.status is None and name == LOAD_BALANCER
        if again:
            answer = await self.client.request("GET", f"{url}/health", timeout=self.timeout)
        value = health_summary(answer) | ({"attempts": 2} if again else {})
        self._learn(name, asked.t_ns, value)
        self.recorder.record(
            process, "ok" if "status" in value else "info", "health", key=key, value=value, target=name,
            status=answer.status, error=answer.error,
        )  # fmt: skip

    def _learn(self, name: str, asked_ns: int, value: Mapping[str, Any]) -> None:
        """Keep the answer to the newest question: a slow one to an older question says what was, not what is."""
        if asked_ns < self._newest_ns.get(name, asked_ns):
            return
        self._newest_ns[name] = asked_ns
        self.latest[name] = value
        self._ok_since[name] = (self._ok_since.get(name) or asked_ns) if value.get("status") == "ok" else None


def health_summary(answer: Answer) -> dict[str, Any]:
    """What the checkers look at. Empty where no health report came back (a load balancer's own 503 is none)."""
    body = answer.body
    if not isinstance(body, Mapping) or body.get("status") not in {"ok", "degraded", "down"}:
        return {}
    components = body.get("components") or {}
    database, view, relay = (components.get(name) or {} for name in ("database", "read_model", "relay"))
    found = {
        "status": body["status"],
        "region": body.get("region"),
        "database": database.get("status"),
        "nats": (components.get("nats") or {}).get("status"),
        "nodes_live": database.get("nodes_live"),
        "nodes_total": database.get("nodes_total"),
        "underreplicated": _copies_missing(database),
        "lag_events": view.get("lag_events"),
        "lag_seconds": view.get("lag_seconds"),
        "backlog": relay.get("backlog"),
    }
    return {name: value for name, value in found.items() if value is not None}


def _copies_missing(database: Mapping[str, Any]) -> int | None:
    """How many ranges lack a replica. PostgreSQL has one range, of which each missing node lacks its copy."""
    live, total = database.get("nodes_live"), database.get("nodes_total")
    if database.get("kind") == "postgresql" and live is not None and total is not None:
        return int(total - live)
    return database.get("ranges_underreplicated")
