"""Where ledger and events say different things: each is a witness, and one of them was changed."""

from __future__ import annotations

from dataclasses import dataclass, field
from uuid import UUID

NAMED = 10
KEPT = 100_000
"""So many are kept to be restored from; a rewritten ledger with more of them needs a backup."""


@dataclass(frozen=True, slots=True)
class Contradiction:
    """A readable event that the ledger does not agree with. `sequence` is its message (None: a row of the outbox)."""

    transaction: UUID
    sequence: int | None
    what: str

    def __str__(self) -> str:
        where = "a row of the outbox" if self.sequence is None else f"message {self.sequence}"
        return f"{where} speaks of transaction {self.transaction}, which {self.what}"


@dataclass(slots=True)
class Contradictions:
    """All of them counted, the first KEPT named."""

    count: int = 0
    kept: list[Contradiction] = field(default_factory=list)

    def note(self, contradiction: Contradiction) -> None:
        """Take one more."""
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(contradiction)

    def told(self) -> str:
        """Return the first ones in words."""
        more = f" (and {self.count - NAMED} more)" if self.count > NAMED else ""
        return "; ".join(map(str, self.kept[:NAMED])) + more
