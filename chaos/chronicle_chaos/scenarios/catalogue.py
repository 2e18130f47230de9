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


def find(names: Sequence[str]) -> list[Scenario]:
    """The named scenarios in the order of the names; no names mean all. Raises UnknownScenario."""
    if not names:
        return list(SCENARIOS)
    by_name = {s.name: s for s in SCENARIOS}
    unknown = [n for n in names if n not in by_name]
    if unknown:
        raise UnknownScenario(f"there is no scenario {unknown[0]!r}; there are: {', '.join(NAMES)}")
    return [by_name[n] for n in names]
