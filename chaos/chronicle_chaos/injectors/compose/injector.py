"""Faults on a compose stack, by the names of its services.

Runs on the host, where Docker's command line is; no container gets Docker's socket, which would be root on the host.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from chronicle_chaos.injectors.by_hands import ClusterInjector
from chronicle_chaos.injectors.compose.cut import Cut
from chronicle_chaos.injectors.compose.docker import Docker
from chronicle_chaos.injectors.compose.hands import ComposeHands
from chronicle_chaos.injectors.compose.names import EVERY, MINORITY, REGIONS
from chronicle_chaos.injectors.healing import take_all
from chronicle_chaos.injectors.injection import PreflightError


class ComposeInjector(ClusterInjector):
    """The `Injector` of the compose stack."""

    def __init__(self, docker: Docker | None = None, cut: Cut | None = None) -> None:
        self.docker = docker or Docker()
        self.cut = cut or Cut.by_environment(self.docker)
        super().__init__("Docker", "container", ComposeHands(self.docker, self.cut))

    async def versions(self) -> dict[str, str]:
        """Docker's version and the images under test, for the journal."""
        names = ("chronicle-api-1", "chronicle-cockroach-1", "chronicle-nats-1", "chronicle-lb")
        asked = [
            self.docker.attempt("inspect", "--format", "{{.Config.Image}}", await self.docker.named(name))
            for name in names
        ]
        images = await asyncio.gather(*asked)
        found = {
            name.split("-")[1]: image for name, (status, image, _) in zip(names, images, strict=True) if not status
        }
        return {**found, "docker": await self.docker.call("version", "--format", "{{.Server.Version}}")}


async def sweep(injector: ComposeInjector | None = None) -> None:
    """Take away cuts and pauses that a killed run left. Stopped containers stay: somebody may have meant it."""
    injector = injector or ComposeInjector()
    for name in EVERY:
        container = await injector.docker.container(name)
        if container is not None and container.paused:
            await injector.docker.do(name, "unpause")
    with suppress(PreflightError):
        await injector.cut.prepare()
        await take_all(injector.cut.removal(REGIONS[MINORITY]))
