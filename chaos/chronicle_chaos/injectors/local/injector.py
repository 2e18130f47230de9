"""Faults on a cluster of local processes."""

from __future__ import annotations

from pathlib import Path

from chronicle_chaos.injectors.by_hands import ClusterInjector
from chronicle_chaos.injectors.local.hands import LocalHands
from chronicle_chaos.injectors.local.nodes import nodes_of
from chronicle_chaos.local.control import Control
from chronicle_chaos.local.tcp_proxy import Mode
from chronicle_chaos.target import Target


class LocalInjector(ClusterInjector):
    """Breaks a `LocalCluster`, of this process or of another one's `chronicle up`, through its control socket."""

    def __init__(
        self, target: Target, control: Control | None = None, *, cut: Mode = Mode.BLACKHOLE, patience: float = 2.0
    ) -> None:
        """`cut` is what the links do in a partition; `patience` is how many seconds a probe waits for its answer."""
        self._control = control or Control(Path(str(target.details["control"])))
        super().__init__("local", "process", LocalHands(self._control, nodes_of(target), cut, patience))
