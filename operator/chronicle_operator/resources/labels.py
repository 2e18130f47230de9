"""Labels: the recommended ones on everything, and few of them, unchanging, in selectors."""

from __future__ import annotations

from chronicle_contract.labels import (
    APPLICATION,
    COMPONENT,
    INSTANCE,
    MANAGED_BY,
    MANAGER,
    NAME,
    PART_OF,
    REGION,
    UID,
    VERSION,
)
from chronicle_operator.resources.context import LedgerContext, Manifest


def selector(ledger: LedgerContext, component: str | None = None, region: str | None = None) -> dict[str, str]:
    """Return the labels that select a ledger's pods. They cannot be changed later, so there is nothing else in them."""
    chosen = {NAME: APPLICATION, INSTANCE: ledger.name}
    if component:
        chosen[COMPONENT] = component
    if region:
        chosen[REGION] = region
    return chosen


def labels(ledger: LedgerContext, component: str, region: str | None = None) -> dict[str, str]:
    """Return the labels of an object or a pod template."""
    return {
        **selector(ledger, component, region),
        PART_OF: APPLICATION,
        MANAGED_BY: MANAGER,
        UID: ledger.uid,
    }


def version(image: str) -> str:
    """Return an image's tag as a label's value, empty where it has none (a digest alone)."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    return tag[:63].strip("._-")


def metadata(ledger: LedgerContext, name: str, component: str, region: str | None = None) -> Manifest:
    """Return the metadata of a child: where it is, what it is part of, of which version, and whose it is."""
    found = version(ledger.spec.api.image)
    return {
        "name": name,
        "namespace": ledger.namespace,
        # The version is on the objects alone: in a pod template it would restart a database for each release of ours.
        "labels": labels(ledger, component, region) | ({VERSION: found} if found else {}),
        "ownerReferences": [ledger.owner],
    }
