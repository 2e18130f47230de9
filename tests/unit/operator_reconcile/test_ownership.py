"""The operator touches what is a ledger's own. Whatever else bears a wanted name stays as it is, and is named."""

from __future__ import annotations

import base64
import contextlib
from copy import deepcopy
from typing import Any

import pytest
from cryptography import x509

from chronicle_kube.kind import Kind
from chronicle_operator.kube import errors, kinds
from chronicle_operator.observe.observe import observe
from chronicle_operator.secrets import certificates
from chronicle_operator.secrets.certificates import Pair, Profile
from support.operator_objects import NOW
from support.operator_world import World

BY_KIND = {it.kind: it for it in kinds.CHILDREN}
CONFIG_MAP, SERVICE = BY_KIND["ConfigMap"], BY_KIND["Service"]
MARKED = {"app.kubernetes.io/managed-by": "chronicle-operator", "app.kubernetes.io/instance": "main"}
Object = dict[str, Any]


def secret(name: str, pair: Pair, **metadata: Any) -> Object:
    """Return a TLS Secret that somebody made."""
    data = {"ca.crt": pair.certificate, "tls.crt": pair.certificate, "tls.key": pair.key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": "ns", **metadata},
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in data.items()},
    }


def foreign(name: str) -> Object:
    """Return a Secret of another application, with an authority's certificate and key."""
    return secret(name, certificates.new_authority("corporate root", NOW), labels={"app": "somebody-else"})


def owner(kind: str, name: str, uid: str) -> Object:
    return {"apiVersion": "x/v1", "kind": kind, "name": name, "uid": uid, "controller": True}


async def refused(world: World, error: type[errors.KubeError], rounds: int = 3, *, after: int = 0) -> None:
    """Reconcile some times, each of which is refused, `after` some that need not be."""
    for _ in range(after):
        with contextlib.suppress(error):
            await world.reconcile()
        world.run_controllers()
    for _ in range(rounds):
        with pytest.raises(error):
            await world.reconcile()
        world.run_controllers()


@pytest.mark.parametrize("name", ["main-ca", "main-api-tls", "main-admin-key", "main-nats-auth"])
async def test_a_secret_of_another_application_is_left_alone_and_named(name: str) -> None:
    world = World()
    before = deepcopy(world.kube.put(kinds.SECRET, foreign(name)))
    await refused(world, errors.NameTaken)
    assert world.kube.find(kinds.SECRET, name) == before
    assert [it["metadata"]["name"] for it in world.kube.of(kinds.SECRET)] == [name], "no certificate of its authority"
    for kind in ("Ready", "Progressing", "CertificatesReady"):
        found = world.condition(kind)
        assert (found["status"], found["reason"]) == ("False", "NameTaken")
        assert f"Secret {name}" in found["message"]
    assert "app.kubernetes.io/managed-by" in world.condition("Ready")["message"], "how to mark one's own"


async def test_a_ledger_begins_once_the_name_is_free() -> None:
    world = World()
    world.kube.put(kinds.SECRET, foreign("main-ca"))
    await refused(world, errors.NameTaken)
    del world.kube.objects["", "Secret", "ns", "main-ca"]
    await world.settle()
    assert world.condition("Ready")["status"] == "True"


@pytest.mark.parametrize("kind", ["ConfigMap", "Deployment", "Service", "StatefulSet", "Role", "ServiceAccount"])
async def test_no_object_that_belongs_to_others_is_overwritten(kind: str) -> None:
    made = World()
    await made.settle()
    model = next(it for it in made.kube.of(BY_KIND[kind]))
    item = {**deepcopy(model), "metadata": {"name": model["metadata"]["name"], "namespace": "ns", "labels": {"a": "b"}}}
    world = World()
    before = deepcopy(world.kube.put(BY_KIND[kind], item))
    await refused(world, errors.NameTaken, after=3)
    after = world.kube.find(BY_KIND[kind], item["metadata"]["name"])
    assert {**after, "status": None} == {**before, "status": None}
    found = world.condition("Ready")
    assert (found["status"], found["reason"]) == ("False", "NameTaken")
    assert f"{kind} {item['metadata']['name']}" in found["message"]
    others = [it for it in world.kube.of(SERVICE) if it["metadata"].get("ownerReferences")]
    assert len(others) >= 3, "one name that is taken keeps no other object from being applied"


