"""What the operator may do: the one source of every Role, plain and in the chart.

No wildcard and no `pods/exec`. What makes a ledger is bound by a RoleBinding where ledgers live, also when the operator
serves all namespaces: whoever could write Deployments anywhere could mount any Secret anywhere. A test records the
calls of whole lives of ledgers and holds the rules against them, both ways.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chronicle_contract import experiments
from chronicle_kube.kind import Kind
from chronicle_operator.kube import kinds

Rule = dict[str, Any]

EDIT = ("get", "list", "watch", "create", "patch")
"""`get` tells whose an object is before its name is used: it may be without the labels by which children are listed."""

KEPT = ("Secret", "StatefulSet")
"""Kinds of which the operator deletes none: what they hold cannot be made again."""


TRUST = (
    "Whoever writes ledgers runs images of their choice in the namespace, may break the network and the pods in it by"
    " Chaos Mesh, and reads every key of the ledgers. docs/security.md has the whole list."
)
"""What the roles for people say of themselves."""


def namespace_rules() -> list[Rule]:
    """Return the rules for a namespace of ledgers; they serve as a Role and as a ClusterRole that RoleBindings name."""
    by_group: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for kind in kinds.CHILDREN:
        by_group.setdefault((kind.group, _verbs(kind)), []).append(kind.plural)
    ledgers = kinds.LEDGER.plural
    return [
        _rule(kinds.GROUP, [ledgers], ["get", "list", "watch"]),
        _rule(kinds.GROUP, [f"{ledgers}/status"], ["patch"]),
        # Backups by the clock, and what becomes of each. One whose files were deleted goes, too.
        _rule(kinds.GROUP, [kinds.BACKUP.plural], ["get", "list", "watch", "create", "delete"]),
        _rule(kinds.GROUP, [f"{kinds.BACKUP.plural}/status"], ["patch"]),
        # Needed to own children where the API server guards owner references.
        _rule(kinds.GROUP, [f"{ledgers}/finalizers"], ["update"]),
        *(_rule(group, plurals, verbs) for (group, verbs), plurals in by_group.items()),
        # `get` is handed on to the runs of failure scenarios.
        _rule("", [kinds.POD.plural], ["get", "list", "delete"]),
        # Volume claims of decommissioned database nodes.
        _rule("", [kinds.VOLUME_CLAIM.plural], ["list", "delete"]),
        # To tell of transitions, and to read why a controller could not make a pod or a volume.
        _rule(kinds.EVENT.group, [kinds.EVENT.plural], ["create", "list"]),
        # Handed on to the runs of failure scenarios, and to sweep what a dead run left.
        _rule(experiments.GROUP, list(experiments.MADE.values()), ["create", "get", "list", "delete"]),
        _rule(experiments.GROUP, list(experiments.OTHERS.values()), ["list"]),
    ]


def cluster_rules() -> list[Rule]:
    """Return the rules to serve every namespace with: find ledgers, hear of their children, and say what is missing.

    Nothing here writes but the status of a ledger and Events: one in a namespace without the RoleBinding is told so.
    """
    by_group: dict[str, list[str]] = {}
    for kind in kinds.CHILDREN:
        if kind not in kinds.CONFIDENTIAL:
            by_group.setdefault(kind.group, []).append(kind.plural)
    ledgers = kinds.LEDGER.plural
    return [
        _rule(kinds.GROUP, [ledgers], ["get", "list", "watch"]),
        _rule(kinds.GROUP, [f"{ledgers}/status"], ["patch"]),
        _rule(kinds.GROUP, [kinds.BACKUP.plural], ["list", "watch"]),
        _rule(kinds.EVENT.group, [kinds.EVENT.plural], ["create"]),
        *(_rule(group, plurals, ["list", "watch"]) for group, plurals in by_group.items()),
    ]


def view_rules() -> list[Rule]:
    """Return the rules for people who look at ledgers."""
    return [_rule(kinds.GROUP, [kinds.LEDGER.plural, kinds.BACKUP.plural], ["get", "list", "watch"])]


def edit_rules() -> list[Rule]:
    """Return the rules for people who write ledgers."""
    ledgers = kinds.LEDGER.plural
    return [
        _rule(kinds.GROUP, [ledgers, kinds.BACKUP.plural], ["create", "update", "patch", "delete", "deletecollection"]),
        _rule(kinds.GROUP, [f"{ledgers}/scale"], ["get", "update", "patch"]),
    ]


def _verbs(kind: Kind) -> tuple[str, ...]:
    return (*EDIT, *(() if kind.kind in KEPT else ("delete",)))


def _rule(group: str, resources: Sequence[str], verbs: Sequence[str]) -> Rule:
    return {"apiGroups": [group], "resources": list(resources), "verbs": list(verbs)}
