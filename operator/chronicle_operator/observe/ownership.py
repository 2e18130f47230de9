"""Whose an object is. The operator reads, overwrites and deletes what is a ledger's own, and nothing else of its name.

An object is a ledger's own when the ledger is its controller. One without a controller is its own too where both labels
name the ledger: what `kubectl delete --cascade=orphan` left, or a Secret that was restored from a backup.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chronicle_contract.labels import INSTANCE, MANAGED_BY, MANAGER
from chronicle_operator.kube import errors, kinds


def selector(name: str) -> dict[str, str]:
    """Return the labels that every child of the ledger `name` bears, and by which an object is marked as one."""
    return {MANAGED_BY: MANAGER, INSTANCE: name}


def owned_by(item: Mapping[str, Any], owner_uid: str) -> bool:
    """Whether the object names the ledger as its controller."""
    controller = _controller(item)
    return controller is not None and controller.get("uid") == owner_uid


def is_own(item: Mapping[str, Any], ledger: str, uid: str) -> bool:
    """Whether the object belongs to the ledger of this name and uid."""
    if _controller(item) is not None:
        return owned_by(item, uid)
    return selector(ledger).items() <= (item["metadata"].get("labels") or {}).items()


def taken(item: Mapping[str, Any], ledger: str) -> errors.KubeError:
    """Return the error that stands for an object of a wanted name that is not the ledger's own."""
    meta, controller = item["metadata"], _controller(item)
    subject = f"{item['kind']} {meta['name']}"
    if controller is None:
        return errors.NameTaken(subject, f"ledger {ledger} wants this name, and the object is not one of its own")
    owner = f"{controller.get('kind')} {controller.get('name')}"
    if (controller.get("kind"), controller.get("name")) == (kinds.LEDGER.kind, ledger):
        # Two ledgers of one name never exist at once: the object's owner was deleted, and its children follow.
        return errors.Conflict(subject, f"it is left of a deleted {owner} and is about to be removed with it")
    return errors.NameTaken(subject, f"ledger {ledger} wants this name, and the object belongs to {owner}")


def _controller(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    owners = item["metadata"].get("ownerReferences") or ()
    return next((owner for owner in owners if owner.get("controller")), None)
