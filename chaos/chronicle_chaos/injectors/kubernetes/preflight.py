"""What has to be there before Chaos Mesh is asked for a fault: rights, pods to hit, and a ledger that is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from chronicle_chaos.faults.hands import Sides
from chronicle_chaos.injectors.injection import NotApplicable, PreflightError
from chronicle_chaos.injectors.kubernetes import foreign
from chronicle_chaos.injectors.kubernetes import probes as cluster_probes
from chronicle_chaos.injectors.kubernetes.client import Kubernetes, KubernetesError
from chronicle_chaos.injectors.kubernetes.experiments import Experiment
from chronicle_chaos.injectors.kubernetes.ledger_pods import Place
from chronicle_contract.experiments import MADE, OTHERS
from chronicle_contract.labels import REGION

INSTALL = "install Chaos Mesh 2.4 or later (docs/chaos-mesh.md) to get this scenario"
GRANT = "grant the run's ServiceAccount podchaos and networkchaos of chaos-mesh.org"
WAIT = "wait until the ledger is Ready"

POLL_SECONDS = 0.7
SOUND_SECONDS = 15.0
"""How long a ledger may take to look whole, where one look at a busy machine says otherwise."""


@dataclass(frozen=True, slots=True)
class Preconditions:
    """Looks, and touches nothing. Every method raises PreflightError, NotApplicable or KubernetesError."""

    kubernetes: Kubernetes
    place: Place

    async def usable(self, labels: Mapping[str, str]) -> None:
        """Whether Chaos Mesh is there and this run may use it."""
        try:
            for kind in MADE:
                await self.kubernetes.experiments(kind, labels)
        except KubernetesError as error:
            if error.code == 404:
                raise NotApplicable("Chaos Mesh is not installed in this cluster", next_step=INSTALL) from error
            if error.code in (401, 403):
                raise PreflightError(f"Chaos Mesh's objects may not be used: {error}", next_step=GRANT) from error
            raise
        asked = [(verb, kind) for kind in MADE for verb in ("create", "get", "delete")]
        may = await asyncio.gather(*(self.kubernetes.may(verb, kind) for verb, kind in asked))
        missing = [f"{verb} {MADE[kind]}" for (verb, kind), granted in zip(asked, may, strict=True) if not granted]
        if missing:
            raise PreflightError(f"this run may not {', '.join(missing)}", next_step=GRANT)

    async def undisturbed(self) -> None:
        """Whether no experiment of somebody else is at work on the ledger's pods. It is named and left alone."""
        pods = await self.kubernetes.pods(self.place.labels())
        hits: list[str] = []
        commands: list[str] = []
        for kind, plural in (MADE | OTHERS).items():
            for it in await self._all(kind):
                names = (
                    [] if foreign.is_a_runs(it) or foreign.is_over(it) else foreign.hit(it, pods, self.place.namespace)
                )
                if names:
                    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
                    hits.append(f"{kind} {it.metadata.name} on pod {names[0]}{more}")
                    commands.append(f"kubectl -n {self.place.namespace} delete {plural} {it.metadata.name}")
        if hits:
            raise PreflightError(
                f"somebody else's experiment is at work on this ledger: {', '.join(hits)}",
                next_step=f"wait for its end, pause it, or run: {'; '.join(commands)}",
            )

    async def _all(self, kind: str) -> Sequence[Experiment]:
        """Return all experiments of a kind. A kind that this Chaos Mesh lacks has none, nor one that is not granted."""
        try:
            return await self.kubernetes.experiments(kind, {})
        except KubernetesError as error:
            if kind in OTHERS and error.code in (401, 403, 404):
                return ()
            raise

    async def two_sides(self, sides: Sides) -> None:
        """Whether a cut would hit pods on both sides."""
        regions = self.place.sides
        if sides.majority not in regions or sides.minority not in regions:
            raise NotApplicable(
                "the ledger has no region that is a minority by itself",
                next_step="spec.regions with, for example, two database nodes in one and one in another",
            )
        pods = await self.kubernetes.pods(self.place.labels())
        for side in (sides.majority, sides.minority):
            if not any(pod.labels.get(REGION) in regions[side] for pod in pods):
                raise PreflightError(
                    f"no pod has the label {REGION} of {', '.join(regions[side])}: the cut would hit nothing",
                    next_step=WAIT,
                )

    async def sound(self, look: Callable[[], Awaitable[dict[str, str]]]) -> dict[str, str]:
        """Return what is seen without a fault. Raises PreflightError where it looks for a while as if the fault were
        there already: then it could not be told from what is wrong anyway."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SOUND_SECONDS
        while True:
            try:
                return await look()
            except PreflightError:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def heard(self) -> dict[str, str]:
        """Connect to every NATS server."""
        seen: dict[str, str] = {}
        for address in self.place.nats:
            tried = await cluster_probes.connect(address)
            if not tried.made:
                raise PreflightError(
                    f"no connection to {address} could be made before anything was broken: {tried.said}",
                    next_step="look at the NATS pods, and at NetworkPolicies between them and the run",
                )
            seen[address] = tried.said
        if not seen:
            raise PreflightError("no address of a NATS server is known, so an outage could not be shown")
        return seen

    async def connected(self, sides: Sides) -> dict[str, str]:
        """Ask the API of each side for the database."""
        seen: dict[str, str] = {}
        for side in (sides.majority, sides.minority):
            database = await cluster_probes.database(self.place.target, side)
            if not database.whole:
                raise PreflightError(
                    f"the database was not whole as seen from {side} before anything was broken: {database.said}",
                    next_step=WAIT,
                )
            seen[side] = database.said
        return seen
