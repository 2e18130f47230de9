"""What the operator may do: the one source of every Role, plain and in the chart.

No wildcard, no `pods/exec`, and Secrets only namespace by namespace: the rules for them are bound by a RoleBinding
where ledgers live, also when the operator serves all namespaces. A test holds the rules against the calls in the code.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chronicle_operator import kinds
from chronicle_operator.kinds import Kind

Rule = dict[str, Any]

CHILD_VERBS = ("get", "list", "watch", "create", "patch", "delete")


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Rule:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}


def rules() -> list[Rule]:
    """Return the rules for everything but Secrets; they serve as a Role and as a ClusterRole."""
    by_group: dict[str, list[str]] = {}
    for kind in kinds.CHILDREN:
        if kind is not kinds.SECRET:
            by_group.setdefault(kind.group, []).append(kind.plural)
    ledgers = kinds.LEDGER.plural
    return [
        _rule(kinds.GROUP, [ledgers], ["get", "list", "watch"]),
        _rule(kinds.GROUP, [f"{ledgers}/status"], ["get", "patch"]),
        # Needed to own children where the API server guards owner references.
        _rule(kinds.GROUP, [f"{ledgers}/finalizers"], ["update"]),
        *(_rule(group, plurals, CHILD_VERBS) for group, plurals in by_group.items()),
        _rule("", [kinds.POD.plural], ["get", "list", "watch", "delete"]),
        # Volume claims of decommissioned database nodes.
        _rule("", [kinds.VOLUME_CLAIM.plural], ["get", "list", "delete"]),
        _rule(kinds.EVENT.group, [kinds.EVENT.plural], ["create"]),
        # Handed on to the runs of failure scenarios, and to sweep what a dead run left.
        _rule("chaos-mesh.org", ["podchaos", "networkchaos"], ["create", "get", "list", "delete"]),
    ]


def secret_rules() -> list[Rule]:
    """Return the rules for Secrets, to be bound in the namespaces of ledgers only."""
    return [_rule("", [kinds.SECRET.plural], CHILD_VERBS)]


def allows(granted: Sequence[Rule], verb: str, kind: Kind) -> bool:
    """Whether the rules allow `verb` on a kind."""
    return any(
        kind.group in rule["apiGroups"] and kind.plural in rule["resources"] and verb in rule["verbs"]
        for rule in granted
    )
