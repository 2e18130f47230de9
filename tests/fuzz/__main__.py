"""`python -m tests.fuzz`: bounded fuzzing of three replicas, with figures at the end; part of no gate.

Half of the requests come from schemathesis and the OpenAPI document, half from `hostile.py`. What must hold: an answer
to each, no 5xx but the documented ones, no process above 150 MiB, and a clean proof at the end. Exit status 0 if so.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

import httpx  # noqa: E402 - the line above makes `support` importable
import schemathesis  # noqa: E402
from hypothesis import HealthCheck, Phase, given, seed, settings  # noqa: E402
from hypothesis.errors import Unsatisfiable  # noqa: E402
from requests import RequestException  # noqa: E402
from schemathesis import GenerationMode  # noqa: E402
from schemathesis.core.result import Ok  # noqa: E402

from chronicle_chaos.local.binaries import chronicle  # noqa: E402
from chronicle_ledger.api.app import document  # noqa: E402
from chronicle_ledger.web.problems import CATALOGUE  # noqa: E402
from support.local_ledger import short_temporary_folder, up  # noqa: E402

from .hostile import Hostile  # noqa: E402

MEMORY_LIMIT_MIB = 150
ANSWER_SECONDS = 30.0
CONNECTIONS = 16
ENDLESS = "/v1/events"
PROOF = "/v1/proof"


@dataclass(slots=True)
class Tally:
    """What was sent and what came back."""

    statuses: Counter[int] = field(default_factory=Counter)
    families: Counter[str] = field(default_factory=Counter)
    undocumented: list[str] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Return the number of requests."""
        return sum(self.families.values())

    def note(self, family: str, status: int, body: bytes) -> None:
        """Count one answer; status 0 is a connection that was closed without one."""
        self.families[family] += 1
        self.statuses[status] += 1
        if status >= 500 and not _documented(status, body):
            self.undocumented.append(f"{family}: {status} {body[:200]!r}")


def _documented(status: int, body: bytes) -> bool:
    try:
        answer = json.loads(body)
    except ValueError:
        return False
    if "code" not in answer:  # /health and /readyz say `down` with 503 and no problem document
        return status == 503 and answer.get("status") == "down"
    definition = CATALOGUE.get(answer["code"])
    return answer["code"] != "internal_error" and definition is not None and definition.status == status


def by_schema(tally: Tally, urls: list[str], key: str, number: int, draw: int) -> None:
    """Send `number` requests that schemathesis makes, allowed and forbidden ones, to the replicas in turn."""
    schema: Any = schemathesis.openapi.from_dict(document())
    listed = [result.ok() for result in schema.get_all_operations() if isinstance(result, Ok)]
    operations = [operation for operation in listed if operation.path not in {ENDLESS, PROOF}]
    modes = [
        (operation, mode) for operation in operations for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    ]
    share = max(1, -(-number // len(modes)))
    for operation, mode in modes:

        @seed(draw)
        @settings(
            max_examples=share, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: Any) -> None:
            url = urls[tally.sent % len(urls)]
            try:
                answer = case.call(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_SECONDS)
            except RequestException as error:
                tally.note("schema", 0, b"")
                tally.undocumented.append(f"no answer to {case.operation.label}: {error}")
            else:
                tally.note("schema", answer.status_code, answer.content)

        with contextlib.suppress(Unsatisfiable):  # an operation without input has nothing that could be wrong in it
            send()


async def by_hand(tally: Tally, urls: list[str], hostile: Hostile, number: int) -> None:
    """Send `number` hostile requests over connections of their own, 16 at a time."""
    left = iter(range(number))

    async def client() -> None:
        for index in left:
            family, request = hostile.draw()
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    status, body = await exchange(urls[index % len(urls)], request)
            except TimeoutError:
                status, body = 0, b""
                tally.undocumented.append(f"{family}: no answer within {ANSWER_SECONDS:g} s to {request[:200]!r}")
            tally.note(family, status, body)

    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))


async def exchange(url: str, request: bytes) -> tuple[int, bytes]:
    """Send bytes; return status and body; status 0 where the connection was just closed."""
    address = urlsplit(url)
    received = b""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(request)
            await writer.drain()
            while piece := await reader.read(65_536):
                received += piece
                if _whole(received):
                    break
        finally:
            writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    try:
        return int(head.split(b" ", 2)[1]), body
    except (IndexError, ValueError):
        return 0, b""


def _whole(received: bytes) -> bool:
    head, end, body = received.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return bool(end) and len(body) >= int(line.split(b":")[1])
    return False


