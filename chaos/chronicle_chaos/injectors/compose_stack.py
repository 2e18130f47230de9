"""The compose stack from outside, for `scripts/chaos-test.sh`: wait until it is well, then say where it is.

    python -m chronicle_chaos.injectors.compose_stack URL TARGET-FILE

Exit status 0 with the target file written; 2 where there is nothing to test, with what to do about it.
"""

from __future__ import annotations

import asyncio
import json
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chronicle_chaos.injection import InjectionError
from chronicle_chaos.injectors.compose import ComposeInjector, sweep
from chronicle_chaos.injectors.compose_names import EVERY, compose_target

PATIENCE_SECONDS = 120.0
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
        raise StackDown(f"the stack is not up (no container {missing[0]}); run: docker compose up -d")
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


def main(arguments: list[str]) -> int:
    """The command."""
    url, path = arguments
    try:
        asyncio.run(wait_until_well(url, ComposeInjector()))
    except StackDown as error:
        sys.stderr.write(f"chaos-test: {error}\n")
        return 2
    except InjectionError as error:
        sys.stderr.write(f"chaos-test: {error}; {error.next_step}\n")
        return 2
    except KeyboardInterrupt:
        return 3
    compose_target(url).write(Path(path))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