async def test_the_object_of_another_owner_is_not_taken_over_whatever_its_labels_say() -> None:
    world = World()
    meta = {"name": "main-nats", "namespace": "ns", "labels": MARKED, "ownerReferences": [owner("Helm", "x", "H")]}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"nats.conf": "theirs"}}
    world.kube.put(CONFIG_MAP, item)
    await refused(world, errors.NameTaken)
    assert world.kube.find(CONFIG_MAP, "main-nats")["data"] == {"nats.conf": "theirs"}
    assert "belongs to Helm x" in world.condition("Ready")["message"]


async def test_two_ledgers_of_one_namespace_do_not_share_an_object() -> None:
    world = World()
    labels = {**MARKED, "app.kubernetes.io/instance": "other"}
    owners = [owner("ChronicleLedger", "other", "O")]
    meta = {"name": "main-relay", "namespace": "ns", "labels": labels, "ownerReferences": owners}
    spec = {"replicas": 1, "template": {}}
    item = {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}
    world.kube.put(kinds.DEPLOYMENT, item)
    await refused(world, errors.NameTaken, after=3)
    assert world.kube.find(kinds.DEPLOYMENT, "main-relay")["spec"] == spec
    assert "belongs to ChronicleLedger other" in world.condition("Ready")["message"]


async def test_nothing_of_a_deleted_ledger_of_the_same_name_is_taken_for_this_ones() -> None:
    world = World()
    gone = {"labels": MARKED, "ownerReferences": [owner("ChronicleLedger", "main", "OLD")]}
    before = deepcopy(world.kube.put(kinds.SECRET, secret("main-ca", certificates.new_authority("old", NOW), **gone)))
    meta = {"name": "main-nats", "namespace": "ns", **deepcopy(gone)}
    world.kube.put(
        CONFIG_MAP, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"nats.conf": "old"}}
    )
    seen = await observe(world.kube, world.ledger)
    assert seen.children == ()
    await refused(world, errors.Conflict)
    assert world.kube.find(kinds.SECRET, "main-ca") == before
    assert "about to be removed" in world.condition("Progressing")["message"]
    world.kube.objects.pop(("", "Secret", "ns", "main-ca"))
    world.kube.objects.pop(("", "ConfigMap", "ns", "main-nats"))
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.kube.find(kinds.SECRET, "main-ca")["data"] != before["data"], "an authority of its own"


async def test_a_restored_authority_that_is_marked_signs_the_certificates() -> None:
    world = World()
    restored = certificates.new_authority("restored", NOW)
    world.kube.put(kinds.SECRET, secret("main-ca", restored, labels=MARKED))
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert base64.b64decode(world.kube.find(kinds.SECRET, "main-ca")["data"]["tls.key"]) == restored.key
    (reference,) = world.kube.find(kinds.SECRET, "main-ca")["metadata"]["ownerReferences"]
    assert reference["uid"] == "L"
    issued = base64.b64decode(world.kube.find(kinds.SECRET, "main-api-tls")["data"]["tls.crt"])
    x509.load_pem_x509_certificate(issued).verify_directly_issued_by(
        x509.load_pem_x509_certificate(restored.certificate)
    )


@pytest.mark.parametrize("label", sorted(MARKED))
async def test_half_a_mark_is_none(label: str) -> None:
    world = World()
    half = {key: value for key, value in MARKED.items() if key != label}
    world.kube.put(kinds.SECRET, secret("main-ca", certificates.new_authority("theirs", NOW), labels=half))
    await refused(world, errors.NameTaken)
    assert "ownerReferences" not in world.kube.find(kinds.SECRET, "main-ca")["metadata"]


