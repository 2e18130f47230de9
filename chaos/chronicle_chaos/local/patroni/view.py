"""What Patroni itself says of its cluster, and what it can be asked to do."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from chronicle_chaos.local.ports import LOOPBACK

ASK_SECONDS = 3.0
PRIMARY = "leader"
COUNTED = "quorum_standby"
SAFE_STATES = {PRIMARY: "running", COUNTED: "streaming"}
"""The states in which a member holds what is acknowledged, by the role in which it does."""


@dataclass(frozen=True, slots=True)
class Member:
    """One node as `GET /cluster` lists it."""

    name: str
    role: str
    state: str
    timeline: int | None = None

    @property
    def counts(self) -> bool:
        """Whether it is the primary, or a standby of the quorum that streams."""
        return SAFE_STATES.get(self.role) == self.state

    def __str__(self) -> str:
        return f"{self.name} {self.role} {self.state}"


def members_in(answer: dict[str, Any]) -> list[Member]:
    """Return the members that an answer of `GET /cluster` lists."""
    return [
        Member(str(m["name"]), str(m.get("role", "?")), str(m.get("state", "?")), m.get("timeline"))
        for m in answer.get("members", ())
    ]


def primary_of(members: Sequence[Member]) -> str | None:
    """Return the name of the primary that runs; None: there is none."""
    return next((m.name for m in members if m.role == PRIMARY and m.state == "running"), None)


def whole(members: Sequence[Member], nodes: int) -> bool:
    """Whether every node counts: replication alone does not tell. The key by which Patroni chooses a new primary lags
    behind it for a second or two, and a primary that dies in between would not be replaced."""
    return primary_of(members) is not None and sum(m.counts for m in members) == nodes


def streaming(members: Sequence[Member], nodes: int) -> bool:
    """Whether every node runs, of a cluster without a quorum."""
    running = sum(m.state in SAFE_STATES.values() for m in members)
    return primary_of(members) is not None and running == nodes


async def ask(port: int) -> list[Member] | None:
    """Return what the Patroni behind `port` knows of the cluster; None: it does not answer."""
    try:
        async with _session() as session, session.get(f"http://{LOOPBACK}:{port}/cluster") as answer:
            return members_in(await answer.json(content_type=None))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return None


async def ask_any(ports: Sequence[int]) -> list[Member]:
    """Return what the first that answers knows; empty: none does."""
    for told in await asyncio.gather(*(ask(port) for port in ports)):
        if told is not None and primary_of(told) is not None:
            return told
    return []


async def switch_over(port: int, primary: str, candidate: str, password: str) -> tuple[int, str]:
    """Ask to make another node the primary; the status and the answer, which comes when it is done."""
    timeout = aiohttp.ClientTimeout(total=60.0)
    auth = aiohttp.BasicAuth("patroni", password)
    body = {"leader": primary, "candidate": candidate}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, auth=auth) as session,
            session.post(f"http://{LOOPBACK}:{port}/switchover", json=body) as answer,
        ):
            return answer.status, (await answer.text()).strip()
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        return 0, str(error)


def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ASK_SECONDS))
