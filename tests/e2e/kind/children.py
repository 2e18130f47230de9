"""The objects that belong to a ledger: how a test names them, compares them, and waits for them to come back or go."""

from __future__ import annotations

from .machine import Object, until
from .world import Ledger, World


def identity(item: Object) -> str:
    return f"{item['kind']}/{item['metadata']['name']}"


def lasting(ledger: Ledger) -> dict[str, str]:
    """The uid of each child but the Jobs of operations, which come and go."""
    return {identity(it): it["metadata"]["uid"] for it in ledger.children() if it["kind"] != "Job"}


def essence(item: Object) -> Object:
    """Return an object without what changes by itself."""
    meta = {key: item["metadata"].get(key) for key in ("name", "labels", "ownerReferences")}
    rest = {key: value for key, value in item.items() if key not in ("metadata", "status")}
    return {"metadata": meta, **rest}


def back_again(ledger: Ledger, before: dict[str, str], *, seconds: float) -> None:
    """Wait until each of `before` exists with another uid."""

    def missing() -> list[str]:
        now = {identity(it): it["metadata"]["uid"] for it in ledger.children()}
        return [name for name, uid in before.items() if now.get(name, uid) == uid]

    try:
        until("the deleted children are back", lambda: not missing(), seconds=seconds)
    except AssertionError as late:
        raise AssertionError(f"{late}: still missing {missing()}") from None


def leftovers(ledger: Ledger, world: World) -> list[str]:
    kinds = (
        "pods,services,deployments,replicasets,statefulsets,jobs,horizontalpodautoscalers,configmaps,secrets,"
        "serviceaccounts,roles,rolebindings,networkpolicies,poddisruptionbudgets,pvc"
    )
    selector = f"app.kubernetes.io/instance={ledger.name}"
    return [identity(it) for it in world.kubectl.list(kinds, ledger.namespace, selector)]
