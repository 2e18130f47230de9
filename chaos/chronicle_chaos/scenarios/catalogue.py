"""All scenarios, in the order in which they run."""

from __future__ import annotations

from collections.abc import Sequence

from chronicle_chaos.errors import UnknownScenario
from chronicle_chaos.scenarios import (
    api_crash,
    cockroach_node_failure,
    concurrent_withdrawals,
    nats_outage,
    network_partition,
)
from chronicle_chaos.scenarios.bounds import BY_DATABASE, COCKROACHDB
from chronicle_chaos.scenarios.scenario import Scenario

# The partition comes last: what it leaves behind (moved leases, reopened connections) takes longest to settle.
SCENARIOS: tuple[Scenario, ...] = (
    concurrent_withdrawals.SCENARIO,
    nats_outage.SCENARIO,
    api_crash.SCENARIO,
    cockroach_node_failure.SCENARIO,
    network_partition.SCENARIO,
)

NAMES = tuple(s.name for s in SCENARIOS)


def for_database(database: str) -> tuple[Scenario, ...]:
    """All scenarios, with the bounds of a database."""
    bounds = BY_DATABASE.get(database, COCKROACHDB)
    own = (cockroach_node_failure.scenario(bounds), network_partition.scenario(bounds))
    by_name = {it.name: it for it in own}
    return tuple(by_name.get(it.name, it) for it in SCENARIOS)


def find(names: Sequence[str], database: str = "cockroachdb") -> list[Scenario]:
    """The named scenarios in the order of the names, with the bounds of a database; no names mean all.

    Raises UnknownScenario.
    """
    scenarios = for_database(database)
    if not names:
        return list(scenarios)
    by_name = {s.name: s for s in scenarios}
    unknown = [n for n in names if n not in by_name]
    if unknown:
        raise UnknownScenario(f"there is no scenario {unknown[0]!r}; there are: {', '.join(NAMES)}")
    return [by_name[n] for n in names]
