"""The database of a local cluster. Each kind of database is one class that does what `Database` names.

The rest of the cluster, and what breaks it, knows a database by this protocol alone: its nodes are members that are
killed, kept away and released by name, and its regions meet through the proxies of `routes`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from chronicle_chaos import target
from chronicle_chaos.local.cockroach import DATABASE, CockroachNode, initialise
from chronicle_chaos.local.folders import HeldFolder
from chronicle_chaos.local.plan import REGION_A
from chronicle_chaos.local.ports import LOOPBACK
from chronicle_chaos.local.postgres import PORT, Account, PostgresServer
from chronicle_chaos.local.process import SupervisedProcess


@dataclass(frozen=True, slots=True)
class Member:
    """One process of a cluster."""

    component: str
    region: str
    port: int
    url: str
    process: SupervisedProcess
    peers: int | None = None
    """The port by which others of its kind reach it, where they do."""


Add = Callable[[str, Member], None]
"""Make a process a member of the cluster, by name, before it is started: it is watched, and can be broken, from then
on."""


class Database(Protocol):
    """One kind of database, for one cluster."""

    kind: str
    """By which an injector finds out how to ask its nodes (`injectors.local.nodes`)."""

    dialect: target.Database
    """What the ledger speaks to it."""

    routes: Mapping[int, int]
    """What of it crosses between the regions beside the plan's routes: each proxy's port, and the port behind it."""

    outlet: int | None
    """The port of an `Outlet` that leads to the proxies of `routes`, where a program needs one."""

    passwords: Path | None
    """The folder with a file for each user of which the server asks a password; None: it asks for none."""

    def announcement(self) -> str:
        """Return what a person reads when it starts."""

    async def start(self, add: Add, check: Callable[[], None]) -> None:
        """Start every node and wait until the ledger's database takes queries.

        `check` raises where a member has ended. Raises ChaosError.
        """

    def url(self, instance: str, region: str, user: str | None = None) -> str:
        """Return the URL by which an instance in a region reaches it, as `user` (default: its administrator)."""

    async def make_primary(self, name: str) -> None:
        """Make one node the one that takes writes, where there is such a node. Raises ChaosError."""

    async def stop(self) -> None:
        """End every node. Whoever asks it anything has ended before. Safe to call twice."""


class CockroachDatabase:
    """Three CockroachDB nodes, which meet through proxies where they are in different regions."""

    kind = "cockroach"
    dialect: target.Database = "cockroachdb"
    routes: Mapping[int, int] = {}  # the plan has them
    outlet: int | None = None
    passwords: Path | None = None

    def __init__(self, binary: Path, nodes: Sequence[CockroachNode], folder: Path) -> None:
        self._binary = binary
        self._nodes = nodes
        self._folder = folder
        self._processes: list[SupervisedProcess] = []

    def announcement(self) -> str:
        """See `Database.announcement`."""
        return (
            "starting three CockroachDB nodes (on loopback, without a password: every user of this machine can"
            " read and write this ledger)"
        )

    async def start(self, add: Add, check: Callable[[], None]) -> None:
        """See `Database.start`."""
        for node in self._nodes:
            process = node.process(self._binary, self._folder)
            self._processes.append(process)
            add(node.name, Member(self.kind, node.region, node.port, node.url, process, node.port))
            await process.start()
        await initialise(self._binary, self._nodes, check)

    def url(self, instance: str, region: str, user: str | None = None) -> str:
        """See `Database.url`."""
        ports = [node.port for node in self._nodes if node.region == region]
        if instance.endswith("2"):
            ports.reverse()  # replicas of a region begin with different nodes, and fall back on each other's
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in ports)
        return f"postgresql://{user or 'root'}@{hosts}/{DATABASE}?sslmode=disable"

    async def make_primary(self, name: str) -> None:
        """See `Database.make_primary`: all of it takes writes."""

    async def stop(self) -> None:
        """See `Database.stop`."""
        for process in self._processes:
            # Three nodes that are told to drain at once wait for each other for ever; what is on disk is safe anyway.
            await process.kill(keep_away=True)
            await process.stop()


class PostgresDatabase:
    """One PostgreSQL, in region A. `held` are the folders that its account has to get through."""

    kind = "postgres"
    dialect: target.Database = "postgresql"
    routes: Mapping[int, int] = {}
    outlet: int | None = None
    passwords: Path | None = None

    def __init__(self, folder: Path, sockets: Path, held: Sequence[HeldFolder], why: str) -> None:
        """`why` is added to what a person reads: the reason for this database rather than CockroachDB."""
        self._server = PostgresServer(folder, sockets)
        self._held = held
        self._why = why

    def announcement(self) -> str:
        """See `Database.announcement`."""
        return f"starting PostgreSQL{self._why}"

    async def start(self, add: Add, check: Callable[[], None]) -> None:
        """See `Database.start`."""
        del check  # the server watches its own process while it starts
        if account := Account.for_data(self._server.folder / "data"):
            for held in self._held:
                held.admit(account.group)
        await self._server.start()
        if self._server.process is not None:
            add(self.kind, Member(self.kind, REGION_A, PORT, self._server.url, self._server.process))

    def url(self, instance: str, region: str, user: str | None = None) -> str:
        """See `Database.url`."""
        del instance, region  # there is one server
        return self._server.url if user is None else self._server.database_url("postgres", user)

    async def make_primary(self, name: str) -> None:
        """See `Database.make_primary`: all of it takes writes."""

    async def stop(self) -> None:
        """See `Database.stop`."""
        await self._server.stop()
