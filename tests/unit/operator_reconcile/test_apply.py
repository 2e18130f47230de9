"""Drift is seen from the API server's record of who owns which field; nothing foreign is pruned."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from chronicle_operator.reconcile.apply import Memory, in_order, superfluous

DESIRED: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "c", "namespace": "ns"},
    "data": {"a": "1"},
}


def live(*, uid: str = "u1", fields: dict[str, Any] | None = None, owner: str = "L") -> dict[str, Any]:
    item = deepcopy(DESIRED)
    item["metadata"] |= {
        "uid": uid,
        "ownerReferences": [{"uid": owner, "controller": True}],
        "managedFields": [
            {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {}}},
            {"manager": "chronicle-operator", "operation": "Apply", "fieldsV1": fields or {"f:data": {"f:a": {}}}},
        ],
    }
    return item


def test_an_untouched_object_is_not_applied_again() -> None:
    memory = Memory()
    assert not memory.is_current(DESIRED, live())
    memory.remember(DESIRED, live())
    assert memory.is_current(DESIRED, live())


def test_a_change_of_a_status_or_of_a_foreign_field_is_no_drift() -> None:
    memory = Memory()
    memory.remember(DESIRED, live())
    busy = live() | {"status": {"x": 1}}
    busy["metadata"]["managedFields"][0]["fieldsV1"] = {"f:status": {}}
    assert memory.is_current(DESIRED, busy)


def test_a_field_taken_over_by_another_hand_is_drift() -> None:
    memory = Memory()
    memory.remember(DESIRED, live())
    taken = live()
    taken["metadata"]["managedFields"][1]["fieldsV1"] = {"f:metadata": {}}
    assert not memory.is_current(DESIRED, taken)


def test_a_deleted_or_replaced_object_and_a_new_wish_are_applied() -> None:
    memory = Memory()
    memory.remember(DESIRED, live())
    assert not memory.is_current(DESIRED, None)
    assert not memory.is_current(DESIRED, live(uid="u2"))
    assert not memory.is_current(DESIRED | {"data": {"a": "2"}}, live())


def test_what_is_no_longer_wanted_is_removed() -> None:
    assert [item["metadata"]["name"] for item in superfluous([live()], [], "L")] == ["c"]
    assert superfluous([live()], [DESIRED], "L") == []


def test_what_belongs_to_others_or_was_created_for_its_own_purpose_or_holds_data_stays() -> None:
    created = live()
    created["metadata"]["managedFields"].pop()
    volume, stateful = live() | {"kind": "PersistentVolumeClaim"}, live() | {"kind": "StatefulSet"}
    assert superfluous([live(owner="another"), created, volume, stateful], [], "L") == []


def test_what_others_refer_to_is_applied_first() -> None:
    deployment = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "s"}}
    assert [kind.kind for kind, _ in in_order([deployment, DESIRED, account])] == [
        "ServiceAccount",
        "ConfigMap",
        "Deployment",
    ]
