"""One row of the summary as words: the same on the page, in a terminal, in plain text, local or of a cluster."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.record.journal import ScenarioRecord

NOTHING = "-"


@dataclass(frozen=True, slots=True)
class Row:
    """What a person wants to know first. A dash where nothing was broken, `unknown` where nobody knows."""

    name: str
    proven: str
    gap: str
    recovery: str
    acknowledged: str
    lost: str
    verdict: str


def row(record: ScenarioRecord) -> Row:
    """The row of a scenario; figures only where a fault was injected, so nothing that did not run looks measured."""
    if record.fault_window is None:
        return Row(record.name, *(NOTHING,) * 5, record.verdict)
    return Row(
        record.name,
        "yes" if record.fault_confirmed else "no",
        _seconds(record.longest_gap_milliseconds),
        _seconds(record.recovery_milliseconds),
        f"{record.acknowledged_writes:,}",
        "unknown" if record.lost_writes is None else f"{record.lost_writes:,}",
        record.verdict,
    )


def _seconds(milliseconds: int | None) -> str:
    """Seconds, to a tenth, whatever the size: a column in one unit can be compared at a glance.

    A tenth is also what the measurement gives: at 30 requests a second, two of them are 33 ms apart at best. The
    journal has the milliseconds.
    """
    if milliseconds is None:
        return "unknown"
    if 0 < milliseconds < 100:
        return "< 0.1 s"
    return f"{milliseconds / 1000:,.1f} s"
