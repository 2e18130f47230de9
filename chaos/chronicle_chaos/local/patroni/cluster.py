"""The three nodes as processes: started, ready, stopped."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import secrets
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from chronicle_chaos.files import write_whole
from chronicle_chaos.local.environment import inherited
from chronicle_chaos.local.folders import make_private
from chronicle_chaos.local.patroni import configuration, view
from chronicle_chaos.local.patroni.configuration import Secrets
from chronicle_chaos.local.patroni.layout import Layout, PatroniNode
from chronicle_chaos.local.patroni.member import VARIABLE
from chronicle_chaos.local.patroni.node import Orders
from chronicle_chaos.local.patroni.wheels import Means
from chronicle_chaos.local.process import Command, SupervisedProcess
from chronicle_chaos.local.users import UserPasswords
from chronicle_chaos.local.waiting import NotReady, until

SWITCH_SECONDS = 60.0
READY_SECONDS = 180.0
"""On a machine that is busy, and with the leader's key of a run that was killed still on disk."""
FOREIGN = ("PATRONI_", "ETCD", "PG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
"""What etcd and Patroni would take for settings of theirs, or would go around a cut by."""


class NodeInNamespace(SupervisedProcess):
    """A node whose parts are in a PID namespace of their own."""

    def _hit(self, child: asyncio.subprocess.Process) -> None:
        """Kill the namespace's first process. The child waits for it, and it ends after all others (pid_namespaces(7)):
        a child that was killed itself would be gone before its servers are."""
        import psutil

        try:
            first = psutil.Process(child.pid).children()
        except psutil.Error:
            first = []
        if not first:
            child.kill()
        for process in first:
            with suppress(psutil.Error):
                process.kill()


class PatroniCluster:
    """The nodes below `folder`, each with its process by its name in `processes`."""

    def __init__(self, folder: Path, layout: Layout, means: Means, *, synchronous: bool = True) -> None:
        self.layout = layout
        self.processes: dict[str, SupervisedProcess] = {}
        self._folder = folder
        self._means = means
        self._synchronous = synchronous
        self._secrets = _secrets(folder / "postgres-passwords.json")
        self.users = UserPasswords(folder / "database-users")

    @property
    def nodes(self) -> Sequence[PatroniNode]:
        """The nodes, in the order of their names."""
        return self.layout.nodes

    def url(self, region: str, first: int = 0, user: str | None = None) -> str:
        """Return the libpq URL of the primary, as a client of a region reaches it, as `user` (default: superuser)."""
        password = self._secrets.superuser if user is None else self.users.of(user)
        return self.layout.url(region, user or "postgres", password, first=first)

    def prepare(self) -> None:
        """Write what the nodes are told, and make their processes."""
        for node in self.nodes:
            home = make_private(self._folder / node.name)
            self._write(node, home)
            user, group = (a.user, a.group) if (a := self._means.account) else (None, None)
            arguments = [sys.executable, "-m", "chronicle_chaos.local.patroni.node", str(home / "node.json")]
            command = Command(arguments, inherited=_environment(), user=user, group=group, folder=home)
            kind = NodeInNamespace if self._means.namespace else SupervisedProcess
            self.processes[node.name] = kind(node.name, command, home / "node.log")
            if self._means.account is not None:
                for path in (home, *home.iterdir()):
                    os.chown(path, self._means.account.user, self._means.account.group)

    async def start(self, check: Callable[[], None]) -> None:
        """Start every node, and wait until each holds what is acknowledged. Raises ChaosError, or what `check` does."""
        await asyncio.gather(*(process.start() for process in self.processes.values()))
        ports = [node.rest for node in self.nodes]

        async def ready() -> bool:
            return self._ready(await view.ask_any(ports))

        await until(ready, "both standbys count for the quorum of PostgreSQL", seconds=READY_SECONDS, check=check)

    async def stop(self) -> None:
        """End every node; what is on disk is safe. Safe to call twice."""
        for process in self.processes.values():
            await process.kill(keep_away=True)
            await process.stop()
        if not self._means.namespace:
            await asyncio.gather(*(asyncio.to_thread(_reaped, self._folder / node.name) for node in self.nodes))

    async def make_primary(self, name: str) -> None:
        """Make a node the primary where it is not, and wait until both others count again. Raises ChaosError."""
        ports = {node.name: node.rest for node in self.nodes}
        answer = ""

        async def done() -> bool:
            nonlocal answer
            members = await view.ask_any(list(ports.values()))
            primary = view.primary_of(members)
            if primary is None or not self._ready(members):
                return False
            if primary != name:
                _, answer = await view.switch_over(ports[primary], primary, name, self._secrets.rest)
            return primary == name

        try:
            await until(done, f"{name} is the primary", seconds=SWITCH_SECONDS)
        except NotReady as error:
            raise NotReady(f"{error}; Patroni said: {answer or 'nothing'}") from error

    def _ready(self, members: Sequence[view.Member]) -> bool:
        wanted = len(self.nodes)
        return view.whole(members, wanted) if self._synchronous else view.streaming(members, wanted)

    def _write(self, node: PatroniNode, home: Path) -> None:
        means = self._means
        told = configuration.patroni(node, home, means.postgres, self._secrets, synchronous=self._synchronous)
        write_whole(home / "patroni.yml", yaml.safe_dump(told, sort_keys=False), mode=0o600)
        environment = _environment()
        orders = Orders(
            home=str(home),
            client=node.client,
            namespace=means.namespace,
            etcd=[str(means.etcd), *configuration.etcd(node, self.layout, home)],
            etcd_environment=environment | configuration.etcd_environment(node, self.layout),
            patroni=[sys.executable, "-m", "chronicle_chaos.local.patroni.member", str(home / "patroni.yml")],
            patroni_environment=environment | {VARIABLE: json.dumps(self.layout.crossings(node))},
        )
        write_whole(home / "node.json", json.dumps(orders), mode=0o600)


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in inherited().items() if not name.startswith(FOREIGN)}
    return kept | {"PYTHONDONTWRITEBYTECODE": "1"}


def _secrets(path: Path) -> Secrets:
    """Return the passwords of a folder, which are made at its first start: PostgreSQL keeps them with the data."""
    try:
        return Secrets(**json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        made = {name: secrets.token_hex(24) for name in ("superuser", "replication", "rewind", "rest")}
        write_whole(path, json.dumps(made), mode=0o600)
        return Secrets(**made)


def _reaped(home: Path) -> None:
    """Wait until the reaper of a node has ended (see `node`)."""
    try:
        lock = os.open(home / "node.lock", os.O_RDWR)
    except FileNotFoundError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
    finally:
        os.close(lock)
