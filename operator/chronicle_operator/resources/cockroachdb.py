"""CockroachDB: a StatefulSet for each region, one cluster. Flags are those that 20.1 and current releases share."""

from __future__ import annotations

from decimal import Decimal

from chronicle_operator.crd.spec import Resources
from chronicle_operator.resources import names, placement, stateful_set
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import metadata, selector
from chronicle_operator.resources.placement import Group
from chronicle_operator.resources.podkit import (
    COCKROACH_USER,
    CONTAINER_SECURITY,
    LAST_WORDS,
    certificate_volume,
    common,
    disruption_budget,
    environment,
    http_probe,
    mount,
    resources,
    scratch,
    secret_annotations,
    service,
)
from chronicle_operator.resources.quantity import quantity

COMPONENT = "cockroachdb"
COMMAND = "/cockroach/cockroach"
CERTIFICATES = "/cockroach/certs"
DATA = "/cockroach/cockroach-data"
PORTS = {"sql": names.SQL_PORT, "http": names.HTTP_PORT}

# CockroachDB 20.1 refuses a key that its group can read, which is how Kubernetes hands Secrets to non-root users.
# Later releases accept such a key when root owns it, as is the case here, and need no exemption.
KEY_CHECK_OFF = {"COCKROACH_SKIP_KEY_PERMISSION_CHECK": "true"}


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return Services, disruption budget and StatefulSets of the database."""
    groups = placement.cockroach(ledger)
    headless = names.cockroach(ledger.name)
    found = [
        service(
            metadata(ledger, headless, COMPONENT),
            selector(ledger, COMPONENT),
            PORTS,
            # Nodes find each other before any of them can be ready.
            clusterIP="None",
            publishNotReadyAddresses=True,
        ),
        _public(ledger, None),
        *(_public(ledger, group.region_name) for group in groups if group.region),
        disruption_budget(metadata(ledger, headless, COMPONENT), selector(ledger, COMPONENT)),
    ]
    return found + [_stateful_set(ledger, group) for group in groups]


def pod_addresses(ledger: LedgerContext) -> list[str]:
    """Return host and port of the three nodes that the others join."""
    sets = [(names.cockroach(ledger.name, it.region_name), it.replicas) for it in placement.cockroach(ledger)]
    headless = names.cockroach(ledger.name)
    return [f"{names.pod_address(pod, headless, ledger.namespace)}:{names.SQL_PORT}" for pod in placement.seeds(sets)]


def security_flag(ledger: LedgerContext) -> str:
    """Return the flag by which every `cockroach` command finds its certificates, or does without."""
    return f"--certs-dir={CERTIFICATES}" if ledger.spec.tls_managed else "--insecure"


def _public(ledger: LedgerContext, region: str | None) -> Manifest:
    name = names.cockroach_public(ledger.name, region)
    return service(metadata(ledger, name, COMPONENT, region), selector(ledger, COMPONENT, region), PORTS)


def _stateful_set(ledger: LedgerContext, group: Group) -> Manifest:
    return stateful_set.build(
        ledger,
        group,
        COMPONENT,
        names.cockroach(ledger.name, group.region_name),
        headless=names.cockroach(ledger.name),
        storage=ledger.spec.cockroachdb.storage,
        annotations=secret_annotations(ledger, [names.cockroach_node_certificate(ledger.name)]),
        pod=_pod(ledger, group),
    )


def _pod(ledger: LedgerContext, group: Group) -> Manifest:
    spec, tls = ledger.spec.cockroachdb, ledger.spec.tls_managed
    address = names.pod_address("$(POD_NAME)", names.cockroach(ledger.name), ledger.namespace)
    arguments = [
        "start",
        f"--join={','.join(pod_addresses(ledger))}",
        f"--listen-addr=:{names.SQL_PORT}",
        f"--advertise-addr={address}:{names.SQL_PORT}",
        f"--http-addr=:{names.HTTP_PORT}",
        f"--store=path={DATA}",
        f"--cache={_of_limit(spec.cache, spec.resources)}",
        f"--max-sql-memory={_of_limit(spec.max_sql_memory, spec.resources)}",
        "--logtostderr=INFO",
        security_flag(ledger),
    ]
    if group.region:
        arguments.append(f"--locality=region={group.region.name}")
    return {
        "serviceAccountName": names.cockroach(ledger.name),
        **common(ledger, COMPONENT, group.region, COCKROACH_USER),
        "terminationGracePeriodSeconds": spec.termination_grace_period_seconds,
        "containers": [
            {
                "name": "cockroachdb",
                "image": spec.image,
                "command": [COMMAND],
                "args": arguments,
                "env": environment(KEY_CHECK_OFF if tls else {}, POD_NAME="metadata.name"),
                "ports": [{"name": key, "containerPort": port, "protocol": "TCP"} for key, port in PORTS.items()],
                # `/health` says whether this node lives, whatever its peers do: no restart because of a partition.
                "livenessProbe": http_probe(
                    "/health",
                    "http",
                    tls=tls,
                    initialDelaySeconds=30,
                    periodSeconds=10,
                    timeoutSeconds=5,
                    failureThreshold=6,
                ),
                "readinessProbe": http_probe(
                    "/health?ready=1", "http", tls=tls, periodSeconds=3, timeoutSeconds=3, failureThreshold=2
                ),
                "resources": resources(spec.resources),
                "securityContext": CONTAINER_SECURITY,
                "terminationMessagePolicy": LAST_WORDS,
                "volumeMounts": [
                    mount("data", DATA, writable=True),
                    mount("tmp", "/tmp", writable=True),  # noqa: S108 - inside the pod
                    *([mount("certs", CERTIFICATES)] if tls else []),
                ],
            }
        ],
        "volumes": [scratch(), *(_certificates(ledger) if tls else [])],
    }


def _of_limit(share: str, given: Resources) -> str:
    """Return a share of the memory limit as a size; what is a size already, or has no limit to be a share of, as it is.

    CockroachDB would take the share itself, but older releases see no limit of cgroup v2 and take it of the machine.
    """
    limit = (given.limits or {}).get("memory")
    if limit is None or not (share.endswith("%") or share.startswith(".")):
        return share
    part = Decimal(share.rstrip("%")) / (100 if share.endswith("%") else 1)
    return f"{int(quantity(str(limit)) * part) >> 20}MiB"


def _certificates(ledger: LedgerContext) -> list[Manifest]:
    return [certificate_volume("certs", names.cockroach_node_certificate(ledger.name), "node.crt", "node.key")]