async def test_children_that_a_deletion_left_without_an_owner_are_taken_up_again() -> None:
    world = World()
    await world.settle()
    for item in world.kube.objects.values():
        item["metadata"].pop("ownerReferences", None)
    key = world.kube.find(kinds.SECRET, "main-ca")["data"]["tls.key"]
    world.restart()
    await world.settle()
    assert world.condition("Ready")["status"] == "True"
    assert world.kube.find(kinds.SECRET, "main-ca")["data"]["tls.key"] == key
    for kind in (kinds.STATEFUL_SET, kinds.DEPLOYMENT, SERVICE, kinds.SECRET):
        for item in world.kube.of(kind):
            assert item["metadata"]["ownerReferences"][0]["uid"] == "L", item["metadata"]["name"]


async def test_what_somebody_makes_between_the_look_and_the_apply_is_not_overwritten() -> None:
    world = World()

    def race(verb: str, kind: Kind, name: str) -> errors.KubeError | None:
        if (verb, name) == ("patch", "main-nats") and kind is CONFIG_MAP:
            meta = {"name": name, "namespace": "ns"}
            world.kube.trouble = lambda *_: None
            world.kube.put(kind, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": "theirs"}})
        return None

    world.kube.trouble = race
    with pytest.raises(errors.Conflict):
        await world.reconcile()
    assert world.kube.find(CONFIG_MAP, "main-nats")["data"] == {"a": "theirs"}
    await refused(world, errors.NameTaken, 1)


async def test_a_report_is_not_written_over_the_config_map_of_another() -> None:
    world = World()
    await world.settle()
    meta = {"name": "main-report-0", "namespace": "ns"}
    item = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"quarterly": "figures"}}
    world.kube.put(CONFIG_MAP, item)
    world.edit(resilience={"runID": "one"})
    await refused(world, errors.NameTaken)
    assert world.kube.find(CONFIG_MAP, "main-report-0")["data"] == {"quarterly": "figures"}
    assert world.condition("Progressing")["reason"] == "NameTaken"
    assert "ConfigMap main-report-0" in world.condition("Progressing")["message"]


async def test_a_volume_claim_of_another_chart_under_the_name_of_the_ledger_is_not_observed() -> None:
    world = World()
    await world.settle()
    labels = {"app.kubernetes.io/instance": "main", "app.kubernetes.io/name": "postgresql"}
    meta = {"name": "data-main-cockroachdb-3", "namespace": "ns", "labels": labels}
    world.kube.put(kinds.VOLUME_CLAIM, {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta})
    seen = await observe(world.kube, world.ledger)
    claims = {it["metadata"]["name"] for it in seen.claims}
    assert "data-main-cockroachdb-2" in claims
    assert "data-main-cockroachdb-3" not in claims


async def test_an_object_that_somebody_changes_back_each_time_shows_in_the_status() -> None:
    world = World()
    await world.settle()
    await fight(world, rounds=4)
    assert world.condition("Progressing")["reason"] == "UpToDate"
    with pytest.raises(errors.Contested):
        await fight(world, rounds=1)
    found = world.condition("Progressing")
    assert (found["status"], found["reason"]) == ("True", "Contested")
    assert "Service main-api" in found["message"]
    assert "gitops" in found["message"]
    assert world.condition("Ready")["status"] == "True", "it serves"
    await world.settle(2)
    assert world.condition("Progressing")["reason"] == "UpToDate"


async def fight(world: World, rounds: int) -> None:
    """Have another manager set a field of a Service before each reconcile."""
    for _ in range(rounds):
        service = world.kube.find(SERVICE, "main-api")
        world.kube.edit(service, ("metadata", "labels", "app.kubernetes.io/part-of"), "theirs", manager="gitops")
        await world.reconcile()


def test_a_certificate_of_an_authority_of_the_same_name_and_another_key_is_replaced() -> None:
    mine, theirs = (certificates.new_authority("same", NOW) for _ in range(2))
    profile = Profile("api", ("localhost",), server=True)
    assert certificates.must_renew(certificates.issue(theirs, profile, NOW), mine, profile, NOW)
