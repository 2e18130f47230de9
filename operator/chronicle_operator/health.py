"""What the ledger says about itself: `GET /health` of its API, asked through its Service.

The operator never opens a shell in a pod and holds no database password; the ledger watches its own database and bus
and this is where it tells.
"""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp

from chronicle_operator.nodes import Nodes
from chronicle_operator.nodes import parse as parse_page

TIMEOUT_SECONDS = 5.0


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


def parse(body: Mapping[str, Any]) -> Health:
    """Read the answer of `/health`. Unknown shapes give None, never a guess."""
    components = body.get("components") or {}
    database = components.get("database") or {}
    return Health(
        status=str(body.get("status", "unknown")),
        database=_text(database.get("status")),
        nodes_live=_number(database.get("nodes_live")),
        nodes_total=_number(database.get("nodes_total")),
        underreplicated=_number(database.get("ranges_underreplicated")),
        unavailable=_number(database.get("ranges_unavailable")),
        nats=_text((components.get("nats") or {}).get("status")),
        lag_events=_number((components.get("read_model") or {}).get("lag_events")),
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
        text = await self._text(url, authority)
        if text is None:
            return None
        try:
            body = json.loads(text)
        except json.JSONDecodeError:
            return None
        return parse(body) if isinstance(body, dict) else None

    async def nodes(self, urls: Mapping[str, str], authority: str | None) -> Nodes:
        """Return what the database nodes' metrics pages say; `urls` by pod."""
        pages = await asyncio.gather(*(self._text(url, authority) for url in urls.values()))
        found = (None if page is None else parse_page(page) for page in pages)
        return Nodes(dict(zip(urls, found, strict=True)))

    async def _text(self, url: str, authority: str | None) -> str | None:
        try:
            async with self._session.get(
                url, ssl=self._context(authority), timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
            ) as answer:
                return await answer.text()
        except (TimeoutError, aiohttp.ClientError, OSError, UnicodeDecodeError):
            return None

    def _context(self, authority: str | None) -> ssl.SSLContext | bool:
        if authority is None:
            return True
        if authority not in self._contexts:
            if len(self._contexts) > 64:  # authorities of ledgers long gone
                self._contexts.clear()
            self._contexts[authority] = ssl.create_default_context(cadata=authority)
        return self._contexts[authority]


def _number(value: object) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
