"""A client of the ledger inside the cluster: posts through the Service and prints one line of JSON at the end.

Runs in a pod of the project's image; needs nothing but the standard library and aiohttp. `MODE=round` opens two
accounts, posts transfers, waits until the read model follows and asks for the proof. `MODE=load` posts until SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import aiohttp

URL = os.environ["LEDGER_URL"]
KEY = Path(os.environ["LEDGER_KEY_FILE"]).read_text().strip() if os.environ.get("LEDGER_KEY_FILE") else ""
CA = os.environ.get("LEDGER_CA_FILE")


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def headers(idempotency: str | None = None) -> dict[str, str]:
    found = {"Authorization": f"Bearer {KEY}"} if KEY else {}
    return found | ({"Idempotency-Key": idempotency} if idempotency else {})


async def call(
    session: aiohttp.ClientSession, method: str, path: str, body: Any = None, key: str | None = None
) -> tuple[int, Any]:
    async with session.request(method, URL + path, json=body, headers=headers(key)) as answer:
        text = await answer.text()
        with contextlib.suppress(json.JSONDecodeError):
            return answer.status, json.loads(text)
        return answer.status, text


async def proven(session: aiohttp.ClientSession) -> tuple[int, Any]:
    """Ask for a proof; an instance that makes one for somebody else says 429."""
    while (found := await call(session, "GET", "/v1/proof"))[0] == 429:  # noqa: ASYNC110 - as it was told to
        await asyncio.sleep(1)
    return found


async def account(session: aiohttp.ClientSession, floor: int | None) -> str:
    status, body = await call(session, "POST", "/v1/accounts", {"currency": "EUR", "floor": floor}, str(uuid.uuid4()))
    assert status == 201, (status, body)
    return str(body["id"])


async def round_trip(session: aiohttp.ClientSession) -> dict[str, Any]:
    count = int(os.environ.get("TRANSFERS", "20"))
    source, target = await account(session, None), await account(session, 0)
    for _ in range(count):
        status, body = await call(
            session, "POST", "/v1/transfers", {"source": source, "destination": target, "amount": 5}, str(uuid.uuid4())
        )
        assert status == 201, (status, body)
    view: Any = None
    end = time.monotonic() + 30
    while time.monotonic() < end:
        status, view = await call(session, "GET", f"/v1/views/accounts/{target}/statement")
        if status == 200 and str(5 * count) in json.dumps(view):
            break
        await asyncio.sleep(0.2)
    status, proof = await proven(session)
    _, found = await call(session, "GET", f"/v1/accounts/{target}")
    return {
        "account": target,
        "balance": found["balance"],
        "proof_status": status,
        "proof": proof,
        "view": view,
    }


async def load(session: aiohttp.ClientSession) -> dict[str, Any]:
    source, target = await account(session, None), await account(session, 0)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    figures = {"ok": 0, "failed": 0, "longest_ms": 0}
    wrong: list[str] = []
    say("loading")

    async def post() -> None:
        while not stop.is_set():
            began = time.monotonic()
            body = {"source": source, "destination": target, "amount": 1}
            try:
                status, said = await call(session, "POST", "/v1/transfers", body, str(uuid.uuid4()))
            except (aiohttp.ClientError, TimeoutError) as error:
                status, said = 0, repr(error)
            figures["ok" if status == 201 else "failed"] += 1
            figures["longest_ms"] = max(figures["longest_ms"], int(1000 * (time.monotonic() - began)))
            if status != 201 and len(wrong) < 5:
                wrong.append(f"{status} {said}"[:300])
            await asyncio.sleep(0.05)

    await asyncio.gather(*(post() for _ in range(4)))
    _, found = await call(session, "GET", f"/v1/accounts/{target}")
    return {**figures, "wrong": wrong, "balance": found["balance"], "account": target}


async def balance(session: aiohttp.ClientSession) -> dict[str, Any]:
    _, found = await call(session, "GET", f"/v1/accounts/{os.environ['ACCOUNT']}")
    status, proof = await proven(session)
    return {"balance": found.get("balance"), "proof_status": status, "proof": proof}


async def main() -> None:
    context = ssl.create_default_context(cafile=CA) if CA else None
    # A connection a request, as clients behind a load balancer that drains would see it.
    connector = aiohttp.TCPConnector(force_close=True, ssl=context or True)
    timeout = aiohttp.ClientTimeout(total=60)
    modes = {"round": round_trip, "load": load, "balance": balance}
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        say(json.dumps(await modes[os.environ["MODE"]](session)))


asyncio.run(main())
