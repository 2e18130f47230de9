"""The compose stack from outside, for `scripts/chaos-test.sh`: wait until it is well, then say where it is.

Which project it is, and at which port, Compose itself says (COMPOSE_PROJECT_NAME, CHRONICLE_PORT, `.env`).
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from chronicle_chaos.injectors.compose.cut import HELPER_IMAGE, HELPER_VARIABLE
from chronicle_chaos.injectors.compose.docker import Docker
from chronicle_chaos.injectors.compose.injector import ComposeInjector, sweep
from chronicle_chaos.injectors.compose.names import EVERY, compose_target
from chronicle_chaos.injectors.injection import InjectionError
from chronicle_chaos.target import Target

PATIENCE_SECONDS = 120.0
BUILD_SECONDS = 600.0
SWEEP_AFTER_SECONDS = 8.0
"""A stack that is merely starting is left alone; one that stays unwell may carry what a killed run left behind."""


class StackDown(Exception):
    """The stack cannot be tested; the message says what to do."""


async def wait_until_well(url: str, injector: ComposeInjector, patience: float = PATIENCE_SECONDS) -> Mapping[str, Any]:
    """Wait until `/health` says ok, at most `patience` seconds. Raises StackDown or InjectionError."""
    await injector.docker.call("version", "--format", "{{.Server.Version}}")
    loop = asyncio.get_running_loop()
    until = loop.time() + patience
    while created := await _created(injector):
        if loop.time() >= until:
            raise StackDown(f"{', '.join(created)} was not started within {patience:g} s; run: docker compose up -d")
        await asyncio.sleep(1.0)
    began = loop.time()
    swept = False
    health: Mapping[str, Any] = {}
    while loop.time() < until:
        health = await asyncio.to_thread(_health, url)
        if health.get("status") == "ok":
            return health
        if not swept and loop.time() >= began + SWEEP_AFTER_SECONDS:
            swept = True
            sys.stderr.write("chaos-test: not healthy yet: taking away what an earlier run may have left\n")
            await sweep(injector)
        await asyncio.sleep(0.5)
    said = json.dumps(health) if health else "nothing"
    raise StackDown(
        f"{url}/health did not say ok within {patience:g} s (last: {said}); look at `docker compose ps` and"
        " `docker compose logs`, or start anew: docker compose down -v && docker compose up -d"
    )


async def _created(injector: ComposeInjector) -> list[str]:
    """The containers whose turn in `docker compose up` has not come. Raises StackDown where one is missing or ended."""
    asked = await asyncio.gather(*(injector.docker.container(name) for name in EVERY))
    found = dict(zip(EVERY, asked, strict=True))
    missing = [name for name, container in found.items() if container is None]
    if missing:
        raise StackDown(
            f"the stack is not up (the project {injector.docker.project} has no container of {missing[0]}); run: docker"
            " compose up -d"
        )
    there = {name: container for name, container in found.items() if container is not None}
    dead = [name for name, container in there.items() if not container.running and not container.created]
    if dead:
        raise StackDown(f"{', '.join(dead)} does not run; run: docker compose up -d")
    return [name for name, container in there.items() if container.created]


def _health(url: str) -> Mapping[str, Any]:
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:  # noqa: S310 - the scheme is the caller's
            return dict(json.load(answer))
    except urllib.error.HTTPError as error:
        try:
            return dict(json.load(error))
        except ValueError:
            return {}
    except (OSError, ValueError):
        return {}


async def configured(docker: Docker) -> tuple[str, str]:
    """Return the stack's project, and where its load balancer is published. Raises DockerError, StackDown."""
    told = json.loads(await docker.call("compose", "config", "--format", "json"))
    try:
        (port,) = told["services"]["chronicle-lb"]["ports"]
        return str(told["name"]), f"http://{port['host_ip']}:{port['published']}"
    except (KeyError, ValueError) as error:
        raise StackDown(f"the compose file publishes no load balancer ({error})") from error


async def have_helper(injector: ComposeInjector) -> None:
    """Build the image that cuts regions apart where it is not here: before anything is broken. Raises StackDown."""
    if await injector.cut.possible():
        return
    if injector.cut.image != HELPER_IMAGE:
        raise StackDown(
            f"there is no image {injector.cut.image}, which {HELPER_VARIABLE} names; pull it, or unset that"
        )
    sys.stderr.write(f"chaos-test: building {injector.cut.image}, which cuts regions apart\n")
    build = replace(injector.docker, seconds=BUILD_SECONDS)
    status, _, error = await build.attempt("compose", "--profile", "cut", "build", "--quiet", "chronicle-cut")
    if status or not await injector.cut.possible():
        raise StackDown(
            f"{injector.cut.image} cannot be built ({error[-300:]}); run `make image`, or set {HELPER_VARIABLE} to an"
            " image with sh and iptables that is here"
        )


async def _ready() -> Target:
    project, url = await configured(Docker())
    injector = ComposeInjector(Docker(project=project))
    await _created(injector)
    await have_helper(injector)
    await wait_until_well(url, injector)
    return compose_target(url, project)


def write_target(path: Path) -> int:
    """Write the target file of the stack; the exit status.

    2 where there is nothing to test, with what to do about it; 3 where this was interrupted.
    """
    try:
        target = asyncio.run(_ready())
    except StackDown as error:
        sys.stderr.write(f"chaos-test: {error}\n")
        return 2
    except InjectionError as error:
        sys.stderr.write(f"chaos-test: {error}; {error.next_step}\n")
        return 2
    except KeyboardInterrupt:
        return 3
    target.write(path)
    return 0
