"""`python -m chronicle_ledger.proof`: a proof in a process of its own, as the API starts it.

Prints the proof as one JSON object and ends with status 0, or with 3 where it could not be finished; the log says why.
Settings come from the environment. It has a low priority and bounded memory and files, and ends when its standard input
does: then the process that started it is gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sqlite3
import sys
import threading

from nats.errors import Error as NatsError

from chronicle_ledger import logs
from chronicle_ledger.domain.errors import LedgerError
from chronicle_ledger.events import bus as buses
from chronicle_ledger.proof.prove import KeptSeals, Proof, prove
from chronicle_ledger.settings import Settings, SettingsError, load
from chronicle_ledger.store.failures import DATABASE_ERRORS
from chronicle_ledger.store.pool import open_pool

NICENESS = 10
MEMORY_BYTES = 1 << 30
FILE_BYTES = 8 << 30
"""Of one temporary file: some 60 million transactions."""

UNFINISHED = 3

log = logs.get(__name__)


async def _prove(settings: Settings) -> Proof:
    database = await open_pool(
        settings.proof_database_url or settings.database_url,
        size=2,
        statement_timeout=max(settings.statement_timeout, 10.0),
        name=f"chronicle-proof {settings.instance}"[:63],
        pooler=settings.database_pooler,
    )
    # It is the API that asks, by the user of NATS and the inbox that the API has.
    bus = buses.of(settings, "api") if settings.nats_urls else None
    if bus is not None:
        bus.start()
    try:
        return await prove(database, bus, kept=KeptSeals(None, frozenset(settings.seal_public_keys)))
    finally:
        if bus is not None:
            await bus.close()
        await database.close()


def _end_with_parent() -> None:
    # Nothing is ever written there: reading returns when the other end is closed.
    sys.stdin.buffer.read()
    os._exit(UNFINISHED)


def _limit() -> None:
    os.nice(NICENESS)
    for kind, most in ((resource.RLIMIT_DATA, MEMORY_BYTES), (resource.RLIMIT_FSIZE, FILE_BYTES)):
        _, hard = resource.getrlimit(kind)
        bound = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (bound, hard))


def main() -> int:
    """Make the proof; return the exit status."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        settings = load()
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        return UNFINISHED
    logs.configure(settings.log_level, settings.log_format)
    _limit()
    try:
        made = asyncio.run(_prove(settings))
    except (LedgerError, NatsError, TimeoutError, sqlite3.Error, MemoryError, *DATABASE_ERRORS) as error:
        log.warning("proof not finished", error=str(error).strip() or type(error).__name__)
        return UNFINISHED
    except KeyboardInterrupt:
        return UNFINISHED
    sys.stdout.write(json.dumps(made.document()))
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    # The thread that waits for the end of standard input may hold its lock, at which the interpreter would stumble.
    os._exit(status)
