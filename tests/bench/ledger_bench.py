"""The ledger over HTTP, next to what the database itself can do, measured in the same run.

The API is `chronicle serve api` in a process of its own, without a key file; so is each client.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
import tempfile
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chronicle_ledger.domain.commands import OpenAccount, fingerprint
from chronicle_ledger.posting.service import Posted, PostingService
from chronicle_ledger.store.migrate import migrate
from chronicle_ledger.store.pool import open_pool
from support import ledger_servers

from .table import Options, Row

HERE = Path(__file__).parent
ACCOUNTS = 10_000
CONNECTIONS = 80


@dataclass(frozen=True, slots=True)
class Bench:
    """A database with accounts, and the API in front of it."""

    database: str
    urls: Sequence[str]
    accounts: Sequence[str]
    base: str
    pid: int
    seconds: float

    async def client(self, program: str, what: str, **options: Any) -> Row:
        """Run a client program with `options`; its row."""
        options = {"hot": False, "batch": 0, "seconds": self.seconds, **options}
        options |= {"urls": list(self.urls), "base": self.base, "accounts": list(self.accounts)}
        options["prefix"] = uuid.uuid4().hex[:12]
        cpu = self.cpu_seconds()
        process = await asyncio.create_subprocess_exec(
            sys.executable, str(HERE / program), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
        )
        stdout, _ = await process.communicate(json.dumps(options).encode())
        if process.returncode:
            raise RuntimeError(f"{program} failed while measuring: {what}")
        result = json.loads(stdout)
        if result.get("first_failure"):
            sys.stderr.write(f"{what}: {result['first_failure']}\n")
        more = {"retries": float(result["retries"])} if result.get("retries") else {}
        if result.get("transfers"):
            more["API CPU ms"] = (self.cpu_seconds() - cpu) / result["transfers"] * 1000
        row = Row(self.database, what, result["per_second"], result["p50"], result["p99"], result["failed"], more)
        sys.stderr.write(f"{row.database:12} {row.what:44} {row.per_second:9,.0f}/s  p99 {row.p99 or 0:.1f} ms\n")
        return row

    def cpu_seconds(self) -> float:
        """The API process's user and system time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def peak_memory(self) -> float:
        """The API process's largest resident size so far, in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("no VmHWM; this needs Linux")


async def _open_accounts(url: str) -> list[str]:
    ids = [uuid.uuid4() for _ in range(ACCOUNTS)]
    database = await open_pool(url, statement_timeout=30)
    service = PostingService(database)
    for start in range(0, ACCOUNTS, 500):
        commands = [
            OpenAccount(
                id=uuid.uuid4(),
                fingerprint=fingerprint(b""),
                posted_by="bench",
                account_id=id_,
                currency="EUR",
                floor=-(2**50),
            )
            for id_ in ids[start : start + 500]
        ]
        results = await service.submit_many(commands, atomic=False, deadline=120)
        failed = [result for result in results if not isinstance(result, Posted)]
        if failed:
            raise RuntimeError(f"accounts cannot be opened: {failed[0]!r}")
    await service.drain(10)
    await database.close()
    return [str(id_) for id_ in ids]


def _ready(base: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{base}/readyz", timeout=2) as answer:  # noqa: S310
        return bool(answer.status == 200)
    return False


@contextlib.asynccontextmanager
async def _api(url: str) -> AsyncIterator[tuple[str, int]]:
    port = ledger_servers.free_port()
    environment = {
        **os.environ,
        "CHRONICLE_DATABASE_URL": url,
        "CHRONICLE_LISTEN_PORT": str(port),
        "CHRONICLE_REQUEST_DEADLINE": "20",
        "CHRONICLE_LOG_LEVEL": "warning",
    }
    with tempfile.TemporaryFile() as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", "from chronicle_cli.main import main; main()", "serve", "api",
            env=environment, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            base = f"http://127.0.0.1:{port}"
            for _ in range(300):
                if await asyncio.to_thread(_ready, base):
                    break
                if process.returncode is not None:
                    break
                await asyncio.sleep(0.1)
            else:
                process.kill()
            if process.returncode is not None:
                log.seek(0)
                raise RuntimeError(f"the API does not start:\n{log.read().decode()[-2000:]}")
            yield base, process.pid
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()


async def _measure(bench: Bench) -> list[Row]:
    rows = []
    for concurrency in (32, 100):
        # A bare client needs a connection a request; PostgreSQL's default ends at 100, some of them reserved.
        connections = min(concurrency, CONNECTIONS)
        ceiling = await bench.client("raw_client.py", f"one CTE a transfer, c={connections}", concurrency=connections)
        raw_hot = await bench.client(
            "raw_client.py", f"one CTE a transfer, one hot account, c={connections}", concurrency=connections, hot=True
        )
        single = await bench.client(
            "http_client.py", f"HTTP single, {ACCOUNTS:,} accounts, c={concurrency}", concurrency=concurrency
        )
        hot = await bench.client(
            "http_client.py", f"HTTP single, one hot account, c={concurrency}", concurrency=concurrency, hot=True
        )
        rows += [ceiling, raw_hot]
        rows.append(_with(single, {**single.more, "of ceiling": single.per_second / ceiling.per_second}))
        rows.append(
            _with(
                hot,
                {
                    **hot.more,
                    "of spread": hot.per_second / single.per_second,
                    "of raw": hot.per_second / raw_hot.per_second,
                },
            )
        )
    bulk = await bench.client("raw_client.py", "100 transfers a statement, c=4", concurrency=4, batch=100)
    rows.append(bulk)
    sizes = (100, 1000)
    fair = [
        await bench.client("rows_client.py", f"the ledger's rows, {size:,} a statement, c=4", concurrency=4, batch=size)
        for size in sizes
    ]
    rows += fair
    for size, same_rows in zip(sizes, fair, strict=True):
        row = await bench.client("http_client.py", f"HTTP batches of {size:,}, c=4", concurrency=4, batch=size)
        more = {
            "of ceiling": row.per_second / bulk.per_second,
            "of the same rows": row.per_second / same_rows.per_second,
        }
        rows.append(_with(row, {**row.more, **more}))
    rows[-1] = _with(rows[-1], {**rows[-1].more, "API peak MiB": bench.peak_memory()})
    return rows


def _with(row: Row, more: dict[str, float]) -> Row:
    return Row(row.database, row.what, row.per_second, row.p50, row.p99, row.failed, more)


@contextlib.contextmanager
def _servers(kind: str) -> Iterator[list[str]]:
    if kind == "postgresql":
        with ledger_servers.postgres() as urls:
            yield urls
        return
    binary = ledger_servers.cockroach_binary()
    if binary is None:
        sys.stderr.write("cockroachdb: not measured, no binary; set CHRONICLE_COCKROACH to one\n")
        yield []
        return
    with ledger_servers.cockroach(binary) as urls:
        yield urls


async def run(options: Options) -> list[Row]:
    """Measure on PostgreSQL and on three CockroachDB nodes."""
    rows: list[Row] = []
    for kind in [options.database] if options.database else ["postgresql", "cockroachdb"]:
        with _servers(kind) as templates:
            if not templates:
                continue
            urls = ledger_servers.create_database(templates)
            await migrate(urls[0])
            accounts = await _open_accounts(urls[0])
            async with _api(urls[0]) as (base, pid):
                rows += await _measure(Bench(kind, urls, accounts, base, pid, options.seconds))
    return rows
