"""What has to be there before Chaos Mesh is asked for a fault: rights, pods to hit, and a ledger that is whole."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from chronicle_chaos.faults import Crashes, Fault, NodeKill, Outage, Partition
from chronicle_chaos.injection import NotApplicable, PreflightError
from chronicle_chaos.injectors import cluster_probes
from chronicle_chaos.injectors.kubernetes import PLURALS, Kubernetes, KubernetesError
from chronicle_chaos.injectors.ledger_pods import COMPONENTS, REGION, Place

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
            for kind in PLURALS:
                await self.kubernetes.experiments(kind, labels)
        except KubernetesError as error:
            if error.code == 404:
                raise NotApplicable("Chaos Mesh is not installed in this cluster", next_step=INSTALL) from error
            if error.code in (401, 403):
                raise PreflightError(f"Chaos Mesh's objects may not be used: {error}", next_step=GRANT) from error
            raise
        asked = [(verb, kind) for kind in PLURALS for verb in ("create", "get", "delete")]
        may = await asyncio.gather(*(self.kubernetes.may(verb, kind) for verb, kind in asked))
        missing = [f"{verb} {PLURALS[kind]}" for (verb, kind), granted in zip(asked, may, strict=True) if not granted]
        if missing:
            raise PreflightError(f"this run may not {', '.join(missing)}", next_step=GRANT)

    async def matching(self, fault: Fault) -> None:
        """Whether there is something to hit, and something left to be judged."""
        match fault:
            case NodeKill(component) | Crashes(component) | Outage(component):
                found = await self.kubernetes.pods(self.place.labels(component))
                if isinstance(fault, Crashes) and len(found) == 1:
                    raise NotApplicable(
                        f"there is one {COMPONENTS[component]} pod, and nobody to take over when it is killed",
                        next_step="set spec.api.replicas to 2 or more",
                    )
                if not found or not all(it.ready for it in found):
                    raise PreflightError(
                        f"{sum(it.ready for it in found)} of {len(found)} {COMPONENTS[component]} pods are ready",
                        next_step=WAIT,
                    )
            case Partition(majority, minority):
                sides = self.place.sides
                if majority not in sides or minority not in sides:
                    raise NotApplicable(
                        "the ledger has no region that is a minority by itself",
                        next_step="spec.regions with, for example, two database nodes in one and one in another",
                    )
                pods = await self.kubernetes.pods(self.place.labels())
                for side in (majority, minority):
                    if not any(it.labels.get(REGION) in sides[side] for it in pods):
                        raise PreflightError(
                            f"no pod has the label {REGION} of {', '.join(sides[side])}: the cut would hit nothing",
                            next_step=WAIT,
                        )

    async def before(self, fault: Fault) -> dict[str, str]:
        """What is seen without the fault where it will be looked for, by address or side. Raises PreflightError where
        it looks as if the fault were there already: then it could not be told from what is wrong anyway."""
        loop = asyncio.get_running_loop()
        until = loop.time() + SOUND_SECONDS
        while True:
            try:
                return await self._seen(fault)
            except PreflightError:
                if loop.time() >= until:
                    raise
            await asyncio.sleep(POLL_SECONDS)

    async def _seen(self, fault: Fault) -> dict[str, str]:
        seen: dict[str, str] = {}
        match fault:
            case Outage():
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
            case Partition(majority, minority):
                for side in (majority, minority):
                    found = await cluster_probes.database(self.place.target, side)
                    if not found.whole:
                        raise PreflightError(
                            f"the database was not whole as seen from {side} before anything was broken: {found.said}",
                            next_step=WAIT,
                        )
                    seen[side] = found.said
        return seen
