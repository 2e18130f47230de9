"""What a benchmark gives back, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Options:
    """`seconds` each measurement lasts; `database` limits to one kind."""

    seconds: float
    database: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. `per_second` in transfers (or events), latencies in milliseconds a request."""

    database: str
    what: str
    per_second: float
    p50: float | None = None
    p99: float | None = None
    failed: int = 0
    more: Mapping[str, float] = field(default_factory=dict)

    def as_json(self) -> Mapping[str, object]:
        """For the file."""
        return {
            "database": self.database,
            "what": self.what,
            "perSecond": round(self.per_second),
            "p50Milliseconds": None if self.p50 is None else round(self.p50, 1),
            "p99Milliseconds": None if self.p99 is None else round(self.p99, 1),
            "failed": self.failed,
            **{name: round(value, 2) for name, value in self.more.items()},
        }


def print_table(name: str, rows: Sequence[Row]) -> None:
    """On stdout."""
    table = Table(title=name, title_justify="left")
    for column in ("database", "measured"):
        table.add_column(column)
    for column in ("per second", "p50 ms", "p99 ms", "failed", "more"):
        table.add_column(column, justify="right")
    for row in rows:
        table.add_row(
            row.database,
            row.what,
            f"{row.per_second:,.0f}",
            "" if row.p50 is None else f"{row.p50:.1f}",
            "" if row.p99 is None else f"{row.p99:.1f}",
            str(row.failed),
            ", ".join(f"{key} {value:.2f}" for key, value in row.more.items()),
        )
    Console(width=120).print(table)
