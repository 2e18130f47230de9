"""What the ledger says about itself: `GET /health` of its API, asked through its Service.

The operator never opens a shell in a pod and holds no database password; the ledger watches its own database and bus
and this is where it tells.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
from aiohttp.http_exceptions import HttpProcessingError

from chronicle_operator.observe.nodes import MISREAD, Node, Nodes, is_wanted
from chronicle_operator.observe.nodes import parse as parse_page

TIMEOUT_SECONDS = 5.0

HEALTH_BYTES = 64 * 1024
"""The longest answer of `/health` that is read: it has a few hundred bytes."""

PAGE_BYTES = 32 * 1024 * 1024
"""The longest metrics page that is read, line by line: a node of a large cluster writes some MiB."""

TEXT_LENGTH = 128
"""The longest word that an answer may put into the status."""

SILENT = (TimeoutError, aiohttp.ClientError, HttpProcessingError, OSError)
"""What is no answer."""


@dataclass(frozen=True)
class Health:
    """The parts of `/health` that decisions rest on. Figures are None where the ledger does not know them."""

    status: str
    database: str | None = None
    nodes_live: int | None = None
    nodes_total: int | None = None
    underreplicated: int | None = None
    unavailable: int | None = None
    nats: str | None = None
    lag_events: int | None = None
    version: str | None = None
    sabotage: str | None = None


def parse(body: Mapping[str, object]) -> Health:
    """Read the answer of `/health`. Unknown shapes give None, never a guess."""
    components = _part(body, "components")
    database = _part(components, "database")
    return Health(
        status=_text(body.get("status")) or "unknown",
        database=_text(database.get("status")),
        nodes_live=_number(database.get("nodes_live")),
        nodes_total=_number(database.get("nodes_total")),
        underreplicated=_number(database.get("ranges_underreplicated")),
        unavailable=_number(database.get("ranges_unavailable")),
        nats=_text(_part(components, "nats").get("status")),
        lag_events=_number(_part(components, "read_model").get("lag_events")),
        version=_text(body.get("version")),
        sabotage=_text(body.get("sabotage")),
    )


class HealthClient:
    """Asks ledgers over HTTP, with the certificate authority of each."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        """Use `session`, which the caller closes."""
        self._session = session
        self._contexts: dict[str, ssl.SSLContext] = {}

    async def ask(self, url: str, authority: str | None) -> Health | None:
        """Return what `url` says, None without an answer (503 is one). `authority`: PEM, None for plain HTTP."""
        try:
            async with self._get(url, authority) as content:
                body = json.loads(await _read(content, HEALTH_BYTES))
        except (*SILENT, ValueError, RecursionError):
            return None
        return parse(body) if isinstance(body, dict) else None

    async def nodes(self, urls: Mapping[str, str], authority: str | None) -> Nodes:
        """Return what the database nodes' metrics pages say; `urls` by pod."""
        pages = await asyncio.gather(*(self._node(url, authority) for url in urls.values()))
        return Nodes(dict(zip(urls, pages, strict=True)))

    async def _node(self, url: str, authority: str | None) -> Node | None:
        """Read a metrics page, of which only the lines that count are kept."""
        try:
            async with self._get(url, authority) as content:
                lines = [line async for line in _lines(content, PAGE_BYTES) if is_wanted(line)]
            node = parse_page("".join(lines))
        except (*SILENT, *MISREAD):
            return None
        # A page without an ID is not a node's: its silence on replicas would count as "all are there".
        return node if node.node_id is not None else None

    @asynccontextmanager
    async def _get(self, url: str, authority: str | None) -> AsyncIterator[aiohttp.StreamReader]:
        """Ask. An answer of elsewhere is none: a pod must not send the operator to another address."""
        async with self._session.get(
            url,
            ssl=self._context(authority),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS),
            allow_redirects=False,
            # A page that is small on the wire must not be large in memory.
            headers={"Accept-Encoding": "identity"},
            auto_decompress=False,
        ) as answer:
            if 300 <= answer.status < 400:
                raise aiohttp.ClientError(f"{url} answers with a redirect")
            yield answer.content

    def _context(self, authority: str | None) -> ssl.SSLContext | bool:
        if authority is None:
            return True
        if authority not in self._contexts:
            if len(self._contexts) > 64:  # authorities of ledgers long gone
                self._contexts.clear()
            self._contexts[authority] = ssl.create_default_context(cadata=authority)
        return self._contexts[authority]


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    """Read all of it. Raises ValueError past the limit."""
    found = bytearray()
    async for chunk in content.iter_any():
        found += chunk
        if len(found) > limit:
            raise ValueError(f"the answer is longer than {limit} bytes")
    return bytes(found)


async def _lines(content: aiohttp.StreamReader, limit: int) -> AsyncIterator[str]:
    """Yield line by line. Raises ValueError past the limit, or where a line is longer than aiohttp's buffer."""
    left = limit
    async for line in content:
        left -= len(line)
        if left < 0:
            raise ValueError(f"the page is longer than {limit} bytes")
        yield line.decode()


def _part(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _number(value: object) -> int | None:
    """Return a whole number that the status can hold, which is neither `NaN` nor `Infinity` of Python's JSON."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if abs(value) < 2**53 else None


def _text(value: object) -> str | None:
    return value[:TEXT_LENGTH] if isinstance(value, str) else None
