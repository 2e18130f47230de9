"""After healing every region tells the same: what one accepted is known to all, and none kept a history of its own."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.judge.checkers.base import CannotTell, Case, conclude
from chronicle_chaos.judge.verdict import CheckResult
from chronicle_chaos.record.final import FinalReads, RegionalState


@dataclass(frozen=True, slots=True)
class RegionsAgree:
    """Asked past the load balancer, one instance of each region is at the same version of every account, with the same
    balance and holds; and none is behind what was read through the load balancer before."""

    name: str = "regions-agree"
    safety: bool = True

    def check(self, case: Case) -> CheckResult:
        """Judge by the final reads. A region that could not be asked about one account leaves the question open."""
        reads = case.reads
        if len(reads.regions) < 2:
            raise CannotTell(f"{len(reads.regions)} regions were read, so there is nobody to agree")
        accounts = dict.fromkeys([*reads.accounts, *reads.absent])
        problems = [problem for account in accounts if (problem := _difference(account, reads))]
        unread = [
            f"{account} in {region}"
            for region, states in reads.regions.items()
            for account in accounts
            if account not in states
        ]
        if not problems and (unread or reads.region_errors):
            first = reads.region_errors[0] if reads.region_errors else unread[0]
            raise CannotTell(f"a region could not be read: {first}")
        return conclude(
            self.name, problems, f"{' and '.join(reads.regions)} agree on {len(accounts)} accounts",
            regions=len(reads.regions), accounts=len(accounts),
        )  # fmt: skip


def _difference(account: str, reads: FinalReads) -> str:
    """What the regions say differently of one account, among those that could be asked; empty where they agree."""
    said = {region: states[account] for region, states in reads.regions.items() if account in states}
    if len(set(said.values())) > 1:
        return f"account {account}: {'; '.join(f'{region} has {_told(state)}' for region, state in said.items())}"
    read = reads.accounts.get(account)
    for region, state in said.items():
        if read is None:
            continue
        was = RegionalState(read.version, read.balance, read.held)
        if state is None or state.version < was.version or (state.version == was.version and state != was):
            return f"account {account}: {region} has {_told(state)}, the load balancer had {_told(was)}"
    return ""


def _told(state: RegionalState | None) -> str:
    if state is None:
        return "no such account"
    return f"version {state.version} with balance {state.balance} and held {state.held}"
