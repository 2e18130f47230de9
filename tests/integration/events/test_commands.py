"""`chronicle proof`, `reconcile`, `rebuild` and `events lag` as an operator runs them, for people and for programs."""

from __future__ import annotations

import json
import subprocess

from support.api_process import CHRONICLE, environment
from support.event_bench import EventBench


def _run(bench: EventBench, *arguments: str) -> tuple[int, str]:
    settings = environment(bench.url, NATS_URLS=",".join(bench.nats.urls), NATS_REPLICAS="3")
    done = subprocess.run(
        [CHRONICLE, *arguments], env=settings, capture_output=True, text=True, timeout=60, check=False
    )
    return done.returncode, done.stdout or done.stderr


async def test_a_changed_row_of_the_outbox_is_found_repaired_and_said_so(bench: EventBench) -> None:
    await bench.post(3)
    await bench.reconcile()  # makes the stream, which there is no relay to make
    await bench.execute("UPDATE outbox SET payload = 'nonsense' WHERE id = (SELECT min(id::text)::uuid FROM outbox)")
    status, said = _run(bench, "proof")
    assert status == 1
    assert "message in the outbox" in said
    status, said = _run(bench, "reconcile")
    assert status == 0
    assert said == (
        "0 events published, 0 messages removed, 1 rows of the outbox written anew, 0 accounts of the read model made"
        " anew\n"
    )
    status, said = _run(bench, "reconcile", "--json")
    assert status == 0
    assert json.loads(said) == {
        "result_before": "Passed", "events_published": 0, "messages_removed": 0, "outbox_rows_rewritten": 0,
        "accounts_rebuilt": 0,
    }  # fmt: skip
    status, said = _run(bench, "proof", "--json")
    assert (status, json.loads(said)["result"]) == (0, "Passed")


async def test_lag_and_rebuild_say_how_many(bench: EventBench) -> None:
    await bench.post(3)
    status, said = _run(bench, "events", "lag")
    assert status == 0
    assert said.startswith("15 events in the outbox, 0 in the stream not projected yet; the oldest is "), said
    assert json.loads(_run(bench, "events", "lag", "--json")[1])["backlog"] == 15
    status, said = _run(bench, "rebuild")
    assert status == 0
    assert said.startswith("15 events ("), said
    assert json.loads(_run(bench, "rebuild", "--json")[1])["events"] == 15
