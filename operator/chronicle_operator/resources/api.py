"""The HTTP API: a Deployment and Services for each region, and one Service that leads to all."""

from __future__ import annotations

from chronicle_contract.database_users import PROOF, STATUS
from chronicle_operator.resources import names, placement, service_pod
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import labels, metadata, selector
from chronicle_operator.resources.placement import Group
from chronicle_operator.resources.podkit import (
    certificate_volume,
    disruption_budget,
    secret_annotations,
    secret_volume,
    service,
)

COMPONENT = "api"
DRAIN_DELAY_SECONDS = 5
"""How long a stopping replica still accepts requests: until every node's proxy has heard that it is gone."""


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return Services, disruption budget, Deployments and autoscalers of the API."""
    groups = placement.api(ledger)
    name = names.api(ledger.name)
    found = [
        service(metadata(ledger, name, COMPONENT), selector(ledger, COMPONENT), service_pod.PORTS),
        disruption_budget(metadata(ledger, name, COMPONENT), selector(ledger, COMPONENT)),
    ]
    for group in groups:
        if group.region:
            found.append(_regional(ledger, group.region.name))
            found.append(_instances(ledger, group.region.name))
    found += [_deployment(ledger, group) for group in groups]
    if ledger.spec.api.autoscaling and not ledger.spec.hibernated:
        found += [_autoscaler(ledger, group) for group in groups]
    return found


def _regional(ledger: LedgerContext, region: str) -> Manifest:
    name = names.api(ledger.name, region)
    return service(metadata(ledger, name, COMPONENT, region), selector(ledger, COMPONENT, region), service_pod.PORTS)


def _instances(ledger: LedgerContext, region: str) -> Manifest:
    """A region's replicas themselves, ready or not: what a region cut off answers can be asked for only in this way."""
    return service(
        metadata(ledger, names.api_instances(ledger.name, region), COMPONENT, region),
        selector(ledger, COMPONENT, region),
        service_pod.PORTS,
        clusterIP="None",
        publishNotReadyAddresses=True,
    )


def _deployment(ledger: LedgerContext, group: Group) -> Manifest:
    spec = ledger.spec
    region = group.region_name
    volumes: list[tuple[Manifest, str]] = []
    extra = {"CHRONICLE_DRAIN_DELAY": str(DRAIN_DELAY_SECONDS)}
    for user, variable in (
        (PROOF, "CHRONICLE_PROOF_DATABASE_URL"),
        (STATUS, "CHRONICLE_STATUS_DATABASE_URL"),
    ):
        short = user.removeprefix("chronicle_")
        folder = f"{service_pod.DATABASE_CERTIFICATES}-{short}"
        extra[variable] = service_pod.database_url(ledger, user, region, certificates=folder)
        if spec.tls_managed:
            volumes.append((service_pod.database_volume(ledger, user, f"database-certs-{short}"), folder))
    if spec.tls_managed:
        certificate = certificate_volume("tls", names.api_certificate(ledger.name), "tls.crt", "tls.key")
        volumes.append((certificate, service_pod.API_CERTIFICATES))
        extra["CHRONICLE_TLS_CERT_FILE"] = f"{service_pod.API_CERTIFICATES}/tls.crt"
        extra["CHRONICLE_TLS_KEY_FILE"] = f"{service_pod.API_CERTIFICATES}/tls.key"
    if spec.api.auth.mode == "Keys":
        keys = secret_volume("keys", names.api_keys(ledger.name), {"keys.json": "keys.json"})
        volumes.append((keys, service_pod.KEYS))
        extra["CHRONICLE_KEYS_FILE"] = f"{service_pod.KEYS}/keys.json"
    if len(ledger.seal_keys) > 1:  # without them a proof takes the first seal's key for the only one
        extra["CHRONICLE_SEAL_PUBLIC_KEYS"] = ",".join(sorted(ledger.seal_keys))
    template: Manifest = {
        "metadata": {
            "labels": labels(ledger, COMPONENT, region),
            # Certificates and keys are read again when they change; the password of NATS is not.
            "annotations": secret_annotations(ledger, [names.nats_password(ledger.name, COMPONENT)]),
        },
        "spec": service_pod.pod(
            ledger,
            COMPONENT,
            arguments=["serve", "api"],
            region=group.region,
            wanted=spec.api.resources,
            extra_variables=extra,
            extra_volumes=volumes,
            tls=spec.tls_managed,
        ),
    }
    wanted: Manifest = {
        "selector": {"matchLabels": selector(ledger, COMPONENT, region)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}},
        "template": template,
    }
    if spec.hibernated:
        wanted["replicas"] = 0
    elif not spec.api.autoscaling:
        wanted["replicas"] = group.replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata(ledger, names.api(ledger.name, region), COMPONENT, region),
        "spec": wanted,
    }


def _autoscaler(ledger: LedgerContext, group: Group) -> Manifest:
    scaling = ledger.spec.api.autoscaling
    if scaling is None:
        raise ValueError("no autoscaling in the spec")
    name = names.api(ledger.name, group.region_name)
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": metadata(ledger, name, COMPONENT, group.region_name),
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": name},
            "minReplicas": scaling.min_replicas,
            "maxReplicas": scaling.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {
                        "name": "cpu",
                        "target": {"type": "Utilization", "averageUtilization": scaling.target_cpu_utilization},
                    },
                }
            ],
        },
    }
