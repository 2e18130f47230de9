"""What callers of `Kube` rely on. The double in memory and an API server must both keep it.

Each rule makes what it needs in a namespace of its own, which is empty at first.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chronicle_kube import errors
from chronicle_kube.api import Kube
from chronicle_kube.kind import CONFIG_MAP
from chronicle_operator.kube.kinds import LEDGER

Object = dict[str, Any]
Rule = Callable[[Kube, str], Awaitable[None]]
OTHER_UID = "00000000-0000-4000-8000-000000000000"


def config_map(namespace: str, name: str, data: dict[str, str], **labels: str) -> Object:
    """Return a manifest."""
    meta = {"name": name, "namespace": namespace, "labels": labels}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data}


async def what_is_not_there_is_none_and_its_deletion_no_error(kube: Kube, namespace: str) -> None:
    """`get` and `delete`."""
    assert await kube.get(CONFIG_MAP, namespace, "none") is None
    await kube.delete(CONFIG_MAP, namespace, "none")
    await kube.delete(CONFIG_MAP, namespace, "none", uid=OTHER_UID)


async def what_is_created_is_read_back_once(kube: Kube, namespace: str) -> None:
    """`create` and `get`."""
    made = await kube.create(CONFIG_MAP, config_map(namespace, "one", {"a": "1"}))
    assert await kube.get(CONFIG_MAP, namespace, "one") == made
    assert (made["data"], made["metadata"]["name"]) == ({"a": "1"}, "one")
    with pytest.raises(errors.Conflict):
        await kube.create(CONFIG_MAP, config_map(namespace, "one", {"a": "2"}))


async def a_list_is_of_a_namespace_or_of_all_and_its_items_carry_their_kind(kube: Kube, namespace: str) -> None:
    """`list`."""
    await kube.create(CONFIG_MAP, config_map(namespace, "one", {}, side="left", of=namespace))
    await kube.create(CONFIG_MAP, config_map(namespace, "two", {}, side="right", of=namespace))

    async def names(namespace: str | None, labels: dict[str, str]) -> list[str]:
        items = await kube.list(CONFIG_MAP, namespace, labels)
        assert all((item["apiVersion"], item["kind"]) == ("v1", "ConfigMap") for item in items)
        return sorted(item["metadata"]["name"] for item in items)

    assert await names(namespace, {"of": namespace}) == ["one", "two"]
    assert await names(None, {"of": namespace}) == ["one", "two"]
    assert await names(namespace, {"of": namespace, "side": "left"}) == ["one"]
    assert await names("kube-contract-elsewhere", {}) == []


async def an_apply_makes_what_is_missing_and_removes_what_it_no_longer_gives(kube: Kube, namespace: str) -> None:
    """`apply`."""
    made = await kube.apply(CONFIG_MAP, config_map(namespace, "one", {"a": "1", "b": "1"}))
    assert made["data"] == {"a": "1", "b": "1"}
    applied = await kube.apply(CONFIG_MAP, config_map(namespace, "one", {"a": "1"}), uid=made["metadata"]["uid"])
    assert (applied["data"], applied["metadata"]["uid"]) == ({"a": "1"}, made["metadata"]["uid"])


async def an_apply_by_force_is_over_the_very_object_and_no_other(kube: Kube, namespace: str) -> None:
    """`apply` with and without a uid."""
    there = await kube.create(CONFIG_MAP, config_map(namespace, "one", {"a": "theirs"}))
    mine = config_map(namespace, "one", {"a": "mine"})
    for uid in (None, OTHER_UID):
        with pytest.raises(errors.Conflict):
            await kube.apply(CONFIG_MAP, mine, uid=uid)
    with pytest.raises(errors.Conflict):
        await kube.apply(CONFIG_MAP, config_map(namespace, "none", {}), uid=OTHER_UID)
    assert (await kube.apply(CONFIG_MAP, mine, uid=there["metadata"]["uid"]))["data"] == {"a": "mine"}


async def a_merge_changes_what_it_names_and_needs_an_object(kube: Kube, namespace: str) -> None:
    """`merge`."""
    await kube.create(CONFIG_MAP, config_map(namespace, "one", {"a": "1", "b": "1", "c": "1"}))
    merged = await kube.merge(CONFIG_MAP, namespace, "one", {"data": {"a": "2", "b": None}})
    assert merged["data"] == {"a": "2", "c": "1"}
    with pytest.raises(errors.NotFound):
        await kube.merge(CONFIG_MAP, namespace, "none", {"data": {"a": "2"}})


async def a_deletion_of_one_object_leaves_another_of_its_name(kube: Kube, namespace: str) -> None:
    """`delete` with a uid."""
    there = await kube.create(CONFIG_MAP, config_map(namespace, "one", {}))
    await kube.delete(CONFIG_MAP, namespace, "one", uid=OTHER_UID)
    assert await kube.get(CONFIG_MAP, namespace, "one") is not None
    await kube.delete(CONFIG_MAP, namespace, "one", uid=there["metadata"]["uid"])
    assert await kube.get(CONFIG_MAP, namespace, "one") is None


async def a_status_replaces_the_one_of_the_version_that_was_read(kube: Kube, namespace: str) -> None:
    """`patch_status`."""
    meta, spec = {"name": "one", "namespace": namespace}, {"api": {"image": "none"}, "reconciliation": "Paused"}
    named = {"apiVersion": LEDGER.api_version, "kind": LEDGER.kind, "metadata": meta}
    read = await kube.create(LEDGER, {**named, "spec": spec})
    version = read["metadata"]["resourceVersion"]
    first = await kube.patch_status(LEDGER, namespace, "one", {"scenarioSummary": "1/1 Passed"}, version)
    assert first["status"] == {"scenarioSummary": "1/1 Passed"}
    with pytest.raises(errors.Conflict):
        await kube.patch_status(LEDGER, namespace, "one", {"observedGeneration": 1}, version)
    version = first["metadata"]["resourceVersion"]
    second = await kube.patch_status(LEDGER, namespace, "one", {"observedGeneration": 1}, version)
    assert second["status"] == {"observedGeneration": 1}, "a key that is given no longer is gone"


RULES: tuple[Rule, ...] = (
    what_is_not_there_is_none_and_its_deletion_no_error,
    what_is_created_is_read_back_once,
    a_list_is_of_a_namespace_or_of_all_and_its_items_carry_their_kind,
    an_apply_makes_what_is_missing_and_removes_what_it_no_longer_gives,
    an_apply_by_force_is_over_the_very_object_and_no_other,
    a_merge_changes_what_it_names_and_needs_an_object,
    a_deletion_of_one_object_leaves_another_of_its_name,
    a_status_replaces_the_one_of_the_version_that_was_read,
)
