"""Connections across the regions of the compose stack that were open before a cut, held by a process in a container."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from chronicle_chaos.injection import InjectionError, Observation
from chronicle_chaos.injectors.docker import Conversation, Docker, DockerError
from chronicle_chaos.injectors.held import COCKROACH, NATS_ROUTE

PROTOCOLS = {26257: (COCKROACH.hello, COCKROACH.question), 4222: (NATS_ROUTE.hello, NATS_ROUTE.question)}
"""By port. A NATS server greets a client as it greets a server, and answers its PING."""

# The ledger's image has Python and no other tools. An answer that came once after the cut counts for good.
HOLD = f"""
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor
PROTOCOLS = {PROTOCOLS!r}
held, answered = {{}}, set()
def hold(address):
    host, port = address.rsplit(":", 1)
    try:
        connection = socket.create_connection((host, int(port)), timeout=3)
        connection.sendall(PROTOCOLS[int(port)][0])
        if not connection.recv(65536):
            return "closed"
    except OSError as error:
        return str(error) or type(error).__name__
    held[address] = connection
    return ""
def settle(address):
    held[address].settimeout(0.1)
    try:
        while held[address].recv(65536):
            pass
    except OSError:
        pass
    return ""
def ask(address):
    if address in answered:
        return "answers"
    held[address].settimeout(1.5)
    try:
        held[address].sendall(PROTOCOLS[int(address.rsplit(":", 1)[1])][1])
        if not held[address].recv(1):
            return "closed"
    except TimeoutError:
        return "timed out"
    except OSError as error:
        return str(error) or type(error).__name__
    answered.add(address)
    return "answers"
with ThreadPoolExecutor(8) as pool:
    for line in sys.stdin:
        step = dict(hold=hold, settle=settle, ask=ask)[line.strip()]
        print(json.dumps(list(pool.map(step, sys.argv[1:]))), flush=True)
"""


@dataclass(frozen=True, slots=True)
class HeldAcross:
    """Connections from one container to some addresses."""

    container: str
    addresses: tuple[str, ...]
    process: Conversation

    @classmethod
    async def open(cls, docker: Docker, container: str, addresses: Sequence[str]) -> Self:
        """Connect to all. Raises InjectionError where one of them is not answered."""
        process = await docker.converse("exec", "-i", container, "python", "-c", HOLD, *addresses)
        made = cls(container, tuple(addresses), process)
        try:
            for address, error in zip(addresses, await made._all("hold"), strict=True):
                if error:
                    raise InjectionError(
                        f"{container} to {address}: no connection before the cut ({error})",
                        next_step="look at `docker compose ps`",
                    )
        except BaseException:
            await made.close()
            raise
        return made

    async def settle(self) -> None:
        """Take what came before the cut off the line; it is no answer to what is asked afterwards."""
        await self._all("settle")

    async def silent(self) -> list[Observation]:
        """That nothing comes back over any of them now."""
        try:
            answers = await self._all("ask")
        except DockerError as error:
            answers = [f"nobody knows: {error}"] * len(self.addresses)
            return [self._observed(address, answer, shows=False) for address, answer in self._each(answers)]
        return [self._observed(address, answer, shows=answer != "answers") for address, answer in self._each(answers)]

    async def close(self) -> None:
        """Let go of them."""
        await self.process.close()

    async def _all(self, step: str) -> list[str]:
        found: list[str] = json.loads(await self.process.ask(step))
        return found

    def _each(self, answers: Sequence[str]) -> zip[tuple[str, str]]:
        return zip(self.addresses, answers, strict=True)

    def _observed(self, address: str, answer: str, *, shows: bool) -> Observation:
        return Observation(f"{self.container} to {address}, over a connection from before", "answers", answer, shows)
