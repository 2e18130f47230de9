"""The whole system as processes of this machine: database, NATS, API replicas, relays, projectors, load balancer."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local import control
from chronicle_chaos.local.binaries import BinaryMissing, chronicle, find_cockroach
from chronicle_chaos.local.cockroach import initialise
from chronicle_chaos.local.environment import inherited, settings
from chronicle_chaos.local.plan import Plan, make_plan
from chronicle_chaos.local.ports import LOOPBACK, free_ports
from chronicle_chaos.local.postgres import PostgresServer
from chronicle_chaos.local.process import Command, SupervisedProcess
from chronicle_chaos.local.proxies import Proxies
from chronicle_chaos.local.tcp_proxy import Mode
from chronicle_chaos.local.versions import versions
from chronicle_chaos.local.waiting import until
from chronicle_chaos.target import Target

Progress = Callable[[str], None]

SOCKET_NAME_BYTES = 107
"""The longest path that a Unix socket may have (unix(7), less the closing zero)."""


@dataclass(frozen=True, slots=True)
class LocalSpec:
    """What to start.

    `database` is `cockroach`, `postgres`, or `auto`: CockroachDB where a binary is found. `folder` None: a temporary
    folder that goes with the cluster. `port` None: any free port. `sabotage` names the one guarantee that this ledger
    lacks (see `chronicle_ledger.sabotage`).
    """

    database: str = "auto"
    folder: Path | None = None
    port: int | None = None
    keys_file: Path | None = None
    api_key: str | None = None
    sabotage: str | None = None


@dataclass(frozen=True, slots=True)
class _Member:
    component: str
    region: str
    port: int
    url: str
    process: SupervisedProcess
    peers: int | None = None
    """The port by which others of its kind reach it, where they do."""


class LocalCluster:
    """An async context manager: entered, everything is ready; left, no process and no temporary file is there.

    Raises ChaosError when something does not start; then the logs are kept, and the message names them.
    """

    def __init__(self, spec: LocalSpec | None = None, progress: Progress = lambda _: None) -> None:
        self.spec = spec or LocalSpec()
        self.versions: dict[str, str] = {}
        self._progress = progress
        self._members: dict[str, _Member] = {}
        self._postgres: PostgresServer | None = None
        self._proxies: Proxies | None = None
        self._balancer: SupervisedProcess | None = None
        self._control: asyncio.Server | None = None
        self._plan: Plan | None = None
        self._cockroach: Path | None = None
        self.folder = Path()
        self._sockets = Path()

    async def __aenter__(self) -> Self:
        # Absolute, because whoever reads the target may be somewhere else.
        self.folder = self.spec.folder.absolute() if self.spec.folder else Path(tempfile.mkdtemp(prefix="chronicle-"))
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "tmp").mkdir(exist_ok=True)
        fits = len(os.fsencode(self.folder / "proxies.sock")) <= SOCKET_NAME_BYTES
        self._sockets = self.folder if fits else Path(tempfile.mkdtemp(prefix="chronicle-"))
        try:
            await self._start()
        except BaseException as error:
            told = isinstance(error, ChaosError | OSError) and any(self.folder.glob("**/*.log"))
            await _to_the_end(self._end(keep=told))
            if told:
                kind = type(error) if isinstance(error, ChaosError) else ChaosError
                raise kind(f"{error}\nthe logs are kept in {self.folder}") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await _to_the_end(self._end(keep=False))

    @property
    def target(self) -> Target:
        """Where the engine finds it."""
        regions: dict[str, tuple[str, ...]] = {}
        for member in self._members.values():
            if member.component == "api":
                regions[member.region] = (*regions.get(member.region, ()), member.url)
        return Target(
            kind="local",
            url=f"http://{LOOPBACK}:{self._layout.load_balancer}",
            regions=regions,
            database="cockroachdb" if self._cockroach else "postgresql",
            api_key=self.spec.api_key,
            details={
                "control": str(self._sockets / "control.sock"),
                "folder": str(self.folder),
                "versions": dict(self.versions),
            },
        )

    @property
    def _layout(self) -> Plan:
        if self._plan is None:
            raise RuntimeError("the cluster is not started")
        return self._plan

    async def _start(self) -> None:
        self._cockroach = self._choose()
        plan = self._plan = make_plan(free_ports, load_balancer=self.spec.port)
        self.versions = await versions(self._cockroach)
        self._proxies = Proxies(self._sockets / "proxies.sock", self.folder / "proxies.log", plan.routes)
        await self._proxies.start()
        why = "" if self.spec.database == "postgres" else " (no cockroach binary; chronicle fetch cockroach gets one)"
        self._progress("starting three CockroachDB nodes" if self._cockroach else f"starting PostgreSQL{why}")
        events = asyncio.create_task(self._start_nats())
        try:
            await self._start_database()
            self._progress("creating the schema")
            await self._migrate()
        finally:
            await events
        self._progress("starting three API replicas, relays and projectors")
        await self._start_services()
        self._progress("starting the load balancer")
        await self._start_balancer()
        await self._wait_until_well()
        self._control = await control.serve(self._sockets / "control.sock", self._obey)

    def _choose(self) -> Path | None:
        if self.spec.database == "postgres":
            return None
        found = find_cockroach()
        if found is None and self.spec.database == "cockroach":
            raise BinaryMissing("no cockroach binary was found; run: chronicle fetch cockroach")
        return found

    async def _start_database(self) -> None:
        if self._cockroach is None:
            self._postgres = PostgresServer(self.folder / "postgres")
            await self._postgres.start()
            if self._postgres.process is not None:
                port = self._postgres.port
                self._add("postgres", _Member("postgres", "region-a", port, self._postgres.url, self._postgres.process))
            return
        nodes = self._layout.cockroach
        for node in nodes:
            process = node.process(self._cockroach, self.folder)
            self._add(node.name, _Member("cockroach", node.region, node.port, node.url, process, node.port))
            await process.start()
        await initialise(self._cockroach, nodes)

    async def _start_nats(self) -> None:
        for node, region in zip(self._layout.nats, ("region-a", "region-a", "region-b"), strict=True):
            process = node.process(self.folder)
            self._add(node.name, _Member("nats", region, node.client, node.url, process, node.route))
            await process.start()

    async def _migrate(self) -> None:
        log = self.folder / "migrate.log"
        command = Command([str(chronicle()), "migrate"], self._environment("migrate", "region-a", 0), inherited())
        once = SupervisedProcess("migrate", command, log)
        if status := await once.run_once(seconds=120):
            raise ChaosError(f"chronicle migrate ended with {status}:\n{once.last_words()}")

    def _environment(self, name: str, region: str, port: int) -> dict[str, str]:
        ours = settings(
            DATABASE_URL=self._database_url(name, region),
            NATS_URLS=",".join(m.url for m in self._of("nats") if m.region == region),
            NATS_REPLICAS="3",
            LISTEN_HOST=LOOPBACK,
            LISTEN_PORT=str(port),
            REGION=region,
            INSTANCE=name,
            KEYS_FILE=str(self.spec.keys_file) if self.spec.keys_file else None,
            SABOTAGE=self.spec.sabotage,
            SABOTAGE_ALLOWED="yes-this-ledger-is-a-test" if self.spec.sabotage else None,
        )
        # A service that is killed cannot remove its temporary files; so they are where all goes in the end.
        return {**ours, "TMPDIR": str(self.folder / "tmp")}

    def _database_url(self, name: str, region: str) -> str:
        if self._postgres is not None:
            return self._postgres.url
        ports = [node.port for node in self._layout.cockroach if node.region == region]
        if name.endswith("2"):
            ports.reverse()  # replicas of a region begin with different nodes, and fall back on each other's
        hosts = ",".join(f"{LOOPBACK}:{port}" for port in ports)
        return f"postgresql://root@{hosts}/chronicle?sslmode=disable"

    async def _start_services(self) -> None:
        plan = self._layout
        services = [(name, "api", region, port) for name, region, port in plan.apis]
        services += [(name, role, region, port) for name, role, region, port in plan.workers]
        for name, role, region, port in services:
            command = Command([str(chronicle()), "serve", role], self._environment(name, region, port), inherited())
            process = SupervisedProcess(name, command, self.folder / f"{name}.log")
            self._add(name, _Member(role, region, port, f"http://{LOOPBACK}:{port}", process))
            await process.start()

    async def _start_balancer(self) -> None:
        urls = [member.url for member in self._of("api")]
        module = [sys.executable, "-m", "chronicle_chaos.local.load_balancer"]
        command = Command([*module, str(self._layout.load_balancer), *urls])
        self._balancer = SupervisedProcess("load-balancer", command, self.folder / "load-balancer.log")
        await self._balancer.start()

    async def _wait_until_well(self) -> None:
        """Every service is ready, and /health says ok through the load balancer."""
        balancer = self._balancer
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def well() -> bool:
                for member in self._members.values():
                    member.process.check()
                if balancer is not None:
                    balancer.check()
                try:
                    for member in (*self._of("api"), *self._of("relay"), *self._of("projector")):
                        async with session.get(f"{member.url}/readyz") as answer:
                            if answer.status != 200:
                                return False
                    async with session.get(f"{self.target.url}/health") as answer:
                        return answer.status == 200 and (await answer.json()).get("status") == "ok"
                except (aiohttp.ClientError, OSError, TimeoutError):
                    return False

            await until(well, "every service is ready and /health says ok", seconds=120)

    def _of(self, component: str) -> list[_Member]:
        return [member for member in self._members.values() if member.component == component]

    def _add(self, name: str, member: _Member) -> None:
        self._members[name] = member

    async def _obey(self, request: Mapping[str, Any]) -> Any:
        match request["op"]:
            case "instances":
                crossings = {upstream: port for port, upstream in self._layout.routes.items()}
                return [
                    {
                        "name": name, "component": m.component, "region": m.region, "port": m.port, "url": m.url,
                        "pid": m.process.pid, "started_at": m.process.started_at,
                        "peers": m.peers, "crossing": None if m.peers is None else crossings[m.peers],
                    }
                    for name, m in self._members.items()
                ]  # fmt: skip
            case "kill":
                return await self._members[request["name"]].process.kill(keep_away=bool(request["keep_away"]))
            case "release":
                self._members[request["name"]].process.release()
            case "links":
                if self._proxies is not None:
                    await self._proxies.set_mode(Mode(request["mode"]))
            case other:
                raise ValueError(f"unknown request {other!r}")
        return None

    async def _stop(self) -> None:
        """End everything, callers before what they call, so that logs end without alarms."""
        if self._control is not None:
            self._control.close()
        if self._balancer is not None:
            await self._balancer.stop()
        for component in ("api", "relay", "projector"):
            await asyncio.gather(*(member.process.stop() for member in self._of(component)))
        for member in self._of("cockroach"):
            # Three nodes that are told to drain at once wait for each other for ever; what is on disk is safe anyway.
            await member.process.kill(keep_away=True)
        await asyncio.gather(*(member.process.stop() for member in self._members.values()))
        if self._postgres is not None:
            await self._postgres.stop()
        if self._proxies is not None:
            await self._proxies.process.stop()

    async def _end(self, *, keep: bool) -> None:
        """Stop everything, and remove what is temporary; `keep`: but for the folder with the logs."""
        await self._stop()
        for name in ("control.sock", "proxies.sock"):
            (self._sockets / name).unlink(missing_ok=True)
        shutil.rmtree(self.folder / "tmp", ignore_errors=True)
        if self._sockets != self.folder:
            shutil.rmtree(self._sockets, ignore_errors=True)
        if self.spec.folder is None and not keep:
            shutil.rmtree(self.folder, ignore_errors=True)


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work that must not be left half done: who asks twice to stop still gets no process left behind.

    Bounded by what it waits for: each process has its grace before SIGKILL.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()
        raise cancelled
    await task
