"""What speaks against signing a state of the ledger: counted, and the first of it named."""

from __future__ import annotations

NAMED = 5
"""How many faults a refusal names."""


class Faults:
    """The faults of one comparison, in the order in which they were met."""

    def __init__(self) -> None:
        self._count = 0
        self._named: list[str] = []

    def __bool__(self) -> bool:
        return self._count > 0

    def __str__(self) -> str:
        more = f" (and {self._count - NAMED} more)" if self._count > NAMED else ""
        return f"{'; '.join(self._named)}{more}"

    def add(self, message: str) -> None:
        """Count a fault, and keep it where few were met before it."""
        self._count += 1
        if self._count <= NAMED:
            self._named.append(message)
