"""`chronicle proof`, `reconcile`, `rebuild` and `events` as an operator runs them, for people and for programs."""

from __future__ import annotations

import json
import subprocess
from datetime import datetime

from chronicle_ledger.events import dead
from chronicle_ledger.events.stream import subject
from support.api_process import CHRONICLE, environment
from support.event_bench import EventBench, until


def _run(bench: EventBench, *arguments: str, stream: bool = True) -> tuple[int, str]:
    named = {"NATS_URLS": ",".join(bench.nats.urls), "NATS_REPLICAS": "3"} if stream else {}
    settings = environment(bench.url, **named)
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
        "result_before": "Passed", "transactions_restored": 0, "dead_letters": 0,
        "events_published": 0, "messages_removed": 0, "outbox_rows_rewritten": 0,
        "accounts_rebuilt": 0,
    }  # fmt: skip
    status, said = _run(bench, "proof", "--json")
    assert (status, json.loads(said)["result"]) == (0, "Passed")


async def test_lag_and_rebuild_say_how_many(bench: EventBench) -> None:
    await bench.post(3)
    status, said = _run(bench, "events", "lag")
    assert status == 0
    assert said.startswith("events in the outbox: 15; in the stream, not projected yet: 0; oldest: "), said
    assert json.loads(_run(bench, "events", "lag", "--json")[1])["backlog"] == 15
    status, said = _run(bench, "rebuild")
    assert status == 0
    assert said.startswith("15 events ("), said
    assert json.loads(_run(bench, "rebuild", "--json")[1])["events"] == 15


async def test_dead_letters_are_listed_with_their_reason_and_what_they_say(bench: EventBench) -> None:
    await bench.reconcile()  # makes both streams
    status, said = _run(bench, "events", "dead")
    assert status == 0
    assert said.splitlines()[-1] == "no dead letters"
    js = bench.bus.jetstream()
    await js.publish(subject(3), b"no event at all")
    await js.publish(subject(4), "größer als sonst".encode("latin-1") + b"x" * 500)

    async with bench.running(bench.projector()):
        await until(lambda: _letters(bench, 2), "both messages are put aside")
    status, said = _run(bench, "events", "dead")
    assert status == 0
    first, data, second, cut = said.splitlines()
    assert "  chronicle.txn.3 #1: not an event: " in first
    assert datetime.fromisoformat(first.split("  ")[0]).tzinfo is not None
    assert data == "    no event at all"
    assert "  chronicle.txn.4 #2: not an event: " in second
    assert len(cut) == 204, "the beginning of a long one"
    status, said = _run(bench, "events", "dead", "--json")
    assert status == 0
    letters = [json.loads(line) for line in said.splitlines()]
    assert [(letter["number"], letter["subject"], letter["sequence"]) for letter in letters] == [
        (1, "chronicle.txn.3", 1), (2, "chronicle.txn.4", 2),
    ]  # fmt: skip
    assert letters[0]["data"] == "no event at all"
    assert all(letter["reason"].startswith("not an event: ") and letter["at"] for letter in letters)


async def _letters(bench: EventBench, count: int) -> bool:
    return len([letter async for letter in dead.letters(bench.bus.jetstream())]) == count


async def test_dead_letters_cannot_be_listed_without_a_stream(bench: EventBench) -> None:
    assert _run(bench, "events", "dead", stream=False) == (
        3, "chronicle: there is no event stream: set CHRONICLE_NATS_URLS\n"
    )  # fmt: skip