def peak_memory(keeper: int) -> dict[str, float]:
    """Return the peak resident memory, in MiB, of each of the ledger's own processes below `keeper`."""
    peaks = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            status = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
        except (OSError, ValueError):
            continue
        if "serve" in words and _below(int(folder.name), keeper):
            role = words[words.index("serve") + 1]
            peaks[f"{role} {folder.name}"] = int(status["VmHWM"].split()[0]) / 1024
    return peaks


def _below(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            return False
    return False


def prepare(url: str, key: str) -> list[str]:
    """Open ten accounts with money in them; return their ids."""
    accounts = []
    with httpx.Client(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=ANSWER_SECONDS) as client:
        for _ in range(10):
            opened = client.post(
                "/v1/accounts", json={"currency": "EUR"}, headers={"Idempotency-Key": uuid.uuid4().hex}
            )
            accounts.append(opened.raise_for_status().json()["id"])
            paid = client.post(
                f"/v1/accounts/{accounts[-1]}/deposits",
                json={"amount": 1_000_000, "currency": "EUR"},
                headers={"Idempotency-Key": uuid.uuid4().hex},
            )
            paid.raise_for_status()
    return accounts


def new_key(file: Path) -> str:
    """Return a new key of an admin, and store what lets it in."""
    command: list[str | Path] = [
        chronicle(),
        "keys",
        "new",
        "--role",
        "admin",
        "--name",
        "fuzz",
        "--file",
        file,
        "--json",
    ]
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    return str(json.loads(made.stdout)["key"])


async def proof(url: str, key: str) -> tuple[str, list[str]]:
    """Return the verdict of a proof, and its checks that did not pass."""
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {key}"}, timeout=300) as client:
        while (asked := await client.get(PROOF)).status_code == 429:  # noqa: ASYNC110 - as it was told to
            await asyncio.sleep(float(asked.headers["retry-after"]))
        answer = asked.raise_for_status().json()
    failed = [json.dumps(check)[:300] for check in answer["checks"] if check["result"] != "Passed"]
    return answer["result"], failed


async def fuzz(database: str, requests: int, draw: int) -> bool:
    """Fuzz one ledger, print the figures, return whether everything held."""
    folder = short_temporary_folder()
    try:
        key = await asyncio.to_thread(new_key, folder / "keys.json")
        began = time.monotonic()
        async with up(folder, database, "--keys", str(folder / "keys.json")) as (child, target):
            urls = [url for region in target.regions.values() for url in region]
            accounts = await asyncio.to_thread(prepare, target.url, key)
            tally = Tally()
            await asyncio.to_thread(by_schema, tally, urls, key, requests // 2, draw)
            await by_hand(tally, [*urls, target.url], Hostile(Random(draw), key, accounts), requests - tally.sent)
            peaks = peak_memory(child.pid)
            result, failed = await proof(target.url, key)
        return report(database, tally, peaks, result, failed, time.monotonic() - began)
    finally:
        await asyncio.to_thread(shutil.rmtree, folder)


def report(
    database: str, tally: Tally, peaks: dict[str, float], result: str, failed: list[str], seconds: float
) -> bool:
    """Print what was seen; return whether everything held."""
    print(f"\n{database}: {tally.sent:,} requests in {seconds:.0f} s")
    print("  families  " + ", ".join(f"{name} {count:,}" for name, count in tally.families.most_common()))
    print(
        "  statuses  "
        + ", ".join(f"{status or 'closed'} x {count:,}" for status, count in sorted(tally.statuses.items()))
    )
    print("  memory    " + ", ".join(f"{name} {peak:.0f} MiB" for name, peak in sorted(peaks.items())))
    print(f"  proof     {result}")
    for line in [*failed, *tally.undocumented[:20]]:
        print(f"    {line}")
    api = [peak for name, peak in peaks.items() if name.startswith("api")]
    held = not tally.undocumented and result == "Passed" and len(api) == 3 and max(peaks.values()) <= MEMORY_LIMIT_MIB
    print(f"  {'held' if held else 'DID NOT HOLD'}: {len(tally.undocumented)} undocumented 5xx")
    return held


def main() -> None:
    """Fuzz each database that is asked for."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description="Fuzz three replicas of the ledger.")
    parser.add_argument("--requests", type=int, default=20_000, help="how many, for each database")
    parser.add_argument("--seed", type=int, default=7, help="draw the same requests again")
    parser.add_argument("--database", action="append", choices=["postgres", "cockroach"], help="default: both")
    arguments = parser.parse_args()
    os.environ.setdefault("CHRONICLE_LOG_LEVEL", "warning")
    databases = arguments.database or ["postgres", "cockroach"]
    held = [asyncio.run(fuzz(database, arguments.requests, arguments.seed)) for database in databases]
    sys.exit(0 if all(held) else 1)


if __name__ == "__main__":
    main()
