"""NATS JetStream: a StatefulSet for each region, one cluster with routes across regions. The image needs no shell."""

from __future__ import annotations

from chronicle_contract.labels import DOMAIN
from chronicle_operator.resources import names, nats_config, placement, stateful_set
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import metadata, selector
from chronicle_operator.resources.placement import Group
from chronicle_operator.resources.podkit import (
    CONTAINER_SECURITY,
    LAST_WORDS,
    NATS_USER,
    certificate_volume,
    common,
    disruption_budget,
    environment,
    from_secret,
    http_probe,
    mount,
    resources,
    scratch,
    secret_annotations,
    service,
)

COMPONENT = "nats"
PORTS = {"client": names.NATS_PORT, "routes": names.NATS_ROUTE_PORT, "monitor": names.NATS_MONITOR_PORT}


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return ConfigMaps, Services, disruption budget and StatefulSets of the bus."""
    groups = placement.nats(ledger)
    name = names.nats(ledger.name)
    found = [
        *(_config_map(ledger, group) for group in groups),
        service(
            metadata(ledger, names.nats_headless(ledger.name), COMPONENT),
            selector(ledger, COMPONENT),
            PORTS,
            clusterIP="None",
            publishNotReadyAddresses=True,
        ),
        service(metadata(ledger, name, COMPONENT), selector(ledger, COMPONENT), {"client": names.NATS_PORT}),
        disruption_budget(metadata(ledger, name, COMPONENT), selector(ledger, COMPONENT)),
    ]
    return found + [_stateful_set(ledger, group) for group in groups]


def seed_hosts(ledger: LedgerContext) -> list[str]:
    """Return the three servers that clients and servers know from their start; they tell of the others."""
    sets = [(names.nats(ledger.name, it.region_name), it.replicas) for it in placement.nats(ledger)]
    headless = names.nats_headless(ledger.name)
    return [names.pod_address(pod, headless, ledger.namespace) for pod in placement.seeds(sets)]


def client_urls(ledger: LedgerContext) -> list[str]:
    """Return what clients connect to."""
    scheme = "tls" if ledger.spec.tls_managed else "nats"
    return [f"{scheme}://{host}:{names.NATS_PORT}" for host in seed_hosts(ledger)]


def _config(ledger: LedgerContext, group: Group) -> dict[str, str]:
    routes = [f"nats://{host}:{names.NATS_ROUTE_PORT}" for host in seed_hosts(ledger)]
    return {"nats.conf": nats_config.text(ledger, group.region_name, routes)}


def _config_map(ledger: LedgerContext, group: Group) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(ledger, names.nats(ledger.name, group.region_name), COMPONENT, group.region_name),
        "data": _config(ledger, group),
    }


def _stateful_set(ledger: LedgerContext, group: Group) -> Manifest:
    return stateful_set.build(
        ledger,
        group,
        COMPONENT,
        names.nats(ledger.name, group.region_name),
        headless=names.nats_headless(ledger.name),
        storage=ledger.spec.nats.storage,
        annotations={
            f"{DOMAIN}/hash-config": names.digest(_config(ledger, group)),
            **secret_annotations(ledger, [names.nats_certificate(ledger.name), *names.nats_passwords(ledger.name)]),
        },
        pod=_pod(ledger, group),
    )


def _pod(ledger: LedgerContext, group: Group) -> Manifest:
    spec, tls = ledger.spec.nats, ledger.spec.tls_managed
    name = names.nats(ledger.name, group.region_name)
    variables = environment({}, POD_NAME="metadata.name")
    for user in (names.NATS_USER, *names.NATS_ROLES):
        secret = names.nats_password(ledger.name, None if user == names.NATS_USER else user)
        variables.append(from_secret(nats_config.password_variable(user), secret, "password"))
    volumes: list[Manifest] = [
        {"name": "config", "configMap": {"name": name}},
        scratch("pid", "1Mi"),
    ]
    if tls:
        volumes.append(certificate_volume("certs", names.nats_certificate(ledger.name), "tls.crt", "tls.key"))
    return {
        "serviceAccountName": names.nats(ledger.name),
        **common(ledger, COMPONENT, group.region, NATS_USER),
        "terminationGracePeriodSeconds": 60,
        "containers": [
            {
                "name": "nats",
                "image": spec.image,
                "args": ["--config", "/etc/nats/nats.conf"],
                "env": variables,
                "ports": [{"name": key, "containerPort": port, "protocol": "TCP"} for key, port in PORTS.items()],
                # A stopping server first hands over its leaders and sends its clients away.
                "lifecycle": {
                    "preStop": {"exec": {"command": ["nats-server", "--signal", f"ldm={nats_config.PID_FILE}"]}}
                },
                # Started means that its streams have caught up; from then on only the server itself is looked at.
                "startupProbe": http_probe(
                    "/healthz", "monitor", tls=False, periodSeconds=3, timeoutSeconds=3, failureThreshold=300
                ),
                "readinessProbe": http_probe(
                    "/healthz?js-server-only=true",
                    "monitor",
                    tls=False,
                    periodSeconds=5,
                    timeoutSeconds=3,
                    failureThreshold=3,
                ),
                "livenessProbe": http_probe(
                    "/healthz?js-enabled-only=true",
                    "monitor",
                    tls=False,
                    periodSeconds=30,
                    timeoutSeconds=5,
                    failureThreshold=3,
                ),
                "resources": resources(spec.resources),
                "securityContext": CONTAINER_SECURITY,
                "terminationMessagePolicy": LAST_WORDS,
                "volumeMounts": [
                    mount("config", "/etc/nats/nats.conf") | {"subPath": "nats.conf"},
                    mount("data", nats_config.STORE, writable=True),
                    mount("pid", "/var/run/nats", writable=True),
                    *([mount("certs", nats_config.CERTIFICATES)] if tls else []),
                ],
            }
        ],
        "volumes": volumes,
    }
