"""How an injector, in this process or another, reaches a local cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chronicle_chaos.errors import ChaosError
from chronicle_chaos.local.lines import Refused, ask


class ControlFailed(ChaosError):
    """The cluster did not do what it was told, or is gone."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One process of a cluster. `pid` None: it does not run. `started_at` in seconds since the epoch. `peers` is the
    port by which others of its kind in its region reach it, `crossing` the one by which those of the other region do.
    """

    name: str
    component: str
    region: str
    port: int
    url: str
    pid: int | None
    started_at: float
    peers: int | None = None
    crossing: int | None = None


@dataclass(frozen=True, slots=True)
class Control:
    """The client's side. Every method raises ControlFailed where the cluster cannot be reached or refuses."""

    socket: Path

    async def instances(self, component: str | None = None) -> list[Instance]:
        """What the cluster consists of, as it is now."""
        found = [Instance(**item) for item in await self._ask(op="instances")]
        return [i for i in found if component is None or i.component == component]

    async def kill(self, name: str, *, keep_away: bool) -> int | None:
        """SIGKILL one; the pid that was hit."""
        pid: int | None = await self._ask(op="kill", name=name, keep_away=keep_away)
        return pid

    async def release(self, name: str) -> None:
        """Let one that was kept away run again."""
        await self._ask(op="release", name=name)

    async def make_primary(self, name: str) -> None:
        """Make one node of the database the one that takes writes, where there is such a node."""
        await self._ask(op="make_primary", name=name)

    async def set_links(self, mode: str) -> None:
        """Put every link between the regions into a mode of `tcp_proxy.Mode`."""
        await self._ask(op="links", mode=mode)

    async def _ask(self, **request: Any) -> Any:
        try:
            return await ask(self.socket, **request)
        except Refused as error:
            raise ControlFailed(f"{request['op']}: {error}") from error
        except OSError as error:
            raise ControlFailed(
                f"no local cluster answers at {self.socket} ({error.strerror}); start one with: chronicle up"
            ) from error
