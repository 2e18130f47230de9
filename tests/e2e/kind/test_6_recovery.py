"""A ledger that is lost with its volumes comes back from its backups, every acknowledged write of it, or not at all."""

from __future__ import annotations

import json
import time
from pathlib import Path

from chronicle_ledger.backup import cipher

from .children import leftovers
from .machine import Object, until
from .world import Ledger, World

NAMESPACE, CLAIM = "ledger-b", "backups"


def secret(name: str, directory: Path) -> Object:
    """Return a Secret with an encryption key of its own."""
    path = directory / name
    cipher.generate(path)
    meta = {"name": name, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": {"key": path.read_text()}}


def claim() -> Object:
    """Return the claim that outlives the ledger."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    meta = {"name": CLAIM, "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def backups(world: World) -> list[Object]:
    """Return the ChronicleLedgerBackups that were made, oldest first."""
    found = world.kubectl.list("chronicleledgerbackups", NAMESPACE)
    made = [it for it in found if (it.get("status") or {}).get("phase") in ("Succeeded", "Failed")]
    return sorted(made, key=lambda it: str(it["status"].get("completionTime")))


def test_a_ledger_that_is_lost_with_its_volumes_is_restored_and_proven_before_it_serves(
    world: World, tmp_path: Path
) -> None:
    kubectl = world.kubectl
    kubectl.apply(claim(), secret("right-key", tmp_path), secret("wrong-key", tmp_path))
    ledger = world.apply_sample("minimal", NAMESPACE, deletionPolicy="Delete", seal={"mode": "Disabled"})
    ledger.wait_ready(300)
    wanted = {
        "destination": {"claim": {"claimName": CLAIM}},
        "encryptionKeySecretRef": {"name": "right-key", "key": "key"},
        "schedule": "0 0 1 1 *",  # the first one is made at once
    }
    with world.load(ledger) as figures:
        ledger.edit({"seal": {"mode": "Enabled"}})
        until("there is a seal", lambda: ledger.condition("Sealed").get("status") == "True", seconds=120)
        ledger.edit({"backup": wanted})
        until("the clock has had a backup made, under load", lambda: len(backups(world)) == 1, seconds=240)
    assert figures["failed"] == 0, figures["wrong"]
    kubectl.chronicle("backup", ledger.name, "-n", NAMESPACE, seconds=240)
    full, last = backups(world)
    assert (full["status"]["kind"], last["status"]["kind"]) == ("Full", "Incremental")
    for it in (full, last):
        assert (it["status"]["phase"], it["status"]["verified"], it["status"]["encrypted"]) == ("Succeeded", True, True)
    assert full["status"]["seal"]["number"] == 1
    assert ledger.condition("BackedUp")["reason"] == "Verified"
    assert last["status"]["ledgerTransactions"] >= figures["ok"] > full["status"]["ledgerTransactions"] > 0

    kubectl("-n", NAMESPACE, "delete", "chronicleledger", ledger.name, "--timeout=60s")
    until("nothing is left", lambda: not leftovers(ledger, world), seconds=240)
    began = time.monotonic()
    source = {"backup": last["metadata"]["name"], "encryptionKeySecretRef": {"name": "wrong-key", "key": "key"}}
    fresh = world.apply_sample("minimal", NAMESPACE, bootstrap={"restoreFrom": source})
    until("the wrong key is told", lambda: fresh.condition("Restored").get("reason") == "WrongKey", seconds=300)
    assert not kubectl.get("deployment", f"{fresh.name}-api", NAMESPACE), "nothing serves what is not restored"
    assert fresh.condition("Ready")["status"] == "False"
    fresh.edit({"bootstrap": {"restoreFrom": {"encryptionKeySecretRef": {"name": "right-key"}}}})
    fresh.wait_ready(300)
    World.figures["restore of a lost ledger, apply to Ready, s"] = f"{time.monotonic() - began:.0f}"
    restored = fresh.condition("Restored")
    assert (restored["status"], restored["reason"]) == ("True", "Proven")
    assert fresh.status()["restore"]["head"] == last["status"]["head"]
    after = world.ask(fresh, "balance", ACCOUNT=figures["account"])
    assert after["balance"] == figures["balance"] == figures["ok"], "every acknowledged write, and no other"
    assert after["proof"]["result"] == "Passed", after["proof"]
    until("the seals go on", lambda: fresh.condition("Sealed").get("status") == "True", seconds=120)
    forget(fresh, world)


def forget(ledger: Ledger, world: World) -> None:
    """Remove what the tests after this one do not want to see."""
    ledger.edit({"deletionPolicy": "Delete"})
    until(
        "the claims are to go with their StatefulSets",
        lambda: "Delete" in json.dumps([it["spec"]["persistentVolumeClaimRetentionPolicy"]["whenDeleted"] for it in
                                        world.kubectl.list("statefulsets", NAMESPACE)]),
        seconds=60,
    )  # fmt: skip
    world.kubectl("-n", NAMESPACE, "delete", "chronicleledger", ledger.name, "--timeout=60s")
    world.kubectl("-n", NAMESPACE, "delete", "chronicleledgerbackups,pvc,secrets", "--all", "--wait=false")
