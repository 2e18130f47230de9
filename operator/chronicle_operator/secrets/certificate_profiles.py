"""Which certificates a ledger has: Secret by Secret, what each is for and under which names its server is called."""

from __future__ import annotations

from chronicle_contract.database_users import USERS
from chronicle_operator.resources import names
from chronicle_operator.secrets.certificates import Profile

DOMAIN = "cluster.local"


def of_ledger(name: str, namespace: str, regions: tuple[str, ...]) -> dict[str, Profile]:
    """Return the profile of each certificate by the name of its Secret."""
    headless = names.cockroach(name)
    public = [names.cockroach_public(name), *(names.cockroach_public(name, it) for it in regions)]
    api = [names.api(name), *(names.api(name, it) for it in regions)]
    api += [names.api_instances(name, it) for it in regions]
    node = Profile(
        "node",
        (*_local(), *_under(headless, namespace), *(it for service in public for it in _of(service, namespace))),
        server=True,
        client=True,  # nodes are each other's clients
    )
    bus = Profile(
        "nats",
        (*_local(), *_under(names.nats_headless(name), namespace), *_of(names.nats(name), namespace)),
        server=True,
        client=True,  # servers are each other's clients on routes
    )
    users = ("root", names.MIGRATION_USER, *USERS)
    return {
        names.cockroach_node_certificate(name): node,
        names.nats_certificate(name): bus,
        names.api_certificate(name): Profile(
            "api", (*_local(), *(it for service in api for it in _of(service, namespace))), server=True
        ),
        **{names.cockroach_client_certificate(name, user): Profile(user, client=True) for user in users},
    }


def _local() -> tuple[str, ...]:
    return ("localhost", "127.0.0.1", "::1")


def _of(service: str, namespace: str) -> tuple[str, ...]:
    return (
        service,
        f"{service}.{namespace}",
        f"{service}.{namespace}.svc",
        f"{service}.{namespace}.svc.{DOMAIN}",
    )


def _under(service: str, namespace: str) -> tuple[str, ...]:
    return tuple(f"*.{it}" for it in _of(service, namespace)) + _of(service, namespace)
