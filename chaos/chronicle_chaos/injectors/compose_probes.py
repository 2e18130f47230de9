"""Own evidence about the compose stack: connections tried from inside its containers, leases, readiness."""

from __future__ import annotations

import asyncio
import csv
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from chronicle_chaos.faults import Component, Partition
from chronicle_chaos.injection import InjectionError, Observation
from chronicle_chaos.injectors.compose_names import CONTAINERS, REGIONS
from chronicle_chaos.injectors.docker import Docker, DockerError
from chronicle_chaos.injectors.probes import LEASES

# The ledger's image has Python and no other tools. A refused connection and a silent one both count as not reached.
CONNECT = """
import json, socket, sys
def reached(address):
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout=1.5).close()
    except OSError as error:
        return str(error) or type(error).__name__
    return ""
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool:
    print(json.dumps(list(pool.map(reached, sys.argv[1:]))))
"""

NODES = "SELECT node_id, address FROM crdb_internal.gossip_nodes"

Pair = tuple[str, str]
"""A container, and the host and port that it is to reach."""


@dataclass(frozen=True, slots=True)
class Probes:
    """Every question is asked in a container, so the answer is that of the network that the ledger has."""

    docker: Docker

    async def connect(self, container: str, addresses: Sequence[str]) -> dict[Pair, str]:
        """Try to connect; what went wrong for each address, empty where nothing did. Raises DockerError."""
        out = await self.docker.call("exec", container, "python", "-c", CONNECT, *addresses)
        return {(container, a): error for a, error in zip(addresses, json.loads(out), strict=True)}

    async def reachable(self, containers: Sequence[str], port: int) -> dict[str, bool]:
        """Which of these listen on `port`, as seen from an instance of the API that is not among them."""
        for witness in (c for c in CONTAINERS[Component.API] if c not in containers):
            with suppress(DockerError):
                found = await self.connect(witness, [f"{name}:{port}" for name in containers])
                return {name: found[(witness, f"{name}:{port}")] == "" for name in containers}
        raise InjectionError("no instance of the API runs to look from", next_step="docker compose up -d")

    async def pairs(self, fault: Partition) -> dict[Pair, str]:
        """Connections across the cut in both directions, and within each half."""
        majority, minority = halves(fault)
        asked = {majority[0]: [*majority[1], *minority[1]], minority[0]: [*minority[1], *majority[1]]}
        found = await asyncio.gather(*(self.connect(name, addresses) for name, addresses in asked.items()))
        return {pair: error for part in found for pair, error in part.items()}

    async def across(self, fault: Partition, before: Mapping[Pair, str], *, cut: bool) -> tuple[Observation, ...]:
        """With `cut`: nothing gets across although it did before, and each half still reaches itself, so that it is
        the cut and not a dead container that was seen. Without: everything reaches everything."""
        now = await self.pairs(fault)
        own = dict(halves(fault))
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
                    raise InjectionError(f"nobody knows CockroachDB node {unknown[0]}", next_step=f"docker logs {name}")
                counts = {names[node]: int(n) for node, n in held if node in names}
                return {name: counts.get(name, 0) for name in names.values()}
        raise InjectionError("no CockroachDB node answers", next_step="docker compose up -d")

    async def all_ready(self, containers: Sequence[str], seconds: float) -> None:
        """Wait until the readiness probe of each answers. Raises InjectionError past `seconds`."""
        waiting = list(containers)
        try:
            async with asyncio.timeout(seconds):
                while waiting:
                    asked = [self.docker.attempt("exec", n, "chronicle-healthcheck", "/readyz") for n in waiting]
                    answers = await asyncio.gather(*asked)
                    waiting = [n for n, (status, _, _) in zip(waiting, answers, strict=True) if status]
                    await asyncio.sleep(0.2 if waiting else 0)
        except TimeoutError as error:
            raise InjectionError(
                f"{waiting[0]} was not ready again within {seconds:g} s", next_step=f"docker logs {waiting[0]}"
            ) from error

    async def _sql(self, container: str, query: str) -> list[list[str]]:
        out = await self.docker.call(
            "exec", container, "cockroach", "sql", "--insecure", f"--host={container}:26257", "--format=csv",
            f"--execute={query}",
        )  # fmt: skip
        return list(csv.reader(out.splitlines()[1:]))


def halves(fault: Partition) -> tuple[tuple[str, list[str]], tuple[str, list[str]]]:
    """For each region an instance of the API to look from, and the database nodes and NATS servers of its region."""

    def half(region: str) -> tuple[str, list[str]]:
        names = REGIONS[region]
        database = [f"{n}:26257" for n in names if n in CONTAINERS[Component.COCKROACH]]
        bus = [f"{n}:4222" for n in names if n in CONTAINERS[Component.NATS]]
        return next(n for n in names if n in CONTAINERS[Component.API]), database + bus

    return half(fault.majority), half(fault.minority)


def _told(error: str) -> str:
    return error or "connected"
