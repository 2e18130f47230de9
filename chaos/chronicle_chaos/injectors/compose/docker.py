"""Docker's command line, asked by argument lists and bounded in time. What is not there is told with a way out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from chronicle_chaos.injectors.injection import InjectionError

PROJECT = "chronicle"
"""What `docker-compose.yml` calls itself where nobody says otherwise."""


class DockerError(InjectionError):
    """Docker said no, or nothing in time."""


@dataclass(frozen=True, slots=True)
class Container:
    """What `docker inspect` says of the container of the service `name`.

    `addresses` are its addresses in the networks that it is in (empty while stopped). `created`: it has never run, as
    one whose turn in `docker compose up` has not come.
    """

    name: str
    running: bool
    paused: bool
    pid: int
    started_at: str
    addresses: tuple[str, ...]
    created: bool = False

    @property
    def state(self) -> str:
        """For a person: what it does, and since when."""
        word = "paused" if self.paused else "running" if self.running else "stopped"
        return f"{word}, pid {self.pid}" if self.running else word


@dataclass(frozen=True, slots=True)
class Conversation:
    """A command that answers each line with a line. `seconds` bounds every answer."""

    process: asyncio.subprocess.Process
    command: str
    seconds: float

    async def ask(self, line: str) -> str:
        """Say `line`; what comes back. Raises DockerError where nothing does."""
        if self.process.stdin is None or self.process.stdout is None:
            raise RuntimeError("a conversation needs pipes")
        answer = b""
        with suppress(OSError, TimeoutError):
            async with asyncio.timeout(self.seconds):
                self.process.stdin.write(line.encode() + b"\n")
                await self.process.stdin.drain()
                answer = await self.process.stdout.readline()
        if not answer:
            raise DockerError(f"{self.command}: no answer to {line}", next_step="look at `docker compose ps`")
        return answer.decode(errors="replace")

    async def close(self) -> None:
        """End it by ending its input, or after a while by force. Safe to call twice."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(5.0):
                await self.process.wait()
        if self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


@dataclass(frozen=True, slots=True)
class Docker:
    """`seconds` bounds every call. `project` is the Compose project whose containers are meant."""

    seconds: float = 40.0
    project: str = PROJECT
    _names: dict[str, str] = field(default_factory=dict)

    async def named(self, service: str) -> str:
        """Return the name of a service's container, found by Compose's labels. Raises DockerError where there is none.

        A container that is made anew has the same name, so what was found once stays.
        """
        if service not in self._names:
            out = await self.call(
                "ps", "--all", f"--filter=label=com.docker.compose.project={self.project}",
                "--filter=label=com.docker.compose.oneoff=False",
                '--format={{.Label "com.docker.compose.service"}} {{.Names}}',
            )  # fmt: skip
            for line in out.splitlines():
                found, _, name = line.partition(" ")
                self._names[found] = name
        if service not in self._names:
            raise DockerError(
                f"the project {self.project} has no container of {service}", next_step="run `docker compose up -d`"
            )
        return self._names[service]

    async def call(self, *arguments: str) -> str:
        """Run `docker …` and return what it printed. Raises DockerError with what it complained of."""
        status, out, error = await self.attempt(*arguments)
        if status:
            raise DockerError(
                f"docker {' '.join(arguments[:3])}: {error or out}",
                next_step="look at `docker compose ps` and `docker info`",
            )
        return out

    async def do(self, service: str, *command: str) -> None:
        """Run `docker COMMAND CONTAINER` on the container of a service. Raises DockerError."""
        await self.call(*command, await self.named(service))

    async def attempt(self, *arguments: str) -> tuple[int, str, str]:
        """Run `docker …`; returns its exit status and what it printed on both streams."""
        try:
            process = await asyncio.create_subprocess_exec(
                "docker", *arguments,
                stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
                start_new_session=True,  # Ctrl-C is for the run, which then heals with these very calls
            )  # fmt: skip
        except FileNotFoundError as error:
            message = "docker is not on PATH"
            raise DockerError(message, next_step="install Docker, or run `make demo`, which needs none") from error
        try:
            async with asyncio.timeout(self.seconds):
                out, error_out = await process.communicate()
        except TimeoutError as error:
            raise DockerError(
                f"docker {' '.join(arguments[:3])} did not end within {self.seconds:g} s",
                next_step="see whether the Docker daemon answers: `docker info`",
            ) from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return process.returncode or 0, out.decode(errors="replace").strip(), error_out.decode(errors="replace").strip()

    async def converse(self, *arguments: str) -> Conversation:
        """Start `docker …`, to be asked line by line. Raises DockerError where there is no docker."""
        try:
            process = await asyncio.create_subprocess_exec(
                "docker", *arguments,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        except FileNotFoundError as error:
            raise DockerError("docker is not on PATH", next_step="install Docker") from error
        return Conversation(process, f"docker {' '.join(arguments[:3])}", self.seconds)

    async def container(self, service: str) -> Container | None:
        """Return the container of a service; None where there is none."""
        try:
            name = await self.named(service)
        except DockerError:
            return None
        status, out, _ = await self.attempt("container", "inspect", name)
        return None if status else _container(service, json.loads(out)[0])


def _container(name: str, told: Mapping[str, Any]) -> Container:
    state = told["State"]
    networks = told["NetworkSettings"]["Networks"] or {}
    addresses = (n.get(kind) for n in networks.values() for kind in ("IPAddress", "GlobalIPv6Address"))
    return Container(
        name, bool(state["Running"]), bool(state["Paused"]), int(state["Pid"]), str(state["StartedAt"]),
        tuple(a for a in addresses if a), state.get("Status") == "created",
    )  # fmt: skip
