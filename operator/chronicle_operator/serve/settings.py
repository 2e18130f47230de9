"""What the operator is told at its start: by options of `chronicle operator run`, or by the environment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """How one operator process works.

    `namespaces` empty means every namespace. All times are in seconds. `resync` is the pause between two looks at every
    ledger that nothing was heard of; `run_limit` bounds one reconcile.
    """

    namespaces: tuple[str, ...] = ()
    host: str = "::"  # the kubelet's probes and Prometheus come from outside the pod, by IPv4 or IPv6
    port: int = 8080
    resync: float = 60.0
    run_limit: float = 120.0
    instance: str = "chronicle-operator"

    @property
    def heartbeat_limit(self) -> float:
        """Return the age of the last resync at which the operator counts as stalled."""
        return max(3 * self.resync, 90.0)
