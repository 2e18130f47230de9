"""One row of the summary as words, the same on the page, in the terminal and in plain text."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.journal import ScenarioRecord

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
        duration(record.longest_gap_milliseconds),
        duration(record.recovery_milliseconds),
        f"{record.acknowledged_writes:,}",
        "unknown" if record.lost_writes is None else f"{record.lost_writes:,}",
        record.verdict,
    )


def duration(milliseconds: int | None) -> str:
    """Milliseconds in a unit that reads well."""
    if milliseconds is None:
        return "unknown"
    if milliseconds < 1000:
        return f"{milliseconds} ms"
    if milliseconds < 120_000:
        return f"{milliseconds / 1000:.1f} s"
    return f"{milliseconds // 60_000} min {milliseconds % 60_000 // 1000} s"
