"""The database's own ceiling: transfers by a bare psycopg client, on the ledger's tables, without a ledger.

One CTE a transfer (what a service without batching could reach at best), and 100 transfers a statement. It keeps
balances, versions, entries and the outbox, and leaves out idempotent answers, floors, holds and the hash chain.
Run by ledger_bench.py as `python raw_client.py`, options as JSON on stdin; prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
import uuid
from typing import Any

import psycopg
import uvloop

ONE = """
WITH l(a, d) AS (VALUES (%(source)s::uuid, -1::int8), (%(destination)s::uuid, 1::int8)),
t AS (INSERT INTO txn (id, fingerprint, kind, effective_at, posted_at, metadata, details, hash)
      VALUES (%(id)s, %(hash)s, 'transfer', now(), now(), '{}', '{}', %(hash)s) RETURNING id),
u AS (UPDATE account SET balance = balance + l.d, version = version + 1, updated_at = now() FROM l
      WHERE account.id = l.a RETURNING account.id, account.version, account.balance, account.held, l.d),
e AS (INSERT INTO entry (account_id, version, txn_id, currency, amount, held, balance_after, held_after, posted_at)
      SELECT u.id, u.version, %(id)s::uuid, 'EUR', u.d, 0, u.balance, u.held, now() FROM u RETURNING 1),
o AS (INSERT INTO outbox (shard, id, payload, created_at) VALUES (%(shard)s, %(id)s, %(payload)s, now()) RETURNING 1)
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM e), (SELECT count(*) FROM o)
"""
MANY = """
WITH l AS (SELECT unnest(%(txns)s::uuid[]) AS t, unnest(%(accounts)s::uuid[]) AS a, unnest(%(amounts)s::int8[]) AS d),
n AS (SELECT t, a, d, row_number() OVER (PARTITION BY a ORDER BY t) AS i FROM l),
s AS (SELECT a, sum(d)::int8 AS d, count(*) AS n FROM l GROUP BY a),
t AS (INSERT INTO txn (id, fingerprint, kind, effective_at, posted_at, metadata, details, hash)
      SELECT unnest(%(ids)s::uuid[]), %(hash)s, 'transfer', now(), now(), '{}', '{}', %(hash)s RETURNING 1),
u AS (UPDATE account SET balance = balance + s.d, version = version + s.n, updated_at = now() FROM s
      WHERE account.id = s.a RETURNING account.id, account.version - s.n AS version, account.balance, account.held),
e AS (INSERT INTO entry (account_id, version, txn_id, currency, amount, held, balance_after, held_after, posted_at)
      SELECT n.a, u.version + n.i, n.t, 'EUR', n.d, 0, u.balance, u.held, now()
      FROM n JOIN u ON u.id = n.a RETURNING 1),
o AS (INSERT INTO outbox (shard, id, payload, created_at)
      SELECT unnest(%(shards)s::int2[]), unnest(%(ids)s::uuid[]), %(payload)s, now() RETURNING 1)
SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM e), (SELECT count(*) FROM o)
"""
HASH = bytes(32)
PAYLOAD = json.dumps(
    {"entries": [{"account_id": str(uuid.UUID(int=0)), "amount": 1}] * 2, "hash": "0" * 64, "m": "x" * 200}
)


def one(rng: random.Random, accounts: list[str], *, hot: bool) -> dict[str, Any]:
    """Parameters of a single transfer."""
    source, destination = (accounts[0], rng.choice(accounts[1:])) if hot else rng.sample(accounts, 2)
    return {
        "id": uuid.uuid4(),
        "source": source,
        "destination": destination,
        "hash": HASH,
        "shard": rng.randrange(16),
        "payload": PAYLOAD,
    }


def many(rng: random.Random, accounts: list[str], size: int) -> dict[str, Any]:
    """Parameters of `size` transfers in one statement."""
    ids = [uuid.uuid4() for _ in range(size)]
    chosen = [account for _ in ids for account in rng.sample(accounts, 2)]
    return {
        "ids": ids,
        "txns": [id_ for id_ in ids for _ in range(2)],
        "accounts": chosen,
        "amounts": [-1, 1] * size,
        "hash": HASH,
        "shards": [rng.randrange(16) for _ in ids],
        "payload": PAYLOAD,
    }


async def worker(index: int, options: dict[str, Any], ends: float, latencies: list[float], retries: list[str]) -> None:
    """One connection, one statement after the other until `ends`."""
    rng = random.Random(index)
    accounts, size = options["accounts"], options["batch"]
    if size:  # connections of large statements keep to accounts of their own, so that none waits for another
        accounts = accounts[index :: options["concurrency"]]
    urls = options["urls"]
    async with await psycopg.AsyncConnection.connect(
        urls[index % len(urls)], autocommit=True, prepare_threshold=2
    ) as connection:
        while time.perf_counter() < ends:
            parameters = many(rng, accounts, size) if size else one(rng, accounts, hot=options["hot"])
            began = time.perf_counter()
            while True:
                try:
                    await connection.execute(MANY if size else ONE, parameters)
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
        "per_second": len(latencies) * max(1, options["batch"]) / elapsed,
        "p50": latencies[len(latencies) // 2] * 1000,
        "p99": latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000,
        "failed": 0,
        "retries": len(retries),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(uvloop.run(run(json.load(sys.stdin)))) + "\n")
