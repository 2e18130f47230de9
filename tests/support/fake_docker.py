"""The compose stack in memory, behind the arguments that `docker` would get."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from chronicle_chaos.injectors.compose.docker import Container, Conversation, Docker
from chronicle_chaos.injectors.compose.names import EVERY, REGIONS

if TYPE_CHECKING:
    import asyncio

Said = tuple[int, str, str]


@dataclass
class Stack:
    """What there is. `cut` are the containers with the chain in them, `failing` the commands (`start NAME`) that Docker
    refuses, `calls` all that it was asked for. `leases` are the counts that a node tells, by node id."""

    paused: set[str] = field(default_factory=set)
    stopped: set[str] = field(default_factory=set)
    unready: set[str] = field(default_factory=set)
    cut: set[str] = field(default_factory=set)
    created: set[str] = field(default_factory=set)
    failing: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    project: str = "chronicle"
    helper_image: bool = True
    closed: bool = False
    """Whether CockroachDB closes its internal tables to who does not ask for them, as from 26.1 on."""
    leases: tuple[tuple[int, int], ...] = ((2, 30), (1, 20), (3, 17))
    spares: bool = False
    """Whether a cut spares connections that were open before."""
    holding: int = 0
    births: dict[str, int] = field(default_factory=dict)

    def container(self, service: str) -> str:
        """What the container of a service is called."""
        return self.project + service.removeprefix("chronicle")

    def service(self, container: str) -> str:
        """Whose container it is; a name of another project is nobody's here."""
        head, dash, rest = container.partition("-")
        return f"chronicle-{rest}" if head == self.project and dash else container

    def reached(self, container: str, host: str) -> bool:
        """Whether a connection from a container to a host would be made."""
        apart = next(r for r, names in REGIONS.items() if container in names) != next(
            r for r, names in REGIONS.items() if host in names
        )
        return host not in self.stopped and not (apart and (container in self.cut or host in self.cut))


@dataclass(frozen=True)
class FakeConversation(Conversation):
    """The process in a container that holds connections."""

    stack: Stack
    container: str
    addresses: tuple[str, ...]

    async def ask(self, line: str) -> str:
        """Answer as the script in the container does."""
        reached = [self.stack.reached(self.container, address.split(":")[0]) for address in self.addresses]
        if line == "ask":
            return json.dumps(["answers" if it or self.stack.spares else "timed out" for it in reached])
        return json.dumps(["" if it or line == "settle" else "timed out" for it in reached])

    async def close(self) -> None:
        """Forget them."""
        self.stack.holding -= 1


@dataclass(frozen=True)
class FakeDocker(Docker):
    """Docker's command line before a stack in memory."""

    stack: Stack = field(default_factory=Stack)

    async def attempt(self, *arguments: str) -> Said:
        stack, (verb, *rest) = self.stack, arguments
        name = stack.service(rest[-1]) if rest else ""
        stack.calls.append(f"{verb} {name}" if verb not in {"exec", "run"} else f"{verb} {' '.join(rest[:4])}")
        if f"{verb} {name}" in stack.failing:
            return 1, "", f"cannot {verb} {name}"
        verbs: dict[str, Callable[[], Said]] = {
            "version": lambda: (0, "27.0", ""),
            "image": lambda: (0 if stack.helper_image else 1, "", "no such image"),
            "pull": lambda: (1, "", "no such image"),
            "exec": lambda: self._exec(stack.service(rest[0]), rest[1:]),
            "ps": lambda: self._ps(rest),
            "run": lambda: self._helper(rest),
            "inspect": lambda: (0, "image:1", ""),
        }
        if verb in verbs:
            return verbs[verb]()
        if verb in {"kill", "stop"}:
            stack.stopped.add(name)
        elif verb == "start":
            stack.stopped.discard(name)
            stack.cut.discard(name)
            stack.births[name] = stack.births.get(name, 0) + 1
        elif verb == "unpause":
            stack.paused.discard(name)
        else:
            raise AssertionError(f"nobody expected docker {arguments}")
        return 0, "", ""

    async def converse(self, *arguments: str) -> Conversation:
        self.stack.holding += 1
        process = cast("asyncio.subprocess.Process", None)
        container = self.stack.service(arguments[2])
        return FakeConversation(process, "docker exec", 1.0, self.stack, container, arguments[7:])

    async def container(self, name: str) -> Container | None:
        if name not in EVERY or self.project != self.stack.project:
            return None
        running = name not in self.stack.stopped | self.stack.created
        birth = self.stack.births.get(name, 0)
        pid = 100 * (EVERY.index(name) + 1) + birth
        addresses = (f"172.20.0.{EVERY.index(name) + 2}",) if running else ()
        return Container(
            name, running, name in self.stack.paused, pid * running, f"second {birth}", addresses,
            name in self.stack.created,
        )  # fmt: skip

    def _ps(self, arguments: list[str]) -> Said:
        if f"--filter=label=com.docker.compose.project={self.stack.project}" not in arguments:
            return 0, "", ""
        return 0, "\n".join(f"{it} {self.stack.container(it)}" for it in (*EVERY, "chronicle-lb")), ""

    def _exec(self, container: str, command: list[str]) -> Said:
        if container in self.stack.stopped:
            return 1, "", f"{container} is not running"
        if command[0] == "python":
            reached = [self.stack.reached(container, address.split(":")[0]) for address in command[3:]]
            return 0, json.dumps(["" if it else "timed out" for it in reached]), ""
        if command[0] == "chronicle-healthcheck":
            return int(container in self.stack.unready), "", ""
        query = command[-1]
        asked = any("SET allow_unsafe_internals = on" in word for word in command)
        if self.stack.closed and not asked:
            return 1, "", "ERROR: access to crdb_internal is restricted (see allow_unsafe_internals)"
        lines = ["SET"] if asked else []
        if "lease_holder" in query:
            lines += ["lease_holder,n", *(f"{node},{n}" for node, n in self.stack.leases)]
        else:
            lines += ["node_id,address", *(f"{n},chronicle-cockroach-{n}:26257" for n in (1, 2, 3))]
        return 0, "\n".join(lines), ""

    def _helper(self, arguments: list[str]) -> Said:
        container = next(a for a in arguments if a.startswith("--network=")).rpartition(":")[2]
        container = self.stack.service(container)
        if f"iptables {container}" in self.stack.failing:
            return 1, "", "iptables: Permission denied"
        if "-j DROP" in arguments[-1]:
            self.stack.cut.add(container)
        else:
            self.stack.cut.discard(container)
        return 0, "", ""
