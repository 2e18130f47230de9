"""Posting services on real databases."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from chronicle_ledger.store.migrate import migrate
from support.ledger_bench import Bench


@pytest.fixture
async def bench(ledger_urls: list[str]) -> AsyncIterator[Bench]:
    """A migrated database, and as many posting services on it as a test asks for."""
    async with Bench(ledger_urls) as made:
        yield made


@pytest.fixture
async def postgres_bench(postgres_url: str) -> AsyncIterator[Bench]:
    """The same on PostgreSQL alone, for what does not depend on the database."""
    await migrate(postgres_url)
    async with Bench([postgres_url]) as made:
        yield made
