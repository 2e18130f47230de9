"""Own evidence about the compose stack: connections tried from inside its containers, leases, readiness."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chronicle_chaos.faults.fault import Component
from chronicle_chaos.faults.hands import Sides
from chronicle_chaos.injectors.compose.docker import Docker, DockerError
from chronicle_chaos.injectors.compose.inside import source
from chronicle_chaos.injectors.compose.names import CONTAINERS, REGIONS
from chronicle_chaos.injectors.injection import InjectionError, Observation
from chronicle_chaos.injectors.probes import LEASES, UNSAFE

NODES = "SELECT node_id, address FROM crdb_internal.gossip_nodes"

Pair = tuple[str, str]
"""A container, and the host and port that it is to reach."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Every question is asked in a container, so the answer is that of the network that the ledger has."""

    docker: Docker

    async def connect(self, container: str, addresses: Sequence[str]) -> dict[Pair, str]:
        """Try to connect; what went wrong for each address, empty where nothing did. Raises DockerError."""
        name = await self.docker.named(container)
        out = await self.docker.call("exec", name, "python", "-c", source("connect"), *addresses)
        return {(container, a): error for a, error in zip(addresses, json.loads(out), strict=True)}

    async def reachable(self, containers: Sequence[str], port: int) -> dict[str, bool]:
        """Which of these listen on `port`, as seen from an instance of the API that is not among them."""
        for witness in (c for c in CONTAINERS[Component.API] if c not in containers):
            with suppress(DockerError):
                found = await self.connect(witness, [f"{name}:{port}" for name in containers])
                return {name: found[(witness, f"{name}:{port}")] == "" for name in containers}
        raise InjectionError("no instance of the API runs to look from", next_step="docker compose up -d")

    async def pairs(self, sides: Sides) -> dict[Pair, str]:
        """Connections across the cut in both directions, and within each half."""
        majority, minority = halves(sides)
        asked = {majority[0]: [*majority[1], *minority[1]], minority[0]: [*minority[1], *majority[1]]}
        found = await asyncio.gather(*(self.connect(name, addresses) for name, addresses in asked.items()))
        return {pair: error for part in found for pair, error in part.items()}

    async def across(self, sides: Sides, before: Mapping[Pair, str], *, cut: bool) -> tuple[Observation, ...]:
        """With `cut`: nothing gets across although it did before, and each half still reaches itself, so that it is
        the cut and not a dead container that was seen. Without: everything reaches everything."""
        now = await self.pairs(sides)
        own = dict(halves(sides))
        found = []
        for (container, address), error in now.items():
            within = address in own[container]
            wanted = within or not cut
            was = before.get((container, address))
            shows = (error == "") == wanted and (was == "" or not cut)
            found.append(Observation(
                f"{container} to {address} ({'within its region' if within else 'across'})",
                "cut" if was is None else _told(was), _told(error), shows,
            ))  # fmt: skip
        return tuple(found)

    async def leases(self) -> dict[str, int]:
        """How many range leases each CockroachDB node holds. Raises InjectionError where none can be asked, or where a
        holder is not known by name."""
        for name in CONTAINERS[Component.COCKROACH]:
            with suppress(DockerError):
                held = await self._sql(name, LEASES)
                names = {node: address.split(":")[0] for node, address in await self._sql(name, NODES)}
                unknown = [node for node, _ in held if node not in names and node.isdecimal()]
                if unknown:
                    raise InjectionError(
                        f"nobody knows CockroachDB node {unknown[0]}", next_step=f"docker compose logs {name}"
                    )
                counts = {names[node]: int(n) for node, n in held if node in names}
                return {name: counts.get(name, 0) for name in names.values()}
        raise InjectionError("no CockroachDB node answers", next_step="docker compose up -d")

    async def ready(self, containers: Sequence[str]) -> set[str]:
        """Return those whose readiness probe answers."""
        answers = await asyncio.gather(*(self._is_ready(name) for name in containers))
        return {name for name, ready in zip(containers, answers, strict=True) if ready}

    async def _is_ready(self, container: str) -> bool:
        try:
            name = await self.docker.named(container)
        except DockerError:
            return False
        return (await self.docker.attempt("exec", name, "chronicle-healthcheck", "/readyz"))[0] == 0

    async def _sql(self, container: str, query: str) -> list[list[str]]:
        name = await self.docker.named(container)
        ask = ("exec", name, "cockroach", "sql", "--insecure", f"--host={container}:26257", "--format=csv")
        try:
            lines = (await self.docker.call(*ask, f"--execute={query}")).splitlines()
        except DockerError as error:
            if UNSAFE not in str(error):
                raise
            lines = (await self.docker.call(*ask, f"--execute=SET {UNSAFE} = on", f"--execute={query}")).splitlines()
            lines = lines[1:]  # what the client says of SET
        return list(csv.reader(lines[1:]))


def halves(sides: Sides) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    """For each region an instance of the API to look from, and the database nodes and NATS servers of its region."""

    def half(region: str) -> tuple[str, list[str]]:
        names = REGIONS[region]
        database = [f"{n}:26257" for n in names if n in CONTAINERS[Component.COCKROACH]]
        bus = [f"{n}:4222" for n in names if n in CONTAINERS[Component.NATS]]
        return next(n for n in names if n in CONTAINERS[Component.API]), database + bus

    return half(sides.majority), half(sides.minority)


def _told(error: str) -> str:
    return error or "connected"
