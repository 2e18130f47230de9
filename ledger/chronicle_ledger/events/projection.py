"""The version rule: what a batch of entries does to the read model. Pure.

For each account: the entry whose version comes next is applied, older ones are skipped, and where versions are missing
in between, they are named, so that they can be read from the ledger. So neither order nor repetition matters.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from chronicle_ledger.store.view_rows import Projection, ViewEntry, ViewState

UNKNOWN = ViewState()


@dataclass(frozen=True, slots=True)
class Contradiction:
    """An entry that does not follow from what the read model has before it."""

    entry: ViewEntry
    reason: str


def missing(states: Mapping[UUID, ViewState], entries: Iterable[ViewEntry]) -> list[tuple[UUID, int, int]]:
    """The gaps: (account, first missing version, last missing version)."""
    versions: dict[UUID, set[int]] = defaultdict(set)
    for entry in entries:
        versions[entry.account_id].add(entry.version)
    gaps = []
    for account, seen in versions.items():
        at = states.get(account, UNKNOWN).version
        for version in sorted(seen):
            if version > at + 1:
                gaps.append((account, at + 1, version - 1))
            at = max(at, version)
    return gaps


def before(entry: ViewEntry) -> ViewState:
    """The state that `entry` itself says it follows."""
    return ViewState(entry.version - 1, entry.balance_after - entry.amount, entry.held_after - entry.held)


def project(
    states: Mapping[UUID, ViewState], entries: Iterable[ViewEntry], trusted: frozenset[tuple[UUID, int]] = frozenset()
) -> Projection | Contradiction:
    """Apply `entries` to `states`, or name the first that contradicts what is before it.

    `trusted` entries (account, version) are the ledger's own word: they are applied whatever came before.
    """
    result = Projection()
    by_account: dict[UUID, list[ViewEntry]] = defaultdict(list)
    for entry in entries:
        by_account[entry.account_id].append(entry)
    for account, own in by_account.items():
        state = states.get(account, UNKNOWN)
        # What the ledger says comes before what a message says of the same version.
        own.sort(key=lambda entry: (entry.version, entry.source is not None, entry.source or 0))
        applied = []
        for entry in own:
            if entry.version <= state.version:
                result.skipped += 1
                continue
            if before(entry) != state and (account, entry.version) not in trusted:
                return Contradiction(entry, _reason(entry, state))
            state = ViewState(entry.version, entry.balance_after, entry.held_after)
            applied.append(entry)
        if applied:
            result.applied[account] = applied
    return result


def _reason(entry: ViewEntry, state: ViewState) -> str:
    if entry.version != state.version + 1:
        return f"version {entry.version} of account {entry.account_id} follows version {state.version} of the ledger"
    return (
        f"version {entry.version} of account {entry.account_id} says balance {entry.balance_after} and held"
        f" {entry.held_after}; what is before it makes {state.balance + entry.amount} and {state.held + entry.held}"
    )


def project_blindly(states: Mapping[UUID, ViewState], entries: Iterable[ViewEntry]) -> Projection:
    """What a projector without the version rule does: whatever comes is added. For sabotage `projector-rule` alone."""
    result = Projection()
    for entry in entries:
        own = result.applied.setdefault(entry.account_id, [])
        known = states.get(entry.account_id, UNKNOWN)
        balance, held = (own[-1].balance_after, own[-1].held_after) if own else (known.balance, known.held)
        own.append(replace(entry, balance_after=balance + entry.amount, held_after=held + entry.held))
    return result
