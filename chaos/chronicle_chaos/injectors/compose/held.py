"""Connections across the regions of the compose stack that were open before a cut, held by a process in a container."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from chronicle_chaos.injectors.compose.docker import Conversation, Docker, DockerError
from chronicle_chaos.injectors.compose.inside import source
from chronicle_chaos.injectors.held import COCKROACH, NATS_ROUTE
from chronicle_chaos.injectors.injection import InjectionError, Observation

PROTOCOLS = json.dumps({
    port: [protocol.hello.hex(), protocol.question.hex()] for port, protocol in ((26257, COCKROACH), (4222, NATS_ROUTE))
})  # fmt: skip
"""By port. A NATS server greets a client as it greets a server, and answers its PING."""


@dataclass(frozen=True, slots=True)
class HeldAcross:
    """Connections from the container of one service to some addresses."""

    container: str
    addresses: tuple[str, ...]
    process: Conversation

    @classmethod
    async def open(cls, docker: Docker, container: str, addresses: Sequence[str]) -> Self:
        """Connect to all. Raises InjectionError where one of them is not answered."""
        name = await docker.named(container)
        process = await docker.converse("exec", "-i", name, "python", "-c", source("hold"), PROTOCOLS, *addresses)
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
