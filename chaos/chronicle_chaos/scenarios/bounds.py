"""What differs by database: how long it takes to notice that a node is gone, and to go on without it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bounds:
    """Seconds after a node was lost, or a region cut off.

    `noticed`: from then on `/health` must not say `ok`. `stall`: by then writes are accepted again, and `degraded` is
    the one true answer. `settled`: by then the majority of a cut database accepts.
    """

    noticed: float
    stall: float
    settled: float


COCKROACHDB = Bounds(
    # A node's liveness record is good for 9 s after its last heartbeat, of which there is one every 4.5 s (CockroachDB
    # 20.1; later releases are faster). Until it has run out nobody can tell a dead node from a slow one, and `ok` is no
    # lie. To it come the second that a finding of `/health` is kept, and gossip, which carries the news and may have to
    # find a new way around what is gone: on two busy cores up to 15 s were measured.
    noticed=18.0,
    # A killed leaseholder stalls its ranges until its leases have run out and each range has found a new one: 7 to
    # 17 s on CockroachDB 20.1, most where the range with the nodes' own liveness was among them.
    stall=25.0,
    # Leases of ranges that the minority held move after they have run out: up to 20 s on CockroachDB 20.1.
    settled=20.0,
)

PATRONI = Bounds(
    # The clients of a primary that was killed notice at once; of one that was cut off, when a statement's time is up.
    noticed=10.0,
    # The leader's key in etcd is good for 20 s, the least that Patroni takes; then the standbys elect. Measured: 20 to
    # 22 s, to which come the connections of each replica to the new primary.
    stall=27.0,
    settled=29.0,
)

BY_DATABASE: Mapping[str, Bounds] = {"cockroachdb": COCKROACHDB, "patroni": PATRONI, "postgresql": COCKROACHDB}
"""One PostgreSQL has no second node: the scenarios that these bounds are for do not apply to it."""
