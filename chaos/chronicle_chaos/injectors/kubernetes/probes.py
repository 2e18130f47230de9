"""Own evidence about a ledger in a cluster: connections tried and questions asked from the run's own pod."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from chronicle_chaos.injectors.probes import Answer as Reached
from chronicle_chaos.load.client import Answer, open_client
from chronicle_chaos.target import Target

CONNECT_SECONDS = 2.0
ASK_SECONDS = 5.0
SILENT = "silent"
"""An API that was there and did not answer in time: it answers /health within 2 s, whatever the database does."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What came of one connection. `cut`: nobody took it, which a name that cannot be resolved does not show."""

    said: str
    made: bool = False
    cut: bool = False

    @property
    def known(self) -> bool:
        """Whether there was an address to connect to."""
        return self.made or self.cut


async def connect(address: str, seconds: float = CONNECT_SECONDS) -> Connection:
    """Try `host:port`. The name is resolved first, in a time of its own."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(seconds):
            found = await asyncio.get_running_loop().getaddrinfo(host, int(port), type=socket.SOCK_STREAM)
    except (OSError, TimeoutError) as error:
        return Connection(f"{host} cannot be resolved: {getattr(error, 'strerror', None) or type(error).__name__}")
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection(str(found[0][4][0]), int(port))
        writer.close()
    except TimeoutError:
        return Connection(f"{Reached.TIMED_OUT} after {seconds:g} s", cut=True)
    except ConnectionRefusedError:
        return Connection(Reached.REFUSED, cut=True)
    except OSError as error:
        return Connection(f"{type(error).__name__}: {error.strerror or error}")
    return Connection("made", made=True)


@dataclass(frozen=True, slots=True)
class DatabaseSeen:
    """The database as one region's API sees it. `status` is empty where no API of the region answered."""

    said: str
    status: str = ""
    live: int | None = None
    total: int | None = None

    @property
    def whole(self) -> bool:
        """Whether it works and no node is missing. Ranges may still be copied: that is `degraded`, and no cut."""
        return self.status in ("ok", "degraded") and self.live is not None and self.live == self.total

    @property
    def works_without_some(self) -> bool:
        """Whether more than half of the nodes are there, but not all, and the database answers through them."""
        if self.live is None or self.total is None or self.status in ("", "down"):
            return False
        return self.live < self.total < 2 * self.live

    @property
    def down(self) -> bool:
        """Whether the region's API said so, or was silent past its own limit. No connection to it is no proof."""
        return self.status in ("down", SILENT)


async def database(target: Target, side: str, seconds: float = ASK_SECONDS) -> DatabaseSeen:
    """Ask the API replicas of a region one after the other; the first that says something is taken."""
    said = f"no API replica of {side} is known"
    async with open_client(target) as client:
        for url in target.regions.get(side, ()):
            found = _read(await client.request("GET", f"{url}/health", timeout=seconds))
            if found.status == SILENT and not (reached := await connect(urlsplit(url).netloc)).known:
                found = DatabaseSeen(reached.said)  # it was the name that took so long
            if found.status:
                return found
            said = found.said
    return DatabaseSeen(said)


def _read(answer: Answer) -> DatabaseSeen:
    if answer.status is None:
        return DatabaseSeen(str(answer.error), SILENT if answer.timed_out else "")
    components = answer.body.get("components") if isinstance(answer.body, Mapping) else None
    found = (components or {}).get("database")
    if not isinstance(found, Mapping):
        return DatabaseSeen(f"HTTP {answer.status} without a word about the database")
    status, live, total = (found.get(key) for key in ("status", "nodes_live", "nodes_total"))
    return DatabaseSeen(f"{status}, {live} of {total} nodes live", str(status), _number(live), _number(total))


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
