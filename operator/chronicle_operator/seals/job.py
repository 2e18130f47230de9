"""The Job that makes one seal. Pure.

Its pod alone mounts the sealer's key. It has no token and writes no object: the seal goes into the database, and the
operator reads the outcome from the container's termination message.
"""

from __future__ import annotations

from collections.abc import Sequence

from chronicle_contract.database_users import SEAL
from chronicle_operator.resources import LedgerContext, Manifest, names, service_pod
from chronicle_operator.resources.labels import labels, metadata
from chronicle_operator.resources.podkit import (
    CHRONICLE_USER,
    CONTAINER_SECURITY,
    environment,
    mount,
    pod_security,
    pull_secrets,
    scratch,
    secret_volume,
)

COMPONENT = "seal"
KEY = "/etc/chronicle/seal"
LONGEST_SECONDS = 60 * 60
KEPT_SECONDS = 24 * 60 * 60
"""How long a Job stays for its log where no other seal is made."""

STATEMENT_SECONDS, REQUEST_SECONDS = 60, 120
"""Longer than the service's own: a page of accounts may wait for a busy database, and nobody waits for a seal."""

# What is printed is the outcome; where the command fails, Kubernetes takes the end of its log instead.
COMMAND = 'exec chronicle seal "$@" > /dev/termination-log'


def job_name(ledger: LedgerContext, slot: str) -> str:
    """Return the name of the Job of one planned time: the same for the same time, so that it cannot start twice."""
    return names.hashed(f"{ledger.name}-seal", {"ledger": ledger.uid, "slot": slot})


def job(ledger: LedgerContext, slot: str, *, last_root: str | None, public_keys: Sequence[str]) -> Manifest:
    """Return the Job. `last_root` is what the last seal must have, None where that is not known; `public_keys` are
    those of earlier seals."""
    spec = ledger.spec
    volumes = [
        scratch(size=service_pod.SCRATCH),
        secret_volume("seal-key", names.seal_key(ledger.name), {"sealer.pem": "sealer.pem"}),
    ]
    mounts = [mount("tmp", "/tmp", writable=True), mount("seal-key", KEY)]  # noqa: S108 - inside the pod
    if spec.tls_managed:
        volumes.append(service_pod.database_volume(ledger, SEAL))
        mounts.append(mount("database-certs", service_pod.DATABASE_CERTIFICATES))
    variables = {
        "CHRONICLE_DATABASE_URL": service_pod.database_url(ledger, SEAL),
        "CHRONICLE_STATEMENT_TIMEOUT": str(STATEMENT_SECONDS),
        "CHRONICLE_REQUEST_DEADLINE": str(REQUEST_SECONDS),
    }
    arguments = [f"--key-file={KEY}/sealer.pem", "--json"]
    arguments += [f"--public-key={it}" for it in public_keys]
    arguments += [f"--last-root={last_root}"] if last_root else []
    container = {
        "name": COMPONENT,
        "image": spec.api.image,
        "imagePullPolicy": spec.api.image_pull_policy,
        "command": ["/bin/sh", "-c", COMMAND, "seal"],
        "args": arguments,
        "env": environment(variables),
        "resources": {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"cpu": "1", "memory": "1Gi"}},
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": mounts,
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(ledger, job_name(ledger, slot), COMPONENT),
        "spec": {
            "backoffLimit": 0,  # a refusal stays one; the operator tries the rest again
            "activeDeadlineSeconds": LONGEST_SECONDS,
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels(ledger, COMPONENT)},
                "spec": {
                    "serviceAccountName": service_pod.account(ledger, "jobs"),
                    "automountServiceAccountToken": False,
                    "enableServiceLinks": False,
                    **pull_secrets(ledger),
                    "restartPolicy": "Never",
                    "securityContext": pod_security(CHRONICLE_USER),
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    }
