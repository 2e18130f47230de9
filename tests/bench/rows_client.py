"""The fair ceiling of bulk: a bare psycopg client that writes the rows and bytes of the ledger, and decides nothing.

For each transfer it writes the transaction, two entries and the outbox message, and for each batch each account once,
by the ledger's own statements in one round trip. It reads no account under a lock, checks no floor and no key, and its
hashes are random. Each connection has accounts of its own, so that it knows their versions and none waits for another.
Run by ledger_bench.py as `python rows_client.py`, options as JSON on stdin; prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import psycopg
import uvloop

from chronicle_ledger.store.arrays import binary, plain, quoted
from chronicle_ledger.store.write import ENTRY, OUTBOX, TXN

MOVE = """
UPDATE account
SET balance = new.balance, held = new.held, version = new.version, head = new.head, updated_at = new.updated_at
FROM (SELECT unnest(%s::uuid[]) AS id, unnest(%s::int8[]) AS seen, unnest(%s::int8[]) AS version,
             unnest(%s::int8[]) AS balance, unnest(%s::int8[]) AS held, unnest(%s::bytea[]) AS head,
             unnest(%s::timestamptz[]) AS updated_at) AS new
WHERE account.id = new.id AND account.version = new.seen
"""
READ = "SELECT id::text, version, balance FROM account WHERE id = ANY(%s::uuid[])"
SUBJECT = "anyone"
SHARDS = 16

State = dict[str, tuple[int, int]]
"""Version and balance of each account."""


def statements(rng: random.Random, accounts: list[str], state: State, size: int) -> list[tuple[str, list[str]]]:
    """Return what writes `size` transfers, and move `state` on."""
    now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
    ids: list[str] = []
    fingerprints: list[bytes] = []
    hashes: list[bytes] = []
    payloads: list[str] = []
    shards: list[int] = []
    entries: list[tuple[str, int, str, int, int]] = []
    seen: State = {}
    heads: dict[str, bytes] = {}
    for _ in range(size):
        number = uuid.UUID(int=rng.getrandbits(128), version=5)
        id_, fingerprint, hash_ = str(number), rng.randbytes(32), rng.randbytes(32)
        parts = []
        for account, amount in zip(rng.sample(accounts, 2), (-1, 1), strict=True):
            before = state[account]
            seen.setdefault(account, before)
            version, balance = state[account] = before[0] + 1, before[1] + amount
            heads[account] = hash_
            entries.append((account, version, id_, amount, balance))
            parts.append(
                f'{{"account_id":"{account}","currency":"EUR","version":{version},"amount":{amount},"held":0,'
                f'"balance_after":{balance},"held_after":0}}'
            )
        ids.append(id_)
        fingerprints.append(fingerprint)
        hashes.append(hash_)
        shards.append(number.int % SHARDS)
        payloads.append(
            f'{{"schema":1,"id":"{id_}","kind":"transfer","posted_at":"{now}","effective_at":"{now}",'
            f'"posted_by":"{SUBJECT}","metadata":{{}},"details":{{}},"reverses":null,"hold_id":null,'
            f'"hash":"{hash_.hex()}","fingerprint":"{fingerprint.hex()}","entries":[{",".join(parts)}]}}'
        )
    nothing = plain([None] * size)
    times = plain([now] * size)
    empty = quoted(["{}"] * size)
    both = 2 * size
    return [
        (
            TXN,
            [
                plain(ids), binary(fingerprints), plain(["transfer"] * size), nothing, nothing, times, times, empty,
                empty, binary(hashes), quoted([SUBJECT] * size),
            ],
        ),
        (
            ENTRY,
            [
                plain([entry[0] for entry in entries]), plain([entry[1] for entry in entries]),
                plain([entry[2] for entry in entries]), quoted(["EUR"] * both),
                plain([entry[3] for entry in entries]), plain([0] * both), plain([entry[4] for entry in entries]),
                plain([0] * both), plain([now] * both),
            ],
        ),
        (
            MOVE,
            [
                plain(seen), plain([version for version, _ in seen.values()]), plain([state[id_][0] for id_ in seen]),
                plain([state[id_][1] for id_ in seen]), plain([0] * len(seen)), binary([heads[id_] for id_ in seen]),
                plain([now] * len(seen)),
            ],
        ),
        (OUTBOX, [plain(shards), plain(ids), quoted(payloads), times]),
    ]  # fmt: skip


async def worker(index: int, options: dict[str, Any], ends: float, latencies: list[float], retries: list[str]) -> None:
    """Write one batch after the other on one connection until `ends`."""
    rng = random.Random(f"{options['prefix']}-{index}")
    accounts = options["accounts"][index :: options["concurrency"]]
    urls = options["urls"]
    async with await psycopg.AsyncConnection.connect(urls[index % len(urls)], autocommit=True) as connection:
        rows = await (await connection.execute(READ, [accounts])).fetchall()
        state: State = {id_: (version, balance) for id_, version, balance in rows}
        while time.perf_counter() < ends:
            batch = statements(rng, accounts, state, options["batch"])
            began = time.perf_counter()
            while True:
                try:
                    async with connection.pipeline(), connection.transaction():
                        for statement, parameters in batch:
                            await connection.execute(statement, parameters, prepare=True)
                    break
                except psycopg.OperationalError as error:
                    retries.append(error.sqlstate or "")
                    await asyncio.sleep(rng.uniform(0, 0.01))
            latencies.append(time.perf_counter() - began)


async def run(options: dict[str, Any]) -> dict[str, Any]:
    """One measurement."""
    latencies: list[float] = []
    retries: list[str] = []
    began = time.perf_counter()
    ends = began + options["seconds"]
    await asyncio.gather(*[worker(i, options, ends, latencies, retries) for i in range(options["concurrency"])])
    elapsed = time.perf_counter() - began
    latencies.sort()
    return {
        "per_second": len(latencies) * options["batch"] / elapsed,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000,
        "failed": 0,
        "retries": len(retries),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.load(sys.stdin)))) + "\n")
