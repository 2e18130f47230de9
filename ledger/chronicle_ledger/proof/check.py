"""One check of a proof: what was compared, how many, and the first difference."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

LOCATED = 20


class Result(StrEnum):
    """How a check, or a whole proof, ended."""

    PASSED = "Passed"
    FAILED = "Failed"
    INCONCLUSIVE = "Inconclusive"
    """It could not be made (NATS cannot be reached): nothing is known, nothing is claimed."""
    NOT_APPLICABLE = "NotApplicable"
    """There is nothing to compare by configuration (no stream)."""


@dataclass(slots=True)
class Check:
    """Counts what it compares and keeps the first difference. `what` names what is counted."""

    name: str
    what: str
    statement: str
    compared: int = 0
    differences: int = 0
    message: str = ""
    located: list[dict[str, Any]] = field(default_factory=list)
    """Where the first differences are, up to LOCATED of them."""
    figures: dict[str, Any] = field(default_factory=dict)
    prevented: Result | None = None

    def differ(self, message: str, **where: Any) -> None:
        """Note a difference; `where` locates it (table, ids, versions, amounts in minor units)."""
        self.differences += 1
        if not self.located:
            self.message = message
        if len(self.located) < LOCATED:
            self.located.append({k: v if isinstance(v, int) or v is None else str(v) for k, v in where.items()})

    @property
    def difference(self) -> dict[str, Any] | None:
        """Where the first difference is."""
        return self.located[0] if self.located else None

    def prevent(self, result: Result, reason: str) -> None:
        """The check cannot be made."""
        self.prevented = result
        self.message = reason

    @property
    def result(self) -> Result:
        """A difference found is found, even where the rest could not be compared."""
        if self.differences:
            return Result.FAILED
        return self.prevented or Result.PASSED

    @property
    def ok(self) -> bool:
        """Nothing speaks against it: passed, or nothing to compare by configuration."""
        return self.result in (Result.PASSED, Result.NOT_APPLICABLE)

    def document(self) -> dict[str, Any]:
        """The check as JSON-ready values."""
        message = self.message or f"{self.statement}: {self.compared} {self.what} compared"
        if self.differences > 1:
            message += f" (and {self.differences - 1} more)"
        return {
            "name": self.name,
            "ok": self.ok,
            "result": self.result.value,
            "what": self.what,
            "compared": self.compared,
            "differences": self.differences,
            "message": message,
            "difference": self.difference,
            "figures": self.figures,
        }


def overall(checks: list[Check]) -> Result:
    """Failed where any failed, else inconclusive where any could not be made, else passed."""
    results = {check.result for check in checks}
    for result in (Result.FAILED, Result.INCONCLUSIVE):
        if result in results:
            return result
    return Result.PASSED
