"""The Job of a run, and the ConfigMap that it reports into. Pure."""

from __future__ import annotations

import json
from typing import Any

from chronicle_contract.labels import RUN
from chronicle_operator.crd.spec import seconds
from chronicle_operator.resources import LedgerContext, Manifest, names, nats, placement
from chronicle_operator.resources.labels import labels, metadata
from chronicle_operator.resources.podkit import (
    CHRONICLE_USER,
    CONTAINER_SECURITY,
    LAST_WORDS,
    environment,
    mount,
    pod_security,
    pull_secrets,
    scratch,
    secret_volume,
)

COMPONENT = "scenarios"
KEY = "/etc/chronicle/key"
AUTHORITY = "/etc/chronicle/tls"
STARTING_SECONDS, WINDOW_SECONDS, RECOVERY_SECONDS, PHASES_SECONDS = 240, 45, 180, 720
"""What a run may take: to start and to report; for each scenario its window and recovery where the spec does not say,
and the deadlines of all phases besides. A test holds them against the engine's."""

KEPT_SECONDS = 24 * 60 * 60
"""How long the Job of a run stays after its end, for its log: the verdicts are in the status, the report kept apart."""

MAJORITY, MINORITY = "region-a", "region-b"
"""What scenarios call the two sides of a partition, whatever the regions are called."""


def report_map(ledger: LedgerContext, slot: int, run_id: str) -> Manifest:
    """Return the empty ConfigMap of a report."""
    meta = metadata(ledger, names.report(ledger.name, slot), COMPONENT)
    meta["annotations"] = {RUN: run_id}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta}


def job_name(ledger: LedgerContext, run_id: str) -> str:
    """Return the name of a run's Job: the same for the same run, so that it cannot start twice."""
    return names.hashed(f"{ledger.name}-run", {"run": run_id, "ledger": ledger.uid})


def job(ledger: LedgerContext, run_id: str, slot: int) -> Manifest:
    """Return the Job of a run."""
    spec = ledger.spec
    volumes = [scratch(size="4Gi")]
    mounts = [mount("tmp", "/tmp", writable=True)]  # noqa: S108 - inside the pod
    if spec.api.auth.mode == "Keys":
        volumes.append(secret_volume("key", names.scenario_key(ledger.name), {"key": "key"}))
        mounts.append(mount("key", KEY))
    if spec.tls_managed:
        volumes.append(secret_volume("tls", names.api_certificate(ledger.name), {"ca.crt": "ca.crt"}))
        mounts.append(mount("tls", AUTHORITY))
    container = {
        "name": "run",
        "image": spec.api.image,
        "imagePullPolicy": spec.api.image_pull_policy,
        "args": ["run-in-cluster"],
        "env": environment({"CHRONICLE_RUN": json.dumps(order(ledger, run_id, slot)), "HOME": "/tmp"}),  # noqa: S108
        "resources": {"requests": {"cpu": "200m", "memory": "192Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
        "securityContext": CONTAINER_SECURITY,
        "terminationMessagePolicy": LAST_WORDS,
        "volumeMounts": mounts,
    }
    meta = metadata(ledger, job_name(ledger, run_id), COMPONENT)
    meta["annotations"] = {RUN: run_id}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": meta,
        "spec": {
            # A run that died is not begun again: half of a fault and a second half make no judgement.
            "backoffLimit": 0,
            # A run that hangs is ended, which heals what it broke.
            "activeDeadlineSeconds": longest(ledger),
            "ttlSecondsAfterFinished": KEPT_SECONDS,
            "template": {
                "metadata": {"labels": labels(ledger, COMPONENT)},
                "spec": {
                    "serviceAccountName": names.scenarios(ledger.name),
                    "automountServiceAccountToken": True,
                    "enableServiceLinks": False,
                    **pull_secrets(ledger),
                    "restartPolicy": "Never",
                    "securityContext": pod_security(CHRONICLE_USER),
                    # Healing, judging and reporting, when the machine is drained.
                    "terminationGracePeriodSeconds": 180,
                    "containers": [container],
                    "volumes": volumes,
                },
            },
        },
    }


def longest(ledger: LedgerContext) -> int:
    """Return the seconds after which a run has passed every deadline of its own."""
    return STARTING_SECONDS + sum(
        int(
            PHASES_SECONDS
            + (_seconds(it.duration) or WINDOW_SECONDS)
            + (_seconds(it.recovery_deadline) or RECOVERY_SECONDS)
        )
        for it in ledger.spec.resilience.scenarios
    )


def order(ledger: LedgerContext, run_id: str, slot: int) -> dict[str, Any]:
    """Return what the run is told (`chronicle_chaos.cluster.job.Order`, which a test holds this against)."""
    spec, tls = ledger.spec, ledger.spec.tls_managed
    divided = sides(ledger)
    scheme = "https" if tls else "http"

    def instances(region: str) -> str:
        host = names.service_address(names.api_instances(ledger.name, region), ledger.namespace)
        return f"{scheme}://{host}:{names.HTTP_PORT}"

    return {
        "run": run_id,
        "ledger": ledger.name,
        "namespace": ledger.namespace,
        "report": names.report(ledger.name, slot),
        "owner": {key: ledger.owner[key] for key in ("apiVersion", "kind", "name", "uid")},
        "url": names.api_url(ledger.name, ledger.namespace, tls=tls),
        "regions": {side: [instances(it) for it in regions] for side, regions in divided.items()},
        "sides": divided,
        "nats": [f"{host}:{names.NATS_PORT}" for host in nats.seed_hosts(ledger)],
        "scenarios": [
            {"name": it.name, "duration": _seconds(it.duration), "recovery": _seconds(it.recovery_deadline)}
            for it in spec.resilience.scenarios
        ],
        "rate": float(spec.resilience.rate),
        "versions": {"cockroachdb": spec.cockroachdb.image, "nats": spec.nats.image, "chronicle": spec.api.image},
        "key_file": f"{KEY}/key" if spec.api.auth.mode == "Keys" else None,
        "ca_file": f"{AUTHORITY}/ca.crt" if tls else None,
    }


def _seconds(duration: str | None) -> float | None:
    return seconds(duration) if duration else None


def sides(ledger: LedgerContext) -> dict[str, list[str]]:
    """Return the two sides of a partition: the last region that is a minority by itself, and all others.

    Only regions with API replicas count, since each side is asked. Empty where there are no such sides.
    """
    groups = [it for it in placement.cockroach(ledger) if it.region]
    total = sum(it.replicas for it in groups)
    answering = {it.region_name for it in placement.api(ledger) if it.replicas}
    minorities = [it for it in groups if it.replicas * 2 < total and it.region_name in answering]
    if len(groups) < 2 or not minorities:
        return {}
    minority = minorities[-1].region_name
    majority = [str(it.region_name) for it in groups if it.region_name != minority]
    if not answering & set(majority):
        return {}
    return {MAJORITY: majority, MINORITY: [str(minority)]}
