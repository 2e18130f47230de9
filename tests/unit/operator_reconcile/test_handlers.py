"""Events become wake-ups of the right ledger, and the operator's own writes wake nobody."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import kopf
import pytest

from chronicle_operator.kube import kinds
from chronicle_operator.reconcile.workqueue import LedgerKey, WorkQueue
from chronicle_operator.serve import handlers
from chronicle_operator.serve.settings import Settings


class Woken(WorkQueue):
    """A queue that only remembers."""

    def __init__(self) -> None:
        async def never(key: LedgerKey) -> None:
            raise AssertionError(f"nothing is reconciled here: {key}")

        super().__init__(never, clock=time.monotonic)
        self.woken: list[LedgerKey] = []
        self.forgotten: list[LedgerKey] = []

    def wake(self, key: LedgerKey) -> None:
        self.woken.append(key)

    def forget(self, key: LedgerKey) -> None:
        self.forgotten.append(key)


def ledger(generation: int = 1, **meta: Any) -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": "main", "generation": generation, **meta}, "status": {}}


KEY = LedgerKey("ns", "main")


def test_a_new_spec_a_deletion_and_an_annotation_wake_but_a_status_does_not() -> None:
    queue = Woken()
    watch = handlers.Watch(queue, lambda _: None)
    watch.ledger(None, ledger())
    watch.ledger("MODIFIED", ledger() | {"status": {"conditions": []}})
    assert queue.woken == [KEY]
    watch.ledger("MODIFIED", ledger(2))
    watch.ledger("MODIFIED", ledger(2, annotations={"a": "b"}))
    watch.ledger("MODIFIED", ledger(2, annotations={"a": "b"}, deletionTimestamp="now"))
    assert queue.woken == [KEY] * 4


def test_a_deleted_ledger_is_forgotten_and_wakes_again_when_it_comes_back() -> None:
    queue = Woken()
    gone: list[LedgerKey] = []
    watch = handlers.Watch(queue, gone.append)
    watch.ledger("ADDED", ledger())
    watch.ledger("DELETED", ledger())
    assert queue.forgotten == gone == [KEY]
    watch.ledger("ADDED", ledger())
    assert queue.woken == [KEY, KEY]


def test_a_child_wakes_its_owner_and_a_stranger_wakes_nobody() -> None:
    queue = Woken()
    watch = handlers.Watch(queue, lambda _: None)
    label = "app.kubernetes.io/instance"
    watch.child({"metadata": {"namespace": "ns", "name": "x", "labels": {label: "main"}}})
    watch.child({"metadata": {"namespace": "ns", "name": "x", "labels": {"app": "main"}}})
    watch.child({"metadata": {"namespace": "ns", "name": "x"}})
    assert queue.woken == [KEY]


def test_kopf_watches_children_by_label_and_writes_no_annotation_of_its_own_name() -> None:
    chosen = handlers.kopf_settings(Settings(("ns",)), kinds.CHILDREN)
    assert chosen.watching.server_timeout is not None
    assert chosen.watching.client_timeout is not None
    assert chosen.scanning.disabled
    assert not chosen.posting.enabled
    assert len(chosen.watching.label_selectors) == len(kinds.CHILDREN)
    registry = kopf.OperatorRegistry()
    handlers.register(registry, handlers.Watch(Woken(), lambda _: None), kinds.CHILDREN)
    assert len(registry._watching.get_all_handlers()) == len(kinds.CHILDREN) + 2, "ledgers and backups"
    assert not registry._changing.get_all_handlers(), "a handler of changes would add a finalizer or annotations"
    assert not registry._spawning.get_all_handlers()


async def test_kopf_watches_the_cluster_that_the_operator_writes_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = {
        "clusters": [{"name": "c", "cluster": {"server": "https://one", "insecure-skip-tls-verify": True}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    (tmp_path / "config").write_text(json.dumps(document))
    monkeypatch.setenv("KUBECONFIG", f"/nowhere:{tmp_path / 'config'}")
    found = await handlers.login()
    assert (found.server, found.scheme, found.token, found.insecure) == ("https://one", "Bearer", "t", True)
