"""The whole system as processes of this machine: database, NATS, API replicas, relays, projectors, load balancer."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.binaries import BinaryMissing, chronicle, find_cockroach
from chronicle_chaos.local.databases import CockroachDatabase, Database, Member, PostgresDatabase
from chronicle_chaos.local.environment import inherited, settings
from chronicle_chaos.local.folders import HeldFolder, folder_for_sockets, make_private, sweep
from chronicle_chaos.local.lines import serve
from chronicle_chaos.local.nats import Passwords
from chronicle_chaos.local.patroni.configuration import UNREPLICATED
from chronicle_chaos.local.patroni.database import PatroniDatabase
from chronicle_chaos.local.patroni.layout import Layout, number_of_ports
from chronicle_chaos.local.patroni.wheels import Means, PatroniImpossible, find_means
from chronicle_chaos.local.plan import PLACEMENT, REGION_A, Plan, make_plan
from chronicle_chaos.local.ports import LOOPBACK, free_ports
from chronicle_chaos.local.process import Command, SupervisedProcess
from chronicle_chaos.local.proxies import Proxies
from chronicle_chaos.local.tcp_proxy import Mode
from chronicle_chaos.local.users import of_process
from chronicle_chaos.local.versions import versions
from chronicle_chaos.local.waiting import until
from chronicle_chaos.target import Database as DatabaseKind
from chronicle_chaos.target import Target
from chronicle_contract.database_users import PROOF, STATUS
from chronicle_contract.sabotage import PERMISSION_VALUE

Progress = Callable[[str], None]
NAMES = {"cockroachdb": "CockroachDB", "patroni": "PostgreSQL under Patroni", "postgresql": "one PostgreSQL"}
CHOICES: Mapping[str, DatabaseKind] = {"cockroach": "cockroachdb", "patroni": "patroni", "postgres": "postgresql"}
ASKED = {database: asked for asked, database in CHOICES.items()}


class OtherDatabase(ChaosError):
    """The data folder holds a ledger on another database than the one that was asked for."""


@dataclass(frozen=True, slots=True)
class LocalSpec:
    """What to start.

    `database` is `cockroach`, `patroni`, `postgres`, or `auto`: CockroachDB where a binary is found, else three
    PostgreSQL nodes under Patroni, else one PostgreSQL. `folder` None: a temporary folder that goes with the cluster.
    `port` None: any free port. `sabotage` names the one guarantee that this ledger lacks (see
    `chronicle_ledger.sabotage`, and UNREPLICATED of the database).
    """

    database: str = "auto"
    folder: Path | None = None
    port: int | None = None
    keys_file: Path | None = None
    api_key: str | None = None
    sabotage: str | None = None


@dataclass(frozen=True, slots=True)
class Choice:
    """Which database, and by what: the binary of CockroachDB, the means of Patroni. `why` is the reason for it."""

    database: DatabaseKind
    cockroach: Path | None = None
    patroni: Means | None = None
    why: str = ""

    @classmethod
    def of(cls, asked: str, folder: Path) -> Self:
        """Choose what was asked for (see `LocalSpec`), for data below `folder`. Raises BinaryMissing."""
        match asked:
            case "postgres":
                return cls("postgresql")
            case "patroni":
                return cls("patroni", patroni=find_means(folder))
            case _ if (found := find_cockroach()) is not None:
                return cls("cockroachdb", cockroach=found)
            case "cockroach":
                raise BinaryMissing("no cockroach binary was found; run: chronicle fetch cockroach")
        try:
            means = find_means(folder)
        except PatroniImpossible as error:
            return cls("postgresql", why=f" alone (no cockroach binary, and no three nodes under Patroni: {error})")
        return cls("patroni", patroni=means, why=" (no cockroach binary; chronicle fetch cockroach gets one)")


class LocalCluster:
    """An async context manager: entered, everything is ready; left, no process and no temporary file is there.

    Raises ChaosError when something does not start; then the logs are kept, and the message names them.
    """

    def __init__(self, spec: LocalSpec | None = None, progress: Progress = lambda _: None) -> None:
        self.spec = spec or LocalSpec()
        self.versions: dict[str, str] = {}
        self._nats_passwords: Passwords | None = None
        self._progress = progress
        self._members: dict[str, Member] = {}
        self._database: Database | None = None
        self._proxies: Proxies | None = None
        self._balancer: SupervisedProcess | None = None
        self._control: asyncio.Server | None = None
        self._plan: Plan | None = None
        self._routes: dict[int, int] = {}
        self._held: HeldFolder | None = None
        self._held_sockets: HeldFolder | None = None
        self._started = False

    async def __aenter__(self) -> Self:
        sweep()
        folder = self.spec.folder
        self._held = HeldFolder.new() if folder is None else HeldFolder.named(folder)
        try:
            await self._start()
        except BaseException as error:
            # Only what this start has logged is worth a look.
            told = isinstance(error, ChaosError | OSError) and self._started and any(self.folder.glob("**/*.log"))
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
    def folder(self) -> Path:
        """Where its data and logs are."""
        return self._holding.path

    @property
    def database_url(self) -> str:
        """By which `psql` reaches the ledger's database."""
        return self._chosen.url("psql", REGION_A)

    @property
    def _holding(self) -> HeldFolder:
        if self._held is None:
            raise RuntimeError("the cluster is not started")
        return self._held

    @property
    def _sockets(self) -> Path:
        if self._held_sockets is None:
            raise RuntimeError("the cluster is not started")
        return self._held_sockets.path

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
            database=self._chosen.dialect,
            api_key=self.spec.api_key,
            details={
                "control": str(self._sockets / "control.sock"),
                "folder": str(self.folder),
                "database_kind": self._chosen.kind,
                "database_url": self.database_url,
                "versions": dict(self.versions),
            },
        )

    @property
    def _layout(self) -> Plan:
        if self._plan is None:
            raise RuntimeError("the cluster is not started")
        return self._plan

    @property
    def _chosen(self) -> Database:
        if self._database is None:
            raise RuntimeError("the cluster is not started")
        return self._database

    async def _start(self) -> None:
        choice = self._choose()
        self._held_sockets = folder_for_sockets(self._holding)
        self._holding.remember(database=choice.database)
        self._started = True
        make_private(self.folder / "tmp")
        if self._holding.shown_to_others:
            self._progress(f"others can see what is in {self.folder}; to keep them out: chmod 700 {self.folder}")
        plan = self._plan = make_plan(free_ports, load_balancer=self.spec.port)
        self.versions = await versions(choice.cockroach, patroni=choice.patroni is not None)
        database = self._database = self._make_database(choice)
        self._routes = {**plan.routes, **database.routes}
        log = self.folder / "proxies.log"
        self._proxies = Proxies(self._sockets / "proxies.sock", log, self._routes, database.outlet)
        await self._proxies.start()
        self._progress(database.announcement())
        self._nats_passwords = Passwords(self.folder / "nats-users")
        events = asyncio.create_task(self._start_nats())
        try:
            await database.start(self._add, self._check)
            self._progress("creating the schema")
            await self._migrate()
        finally:
            await events
        self._progress("starting three API replicas, relays and projectors")
        await self._start_services()
        self._progress("starting the load balancer")
        await self._start_balancer()
        await self._wait_until_well()
        self._control = await serve(self._sockets / "control.sock", self._obey)

    def _choose(self) -> Choice:
        """Choose the database. What the folder holds decides, where it holds something.

        Raises OtherDatabase, BinaryMissing.
        """
        held: DatabaseKind | None = self._holding.remembered().get("database") or _database_in(self.folder)
        asked = CHOICES.get(self.spec.database)
        if held is not None and asked is not None and asked != held:
            raise OtherDatabase(
                f"{self.folder} holds a ledger on {NAMES[held]}, not on {NAMES[asked]}; leave --database out,"
                " or name another folder"
            )
        if held is None:
            return Choice.of(self.spec.database, self.folder)
        try:
            choice = Choice.of(ASKED[held], self.folder)
        except BinaryMissing as error:
            raise type(error)(f"{self.folder} holds a ledger on {NAMES[held]}, and {error}") from error
        return choice if asked else replace(choice, why=" (as before in this folder)")

    def _make_database(self, choice: Choice) -> Database:
        if choice.cockroach is not None:
            return CockroachDatabase(choice.cockroach, self._layout.cockroach, self.folder)
        held = [folder for folder in (self._held, self._held_sockets) if folder is not None]
        if choice.patroni is not None:
            if choice.patroni.account is not None:
                for folder in held:
                    folder.admit(choice.patroni.account.group)
            synchronous = self.spec.sabotage != UNREPLICATED
            layout = Layout.on(self._ports_of_patroni(), PLACEMENT)
            return PatroniDatabase(self.folder, layout, choice.patroni, choice.why, synchronous=synchronous)
        return PostgresDatabase(self.folder / "postgres", self._sockets / "postgres", held, choice.why)

    def _ports_of_patroni(self) -> list[int]:
        """Return the ports of the nodes: for good, because etcd keeps its members' addresses with its data."""
        ports = self._holding.remembered().get("patroni_ports")
        if not isinstance(ports, list):
            ports = free_ports(number_of_ports(PLACEMENT))
            self._holding.remember(patroni_ports=ports)
        return ports

    def _check(self) -> None:
        """Raise ProcessDied where something that should run does not."""
        for member in self._members.values():
            member.process.check()

    @property
    def _passwords(self) -> Passwords:
        if self._nats_passwords is None:
            raise RuntimeError("the cluster is not started")
        return self._nats_passwords

    async def _start_nats(self) -> None:
        for node, region in zip(self._layout.nats, ("region-a", "region-a", "region-b"), strict=True):
            process = node.process(self.folder, self._passwords)
            self._add(node.name, Member("nats", region, node.client, node.url, process, node.route))
            await process.start()

    async def _migrate(self) -> None:
        log = self.folder / "migrate.log"
        arguments = [str(chronicle()), "migrate", "--users"]
        if (folder := self._chosen.passwords) is not None:
            arguments.append(f"--passwords={folder}")
        command = Command(arguments, self._environment("migrate", "region-a", 0), inherited())
        once = SupervisedProcess("migrate", command, log)
        if status := await once.run_once(seconds=120):
            raise ChaosError(f"chronicle migrate ended with {status}:\n{once.last_words()}")

    def _environment(self, name: str, region: str, port: int) -> dict[str, str]:
        database = self._chosen
        proves = name.startswith("api-")
        looks = proves and database.dialect == "cockroachdb"  # PostgreSQL tells every user
        user = name.partition("-")[0]
        password = self._passwords.file_of(user)
        sabotage = None if self.spec.sabotage == UNREPLICATED else self.spec.sabotage
        ours = settings(
            DATABASE_URL=database.url(name, region, of_process(name)),
            PROOF_DATABASE_URL=database.url(name, region, PROOF) if proves else None,
            STATUS_DATABASE_URL=database.url(name, region, STATUS) if looks else None,
            NATS_URLS=",".join(m.url for m in self._of("nats") if m.region == region),
            NATS_REPLICAS="3",
            NATS_USER=user if password else None,
            NATS_PASSWORD_FILE=str(password) if password else None,
            LISTEN_HOST=LOOPBACK,
            LISTEN_PORT=str(port),
            REGION=region,
            INSTANCE=name,
            KEYS_FILE=str(self.spec.keys_file) if self.spec.keys_file else None,
            # The minority asks for a primary that it cannot reach until its time is up; clients try again themselves.
            REQUEST_DEADLINE="6" if database.kind == "patroni" else None,
            SABOTAGE=sabotage,
            SABOTAGE_ALLOWED=PERMISSION_VALUE if sabotage else None,
        )
        # A service that is killed cannot remove its temporary files; so they are where all goes in the end.
        return {**ours, "TMPDIR": str(self.folder / "tmp")}

    async def _start_services(self) -> None:
        plan = self._layout
        services = [(name, "api", region, port) for name, region, port in plan.apis]
        services += [(name, role, region, port) for name, role, region, port in plan.workers]
        for name, role, region, port in services:
            command = Command([str(chronicle()), "serve", role], self._environment(name, region, port), inherited())
            process = SupervisedProcess(name, command, self.folder / f"{name}.log")
            self._add(name, Member(role, region, port, f"http://{LOOPBACK}:{port}", process))
            await process.start()

    async def _start_balancer(self) -> None:
        urls = [member.url for member in self._of("api")]
        command = Command([str(chronicle()), "local-balancer", str(self._layout.load_balancer), *urls])
        self._balancer = SupervisedProcess("load-balancer", command, self.folder / "load-balancer.log")
        await self._balancer.start()

    async def _wait_until_well(self) -> None:
        """Every service is ready, and /health says ok through the load balancer."""
        balancer = self._balancer
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:

            async def well() -> bool:
                self._check()
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

    def _of(self, component: str) -> list[Member]:
        return [member for member in self._members.values() if member.component == component]

    def _add(self, name: str, member: Member) -> None:
        self._members[name] = member

    async def _obey(self, request: Mapping[str, Any]) -> Any:
        match request["op"]:
            case "instances":
                crossings = {upstream: port for port, upstream in self._routes.items()}
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
            case "make_primary":
                await self._chosen.make_primary(str(request["name"]))
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
        if self._database is not None:
            await self._database.stop()
        await asyncio.gather(*(member.process.stop() for member in self._members.values()))
        if self._proxies is not None:
            await self._proxies.process.stop()

    async def _end(self, *, keep: bool) -> None:
        """Stop everything, and remove what is temporary; `keep`: but for the folder with the logs."""
        try:
            await self._stop()
        finally:
            held, sockets = self._holding, self._held_sockets
            if sockets is not None:
                for name in ("control.sock", "proxies.sock"):
                    (sockets.path / name).unlink(missing_ok=True)
            shutil.rmtree(self.folder / "tmp", ignore_errors=True)
            if keep and held.temporary:
                held.keep()
            if sockets is not None and sockets is not held:
                sockets.release()
            held.release()


def _database_in(folder: Path) -> DatabaseKind | None:
    """Which database a folder holds that an older release has filled."""
    if (folder / "cockroach-1" / "data").is_dir():
        return "cockroachdb"
    return "postgresql" if (folder / "postgres" / "data" / "PG_VERSION").exists() else None


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
