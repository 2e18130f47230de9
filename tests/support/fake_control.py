"""A local cluster in memory, as its control socket shows it: what is killed is gone, and what is released is back."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from chronicle_chaos.local.control import Control, ControlFailed, Instance
from chronicle_chaos.local.tcp_proxy import Mode, TcpProxy
from chronicle_chaos.target import Target

TARGET = Target("local", "http://127.0.0.1:1", {}, "cockroachdb", details={"control": "/nowhere"})


def an_instance(name: str, port: int = 1, *, region: str = "region-a") -> Instance:
    """One that runs; its component is in its name."""
    return Instance(name, name.rsplit("-", 1)[0], region, port, f"http://127.0.0.1:{port}", 100 + int(name[-1]), 0.0)


@dataclass
class Cluster:
    """What there is. `refuses` are the names, or `links`, of which a request fails."""

    instances: list[Instance]
    links: str = "pass"
    proxies: list[TcpProxy] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    away: set[str] = field(default_factory=set)

    def change(self, name: str, pid: int | None) -> None:
        """Give an instance another process, or none."""
        self.instances = [replace(i, pid=pid) if i.name == name else i for i in self.instances]


@dataclass(frozen=True)
class FakeControl(Control):
    """The client's side of a cluster in memory."""

    socket: Path = Path("/nowhere")
    cluster: Cluster = field(default_factory=lambda: Cluster([]))

    async def instances(self, component: str | None = None) -> list[Instance]:
        return [i for i in self.cluster.instances if component is None or i.component == component]

    async def kill(self, name: str, *, keep_away: bool) -> int | None:
        self._must(name)
        (found,) = [i for i in self.cluster.instances if i.name == name]
        self.cluster.change(name, None if keep_away else (found.pid or 0) + 1000)
        if keep_away:
            self.cluster.away.add(name)
        return found.pid

    async def release(self, name: str) -> None:
        self._must(name)
        if name in self.cluster.away:
            self.cluster.away.discard(name)
            self.cluster.change(name, 5000)

    async def set_links(self, mode: str) -> None:
        self._must("links")
        self.cluster.links = mode
        for proxy in self.cluster.proxies:
            await proxy.set_mode(Mode(mode))

    def _must(self, what: str) -> None:
        if what in self.cluster.refuses:
            raise ControlFailed(f"{what} does not obey")


class Undone:
    """An undo log in memory."""

    def __init__(self) -> None:
        self.entries: list[dict[str, object]] = []

    def record(self, description: str, undo: object) -> None:
        """Remember."""
        del description
        assert isinstance(undo, dict)
        self.entries.append(dict(undo))
