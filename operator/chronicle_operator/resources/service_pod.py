"""The pods of our own image: API, relay, projector, and the Jobs that run `chronicle`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chronicle_contract.database_users import SERVING
from chronicle_operator.crd.spec import Region, Resources, seconds
from chronicle_operator.resources import names, nats
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.podkit import (
    CHRONICLE_USER,
    CONTAINER_SECURITY,
    LAST_WORDS,
    certificate_volume,
    common,
    environment,
    http_probe,
    mount,
    resources,
    scratch,
    secret_volume,
)

DATABASE_CERTIFICATES = "/etc/chronicle/database"
NATS_CERTIFICATES = "/etc/chronicle/nats"
NATS_PASSWORD = "/etc/chronicle/nats-auth"  # noqa: S105 - a directory
API_CERTIFICATES = "/etc/chronicle/tls"
KEYS = "/etc/chronicle/keys"
PORTS = {"http": names.HTTP_PORT}
SCRATCH = "4Gi"
"""A proof keeps its digests in a temporary file, some hundred bytes for each transaction."""


def database_url(
    ledger: LedgerContext, user: str, region: str | None = None, *, certificates: str = DATABASE_CERTIFICATES
) -> str:
    """Return where a process finds the database as `user`, whose certificate is in the folder `certificates`.

    The nodes of its own region come first, then any.
    """
    services = [names.cockroach_public(ledger.name, region)] if region else []
    services.append(names.cockroach_public(ledger.name))
    hosts = [names.service_address(it, ledger.namespace) for it in services]
    security = (
        f"sslmode=verify-full&sslrootcert={certificates}/ca.crt"
        f"&sslcert={certificates}/client.crt&sslkey={certificates}/client.key"
        if ledger.spec.tls_managed
        else "sslmode=disable"
    )
    authority = f"{user}@{','.join(f'{host}:{names.SQL_PORT}' for host in hosts)}"
    return f"postgresql://{authority}/{names.DATABASE}?{security}"


def variables(ledger: LedgerContext, component: str, region: str | None) -> dict[str, str]:
    """Return the settings that all long-running roles have; the users at database and NATS are the component's own."""
    spec = ledger.spec
    chosen = {
        "CHRONICLE_DATABASE_URL": database_url(ledger, SERVING[component], region),
        "CHRONICLE_DATABASE_POOL_SIZE": str(spec.api.database_pool_size),
        "CHRONICLE_STATEMENT_TIMEOUT": f"{seconds(spec.api.statement_timeout):g}",
        "CHRONICLE_REQUEST_DEADLINE": f"{seconds(spec.api.request_deadline):g}",
        "CHRONICLE_LISTEN_HOST": "::",
        "CHRONICLE_LISTEN_PORT": str(names.HTTP_PORT),
        "CHRONICLE_REGION": region or "",
        "CHRONICLE_INSTANCE": "$(POD_NAME)",
        "CHRONICLE_LOG_FORMAT": "json",
        "CHRONICLE_NATS_URLS": ",".join(nats.client_urls(ledger)),
        "CHRONICLE_NATS_USER": component,
        "CHRONICLE_NATS_PASSWORD_FILE": f"{NATS_PASSWORD}/password",
        "CHRONICLE_NATS_REPLICAS": "3",
    }
    if spec.tls_managed:
        chosen["CHRONICLE_NATS_CA_FILE"] = f"{NATS_CERTIFICATES}/ca.crt"
    return chosen


def pod(
    ledger: LedgerContext,
    component: str,
    *,
    arguments: Sequence[str],
    region: Region | None,
    wanted: Resources,
    extra_variables: Mapping[str, str],
    extra_volumes: Sequence[tuple[Manifest, str]] = (),
    tls: bool = False,
) -> Manifest:
    """Return the spec of a long-running pod; `extra_volumes` are volumes and where to mount them."""
    volumes = [*_volumes(ledger, component), *extra_volumes]
    return {
        "serviceAccountName": account(ledger, component),
        **common(ledger, component, region, CHRONICLE_USER, rolled=True),
        # Drain delay and drain time-out, and some seconds for the rest.
        "terminationGracePeriodSeconds": 45,
        "containers": [
            {
                "name": component,
                "image": ledger.spec.api.image,
                "imagePullPolicy": ledger.spec.api.image_pull_policy,
                "args": list(arguments),
                "env": environment(
                    {**variables(ledger, component, region.name if region else None), **extra_variables},
                    POD_NAME="metadata.name",
                ),
                "ports": [{"name": key, "containerPort": port, "protocol": "TCP"} for key, port in PORTS.items()],
                "startupProbe": http_probe(
                    "/livez", "http", tls=tls, periodSeconds=1, timeoutSeconds=3, failureThreshold=60
                ),
                "livenessProbe": http_probe(
                    "/livez", "http", tls=tls, periodSeconds=10, timeoutSeconds=5, failureThreshold=3
                ),
                "readinessProbe": http_probe(
                    "/readyz", "http", tls=tls, periodSeconds=3, timeoutSeconds=3, failureThreshold=2
                ),
                "resources": resources(wanted),
                "securityContext": CONTAINER_SECURITY,
                "terminationMessagePolicy": LAST_WORDS,
                "volumeMounts": [
                    mount("tmp", "/tmp", writable=True),  # noqa: S108 - inside the pod
                    *(mount(volume["name"], path) for volume, path in volumes),
                ],
            }
        ],
        "volumes": [scratch(size=SCRATCH), *(volume for volume, _ in volumes)],
    }


def account(ledger: LedgerContext, component: str) -> str:
    """Return the name of a component's ServiceAccount."""
    return f"{ledger.name}-{component}"


def database_volume(ledger: LedgerContext, user: str, name: str = "database-certs") -> Manifest:
    """Return the volume with a database user's certificate, as `client.crt` and `client.key`."""
    secret = names.cockroach_client_certificate(ledger.name, user)
    return certificate_volume(name, secret, "client.crt", "client.key")


def _volumes(ledger: LedgerContext, component: str) -> list[tuple[Manifest, str]]:
    password = names.nats_password(ledger.name, component)
    found = [(secret_volume("nats-auth", password, {"password": "password"}), NATS_PASSWORD)]
    if ledger.spec.tls_managed:
        authority = secret_volume("nats-certs", names.nats_certificate(ledger.name), {"ca.crt": "ca.crt"})
        found.append((database_volume(ledger, SERVING[component]), DATABASE_CERTIFICATES))
        found.append((authority, NATS_CERTIFICATES))
    return found
