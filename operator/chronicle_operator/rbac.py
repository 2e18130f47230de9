"""What the operator may do: the one source of every Role, plain and in the chart.

No wildcard, no `pods/exec`, and Secrets only namespace by namespace: the rules for them are bound by a RoleBinding
where ledgers live, also when the operator serves all namespaces. A test records the calls of whole
lives of ledgers and holds the rules against them, both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chronicle_operator import kinds
from chronicle_operator.kinds import Kind

Rule = dict[str, Any]

EDIT = ("list", "watch", "create", "patch")
KEPT = ("Secret", "StatefulSet")
"""Kinds of which the operator deletes none: what they hold cannot be made again."""


def rules() -> list[Rule]:
    """Return the rules for everything but Secrets; they serve as a Role and as a ClusterRole."""
    by_group: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind in kinds.CHILDREN:
        if kind is not kinds.SECRET:
            by_group.setdefault((kind.group, _verbs(kind)), []).append(kind.plural)
    ledgers = kinds.LEDGER.plural
    return [
        _rule(kinds.GROUP, [ledgers], ["get", "list", "watch"]),
        _rule(kinds.GROUP, [f"{ledgers}/status"], ["patch"]),
        # Needed to own children where the API server guards owner references.
        _rule(kinds.GROUP, [f"{ledgers}/finalizers"], ["update"]),
        *(_rule(group, plurals, verbs) for (group, verbs), plurals in by_group.items()),
        # `get` is handed on to the runs of failure scenarios.
        _rule("", [kinds.POD.plural], ["get", "list", "delete"]),
        # Volume claims of decommissioned database nodes.
        _rule("", [kinds.VOLUME_CLAIM.plural], ["list", "delete"]),
        _rule(kinds.EVENT.group, [kinds.EVENT.plural], ["create"]),
        # Handed on to the runs of failure scenarios, and to sweep what a dead run left.
        _rule("chaos-mesh.org", ["podchaos", "networkchaos"], ["create", "get", "list", "delete"]),
    ]


def secret_rules() -> list[Rule]:
    """Return the rules for Secrets, to be bound in the namespaces of ledgers only."""
    return [_rule("", [kinds.SECRET.plural], _verbs(kinds.SECRET))]


def _verbs(kind: Kind) -> tuple[str, ...]:
    # Secrets that lost their labels are looked for by name, reports of scenario runs are read by theirs.
    read = ("get",) if kind.kind in ("Secret", "ConfigMap") else ()
    return (*read, *EDIT, *(() if kind.kind in KEPT else ("delete",)))


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Rule:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
