"""What the checks of a scenario found, and how the read model followed, in a few lines for a terminal.

What a row of the table says already (gap, recovery, losses) is not said again; what failed is told beside the verdict.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chronicle_chaos.load.workload import LOAD_BALANCER
from chronicle_chaos.record.history import History
from chronicle_chaos.record.journal import CheckRecord, ScenarioRecord

INVARIANTS = {
    "conservation": "all accounts sum to {currencyTotal}",
    "floor": "no balance below its floor",
    "durability": "nothing lost",
    "exactly-once": "nothing twice",
    "linearizability": "versions dense, in one order",
    "agreement": "ledger = stream = read model",
}
"""What a passed check of every scenario means, in the fewest words. Names in braces are the check's figures."""
IN_THE_TABLE = {"availability"}


def findings(record: ScenarioRecord, history: History | None) -> list[str]:
    """The lines of one scenario: what is particular to it, the invariants, the read model; none where nothing was
    checked."""
    if not record.checks:
        return []
    own = [_told(c) for c in record.checks if c.name not in INVARIANTS and not (c.name in IN_THE_TABLE and _passed(c))]
    common = [_told(c) for c in record.checks if c.name in INVARIANTS]
    followed = None if history is None else read_model(history)
    return [line for line in ("; ".join(own), "; ".join(common), followed) if line]


def listing(records: Mapping[str, list[str]]) -> Iterator[str]:
    """The lines of several scenarios, by name, the name before the first of each."""
    width = max((len(name) for name in records), default=0)
    for name, lines in records.items():
        for number, line in enumerate(lines):
            yield f"{name if number == 0 else '':{width}}  {line}"


def read_model(history: History) -> str | None:
    """How far the read model was behind by the samples of `/health`; None where none says."""
    lags = [
        o.answered["lag_events"]
        for o in history.health
        if o.target == LOAD_BALANCER and o.answered.get("lag_events") is not None
    ]
    return f"read model: {max(lags):,} events behind at most, {lags[-1]:,} at the end" if lags else None


def _passed(check: CheckRecord) -> bool:
    return check.result == "Passed"


def _told(check: CheckRecord) -> str:
    if not _passed(check):
        return f"{check.name}: {check.result}"
    words = INVARIANTS.get(check.name)
    try:
        return check.message if words is None else words.format(**check.figures)
    except KeyError:  # a journal of another release
        return f"{check.name}: {check.result}"
