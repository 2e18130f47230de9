"""What may start already: nobody is started who could only crash for want of what comes before.

The schema waits for the database to be initialised, our own image for the schema it needs and for the backup that a
new ledger begins with. What exists and is of the
right image is kept as the spec wants it, whatever else is broken: an API that runs is never taken away because a
database node is missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from chronicle_contract.labels import COMPONENT
from chronicle_kube.api import Manifest
from chronicle_operator.observe.jobs import is_complete
from chronicle_operator.observe.observe import Observation, labels
from chronicle_operator.reconcile.apply import key_of

INIT = "init"
MIGRATION = "migration"
OURS = ("api", "relay", "projector")


def due(manifests: Sequence[Manifest], seen: Observation) -> list[Manifest]:
    """Return the manifests to apply now."""
    live = {key_of(item): item for item in seen.children}
    initialized = _done(INIT, manifests, seen)
    migrated = _done(MIGRATION, manifests, seen)
    waits = restoring(seen.ledger)

    def held_back(manifest: Manifest) -> bool:
        component = labels(manifest).get(COMPONENT)
        if manifest["kind"] == "Job" and component == MIGRATION:
            return not initialized and key_of(manifest) not in live
        if manifest["kind"] == "Deployment" and component in OURS and waits:
            return True
        if manifest["kind"] == "Deployment" and component in OURS and not migrated:
            found = live.get(key_of(manifest))
            return found is None or images(found) != images(manifest)
        return False

    return [it for it in manifests if not held_back(it)]


def restoring(ledger: Mapping[str, Any]) -> bool:
    """Whether the ledger is to begin with a backup that has not been put back and proven yet."""
    wanted = (ledger.get("spec") or {}).get("bootstrap")
    state = ((ledger.get("status") or {}).get("restore") or {}).get("state")
    return bool(wanted) and state != "Restored"


def unfinished(manifests: Sequence[Manifest], seen: Observation) -> bool:
    """Whether the schema that is wanted now is not there, or not known to be: its Job has not done its work."""
    return not _done(MIGRATION, manifests, seen)


def images(workload: Mapping[str, Any]) -> list[str]:
    """Return the images of a workload's containers."""
    return [str(it.get("image")) for it in workload["spec"]["template"]["spec"]["containers"]]


def _done(component: str, manifests: Sequence[Manifest], seen: Observation) -> bool:
    """Whether the very Job that is wanted now has done its work: one of an older image does not count."""
    wanted = {
        str(it["metadata"]["name"])
        for it in manifests
        if it["kind"] == "Job" and labels(it).get(COMPONENT) == component
    }
    done = {str(it["metadata"]["name"]) for it in seen.of("Job", component) if is_complete(it)}
    return wanted <= done
