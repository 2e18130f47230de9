"""Tasks that are told to end do."""

from __future__ import annotations

import asyncio

import pytest

from chronicle_ledger import ending
from chronicle_ledger.ending import end


async def _never() -> None:
    await asyncio.Event().wait()


async def _loses_the_first_cancellation() -> None:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        await asyncio.Event().wait()


async def _fails() -> None:
    raise RuntimeError("at once")


async def test_tasks_end_even_where_a_cancellation_was_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ending, "ASK_AGAIN_SECONDS", 0.01)
    tasks = [asyncio.create_task(it()) for it in (_never, _loses_the_first_cancellation, _fails)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await end(*tasks)
    assert [it.cancelled() for it in tasks] == [True, True, False]


async def test_ending_nothing_is_no_work() -> None:
    await end()
