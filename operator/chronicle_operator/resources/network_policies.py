"""Who may speak with whom: each component lets in those that need it, and reaches out to those it needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chronicle_contract.labels import COMPONENT, DOMAIN, MANAGER, NAME
from chronicle_operator.crd.spec import Switch
from chronicle_operator.resources import names
from chronicle_operator.resources.context import LedgerContext, Manifest
from chronicle_operator.resources.labels import metadata, selector

METRICS = f"{DOMAIN}/metrics"
"""Pods with this label, set to `true`, may read metrics: give it to Prometheus."""

SERVICES = ("api", "relay", "projector")
JOBS = ("init", "migration", "decommission", "seal")
DATABASE_CLIENTS = (*SERVICES, *JOBS)
BACKUP, RESTORE = "backup", "restore"


def build(ledger: LedgerContext) -> list[Manifest]:
    """Return the policies, none where they are switched off."""
    if ledger.spec.network_policy is Switch.DISABLED:
        return []
    sql, http, client = names.SQL_PORT, names.HTTP_PORT, names.NATS_PORT
    observers = [_operator(), _metrics()]
    keepers = _keepers(ledger)
    everywhere = [_dns()]
    return [
        _policy(
            ledger,
            "cockroachdb",
            ingress=[
                _rule(_pods(ledger, "cockroachdb", *DATABASE_CLIENTS, *keepers), [sql]),
                _rule(observers, [http]),
            ],
            egress=[*everywhere, _rule(_pods(ledger, "cockroachdb"), [sql], "to")],
        ),
        _policy(
            ledger,
            "nats",
            ingress=[
                # A scenario run looks whether the bus can be reached, to prove that a fault is at work.
                _rule(_pods(ledger, *SERVICES, "scenarios", *(it for it in keepers if it == RESTORE)), [client]),
                _rule(_pods(ledger, "nats"), [names.NATS_ROUTE_PORT]),
                _rule([_metrics()], [names.NATS_MONITOR_PORT]),
            ],
            egress=[*everywhere, _rule(_pods(ledger, "nats"), [names.NATS_ROUTE_PORT], "to")],
        ),
        # The API asks everybody for a key, so everybody may ask it.
        _policy(ledger, "api", ingress=[_rule([], [http])], egress=_reach(ledger)),
        *(_policy(ledger, it, ingress=[_rule(observers, [http])], egress=_reach(ledger)) for it in SERVICES[1:]),
        *(
            _policy(ledger, it, ingress=[], egress=[*everywhere, _rule(_pods(ledger, "cockroachdb"), [sql], "to")])
            for it in JOBS
        ),
        *(_policy(ledger, it, ingress=[], egress=egress) for it, egress in keepers.items()),
        # Nobody calls a run. Where it goes is left open: the API server's address and port are the cluster's business,
        # and a run that cannot reach it can neither heal nor report.
        _policy(ledger, "scenarios", ingress=[], egress=None),
    ]


def _keepers(ledger: LedgerContext) -> dict[str, list[Manifest] | None]:
    """Return the components that make or restore backups of this ledger, each with where it may go.

    None: anywhere. The address of an object store is the internet's business.
    """
    found: dict[str, list[Manifest] | None] = {}
    if ledger.spec.backup:
        database = _rule(_pods(ledger, "cockroachdb"), [names.SQL_PORT], "to")
        found[BACKUP] = None if ledger.spec.backup.destination.url else [_dns(), database]
    if ledger.spec.bootstrap:
        source = ledger.spec.bootstrap.restore_from.destination
        found[RESTORE] = _reach(ledger) if source and source.claim else None
    return found


def _reach(ledger: LedgerContext) -> list[Manifest]:
    return [
        _dns(),
        _rule(_pods(ledger, "cockroachdb"), [names.SQL_PORT], "to"),
        _rule(_pods(ledger, "nats"), [names.NATS_PORT], "to"),
    ]


def _policy(
    ledger: LedgerContext, component: str, *, ingress: Sequence[Manifest], egress: Sequence[Manifest] | None
) -> Manifest:
    """Return a component's policy; `egress` None leaves the way out open."""
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": metadata(ledger, f"{ledger.name}-{component}", component),
        "spec": {
            "podSelector": {"matchLabels": selector(ledger, component)},
            "policyTypes": ["Ingress"] if egress is None else ["Ingress", "Egress"],
            "ingress": list(ingress),
            **({} if egress is None else {"egress": list(egress)}),
        },
    }


def _rule(peers: Sequence[Manifest], ports: Sequence[int], direction: str = "from") -> Manifest:
    allowed: Manifest = {"ports": [{"port": port, "protocol": "TCP"} for port in ports]}
    return {direction: list(peers), **allowed} if peers else allowed


def _pods(ledger: LedgerContext, *components: str) -> list[Manifest]:
    return [
        {
            "podSelector": {
                "matchLabels": selector(ledger),
                "matchExpressions": [{"key": COMPONENT, "operator": "In", "values": sorted(components)}],
            }
        }
    ]


def _anywhere(labels: Mapping[str, str]) -> Manifest:
    return {"namespaceSelector": {}, "podSelector": {"matchLabels": dict(labels)}}


def _operator() -> Manifest:
    return _anywhere({NAME: MANAGER})


def _metrics() -> Manifest:
    return _anywhere({METRICS: "true"})


def _dns() -> Manifest:
    # Wherever the cluster's DNS runs: some run it on the nodes themselves.
    return {"ports": [{"port": 53, "protocol": "UDP"}, {"port": 53, "protocol": "TCP"}]}
