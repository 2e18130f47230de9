"""The names of all that belongs to a ledger, said once: for builders, reconcile, scenarios and the command line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

SQL_PORT = 26257
HTTP_PORT = 8080
NATS_PORT = 4222
NATS_ROUTE_PORT = 6222
NATS_MONITOR_PORT = 8222

DATABASE = "chronicle"
MIGRATION_USER = "chronicle_migration"
NATS_USER = "chronicle"
"""The bus's user for people, who may delete messages; the only one before each process had its own."""
NATS_ROLES = ("api", "relay", "projector")
"""Processes with a user of their own, which bears their name."""

LONGEST_LEDGER_NAME = 24
"""Letters of a ledger's name: with component and region (15) a StatefulSet's name keeps the 52 its label allows."""


def cockroach(ledger: str, region: str | None = None) -> str:
    """Return the StatefulSet's name, and without a region also that of the headless Service of all nodes."""
    return _join(ledger, "cockroachdb", region)


def cockroach_public(ledger: str, region: str | None = None) -> str:
    """Return the name of the Service that leads to ready nodes, of one region or of all."""
    return _join(ledger, "cockroachdb", region, "public")


def nats(ledger: str, region: str | None = None) -> str:
    """Return the StatefulSet's name, and without a region also that of the Service for clients."""
    return _join(ledger, "nats", region)


def nats_headless(ledger: str) -> str:
    """Return the name of the headless Service of all NATS servers."""
    return _join(ledger, "nats", "headless")


def api(ledger: str, region: str | None = None) -> str:
    """Return the name of an API Deployment and of its Service; without a region, of the Service that leads to all."""
    return _join(ledger, "api", region)


def api_instances(ledger: str, region: str) -> str:
    """Return the headless Service of a region's API replicas, ready or not."""
    return _join(ledger, "api", region, "instances")


def relay(ledger: str) -> str:
    """Return the name of the relay's Deployment."""
    return _join(ledger, "relay")


def projector(ledger: str) -> str:
    """Return the name of the projector's Deployment."""
    return _join(ledger, "projector")


def scenarios(ledger: str) -> str:
    """Return the name of the ServiceAccount, Role and RoleBinding of scenario runs."""
    return _join(ledger, "scenarios")


def authority(ledger: str) -> str:
    """Return the Secret that holds the certificate authority, with its key: nothing but the operator reads it."""
    return _join(ledger, "ca")


def cockroach_node_certificate(ledger: str) -> str:
    """Return the Secret with the database nodes' certificate."""
    return _join(ledger, "cockroachdb-node")


def cockroach_client_certificate(ledger: str, user: str) -> str:
    """Return the Secret with a database user's certificate."""
    return _join(ledger, "cockroachdb-client", user.removeprefix("chronicle_"))


def root_certificate(ledger: str) -> str:
    """Return the Secret with the certificate of the database's root: for the init, migration and decommission Jobs."""
    return cockroach_client_certificate(ledger, "root")


def nats_certificate(ledger: str) -> str:
    """Return the Secret with the NATS servers' certificate."""
    return _join(ledger, "nats-tls")


def nats_password(ledger: str, role: str | None = None) -> str:
    """Return the Secret with the password of a role's user at NATS, without a role that of the user for people. Routes
    between servers have certificates, or, in a trial without TLS, nothing but the network policy."""
    return _join(ledger, "nats-auth", role)


def nats_passwords(ledger: str) -> list[str]:
    """Return all of them."""
    return [nats_password(ledger, role) for role in (None, *NATS_ROLES)]


def api_certificate(ledger: str) -> str:
    """Return the Secret with the API's certificate; its `ca.crt` is what callers verify it with."""
    return _join(ledger, "api-tls")


def api_keys(ledger: str) -> str:
    """Return the Secret with the hashes of API keys."""
    return _join(ledger, "api-keys")


def report(ledger: str, slot: int) -> str:
    """Return the ConfigMap that holds the report in one of the slots, which are used in turn."""
    return _join(ledger, "report", str(slot))


def admin_key(ledger: str) -> str:
    """Return the Secret with the admin's bearer key, entry `key`."""
    return _join(ledger, "admin-key")


def scenario_key(ledger: str) -> str:
    """Return the Secret with the bearer key of scenario runs, entry `key`."""
    return _join(ledger, "scenario-key")


def seal_key(ledger: str) -> str:
    """Return the Secret with the sealer's key, `sealer.pem`, which the Job of a seal alone mounts, and `public.hex`."""
    return _join(ledger, "seal-key")


def pod_address(pod: str, service: str, namespace: str) -> str:
    """Return the DNS name of a StatefulSet's pod, complete but for the cluster's domain, which resolvers add."""
    return f"{pod}.{service}.{namespace}.svc"


def service_address(service: str, namespace: str) -> str:
    """Return the DNS name of a Service, complete but for the cluster's domain."""
    return f"{service}.{namespace}.svc"


def api_url(ledger: str, namespace: str, *, tls: bool, region: str | None = None) -> str:
    """Return the URL of the API's Service, of one region or of all."""
    scheme = "https" if tls else "http"
    return f"{scheme}://{service_address(api(ledger, region), namespace)}:{HTTP_PORT}"


def hashed(prefix: str, content: Mapping[str, Any]) -> str:
    """Return a name that changes with the content: Jobs cannot be changed, so a changed one is another one."""
    return f"{prefix}-{digest(content)}"


def digest(content: Any) -> str:
    """Return ten hexadecimal digits that change with the content."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:10]


def _join(*parts: str | None) -> str:
    return "-".join(part for part in parts if part)
