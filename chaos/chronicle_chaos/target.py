"""Where the ledger under test can be reached; written as JSON by whatever started it, read by the engine."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

Database = Literal["cockroachdb", "patroni", "postgresql"]
"""CockroachDB, PostgreSQL nodes under Patroni, or one PostgreSQL."""


def database_name(database: str, versions: Mapping[str, str]) -> str:
    """Return a database's name and version, as reports show it."""
    postgresql = f"PostgreSQL {versions.get('postgresql', '')}".strip()
    names = {
        "cockroachdb": f"CockroachDB {versions.get('cockroachdb', '')}".strip(),
        "patroni": f"{postgresql} under Patroni {versions.get('patroni', '')}".strip(),
        "postgresql": postgresql,
    }
    return names.get(database, database)


@dataclass(frozen=True, slots=True)
class Target:
    """A running ledger.

    `url` is the load balancer. `regions` maps a region's name to the URLs of its API instances, reached directly
    (past the load balancer). `details` is for the injector alone: pids, control sockets, namespaces.
    """

    kind: Literal["local", "compose", "cluster"]
    url: str
    regions: Mapping[str, tuple[str, ...]]
    database: Database
    api_key: str | None = None
    ca_file: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write as JSON, readable by the owner alone (it may hold a key)."""
        path.touch(mode=0o600)
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Target:
        """Read what `write` wrote. Raises OSError, ValueError or TypeError where that is not what is there."""
        data = json.loads(path.read_text(encoding="utf-8"))
        data["regions"] = {name: tuple(urls) for name, urls in data["regions"].items()}
        return cls(**data)
