"""The Job that moves a database node's replicas to the other nodes and ends when none is left."""

from __future__ import annotations

from chronicle_contract.labels import DOMAIN
from chronicle_operator.day2.decommission import OPERATION, POD
from chronicle_operator.resources import LedgerContext, Manifest, names
from chronicle_operator.resources.cockroachdb import CERTIFICATES, COMMAND, KEY_CHECK_OFF, security_flag
from chronicle_operator.resources.jobs import SMALL
from chronicle_operator.resources.labels import labels, metadata
from chronicle_operator.resources.podkit import (
    COCKROACH_USER,
    CONTAINER_SECURITY,
    LAST_WORDS,
    certificate_volume,
    environment,
    mount,
    pod_security,
    pull_secrets,
)

COMPONENT = "decommission"
RETRIES = 20
"""Attempts of the Job's pod; with Kubernetes' growing pauses that is about an hour and a half."""


def decommission_job(ledger: LedgerContext, pod: str, node: int) -> Manifest:
    """Return the Job that decommissions `node`, which runs in `pod`.

    `--wait=all` (CockroachDB 20.1 to current) returns when the node has no replica left; a repetition after an
    interruption waits on. The command goes to any ready node, so that it also works while the node is restarting.
    """
    tls = ledger.spec.tls_managed
    host = names.service_address(names.cockroach_public(ledger.name), ledger.namespace)
    template: Manifest = {
        "serviceAccountName": names.cockroach(ledger.name),
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        **pull_secrets(ledger),
        "restartPolicy": "OnFailure",
        "securityContext": pod_security(COCKROACH_USER),
        "containers": [
            {
                "name": "decommission",
                "image": ledger.spec.cockroachdb.image,
                "command": [COMMAND],
                "args": [
                    *("node", "decommission", str(node), "--wait=all"),
                    f"--host={host}:{names.SQL_PORT}",
                    security_flag(ledger),
                ],
                "env": environment(KEY_CHECK_OFF if tls else {}),
                "resources": SMALL,
                "securityContext": CONTAINER_SECURITY,
                "terminationMessagePolicy": LAST_WORDS,
                "volumeMounts": [mount("certs", CERTIFICATES)] if tls else [],
            }
        ],
    }
    if tls:
        root = names.root_certificate(ledger.name)
        template["volumes"] = [certificate_volume("certs", root, "client.root.crt", "client.root.key")]
    meta = metadata(ledger, names.hashed(f"{ledger.name}-decommission", {"pod": pod}), COMPONENT)
    meta["annotations"] = {OPERATION: "decommission", POD: pod, f"{DOMAIN}/node": str(node)}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {
            "backoffLimit": RETRIES,
            "template": {"metadata": {"labels": labels(ledger, COMPONENT)}, "spec": template},
        },
    }
