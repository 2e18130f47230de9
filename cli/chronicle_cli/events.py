"""`chronicle proof`, `reconcile`, `rebuild` and `events`: ledger, stream and read model, from the command line.

They use the service's own settings (CHRONICLE_DATABASE_URL, CHRONICLE_NATS_URLS, …), see docs/api.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from chronicle_cli.ledger import load_settings

if TYPE_CHECKING:
    from chronicle_ledger.events.bus import Bus
    from chronicle_ledger.events.proof import Proof
    from chronicle_ledger.settings import Settings
    from chronicle_ledger.store.pool import Database

T = TypeVar("T")

EXIT = {"Passed": 0, "NotApplicable": 0, "Failed": 1, "Inconclusive": 3}
STYLES = {
    "Passed": ("ok", "green"),
    "Failed": ("FAILED", "red"),
    "Inconclusive": ("unknown", "yellow"),
    "NotApplicable": ("-", "dim"),
}


def _fail(message: str, status: int = 1) -> NoReturn:
    click.echo(f"chronicle: {message}", err=True)
    sys.exit(status)


@asynccontextmanager
async def _servers(settings: Settings) -> AsyncIterator[tuple[Database, Bus | None]]:
    from chronicle_ledger.events import bus as buses
    from chronicle_ledger.store.pool import open_pool

    database = await open_pool(
        settings.database_url, size=3, statement_timeout=max(settings.statement_timeout, 10.0), name="chronicle-cli"
    )
    bus = buses.of(settings, "cli") if settings.nats_urls else None
    if bus is not None:
        bus.start()
    try:
        yield database, bus
    finally:
        if bus is not None:
            await bus.close()
        await database.close()


def _run(work: Callable[[Settings, Database, Bus | None], Awaitable[T]]) -> T:
    from nats.errors import Error as NatsError

    from chronicle_ledger.domain.errors import LedgerError
    from chronicle_ledger.events.bus import BusUnavailable
    from chronicle_ledger.events.puller import ConsumerGone
    from chronicle_ledger.events.rebuild import RebuildOvertaken, RebuildRunning
    from chronicle_ledger.events.reconcile import LedgerDamaged, ReconcileFailed
    from chronicle_ledger.events.replay import StreamSilent
    from chronicle_ledger.store.failures import DATABASE_ERRORS

    settings = load_settings()

    async def main() -> T:
        async with _servers(settings) as (database, bus):
            return await work(settings, database, bus)

    try:
        return asyncio.run(main())
    except LedgerError as error:
        _fail(f"{error.message} (is CHRONICLE_DATABASE_URL right, its server up, and `chronicle migrate` done?)", 3)
    except LedgerDamaged as error:
        _fail(str(error), 1)
    except (RebuildOvertaken, RebuildRunning, ReconcileFailed, BusUnavailable, ConsumerGone, StreamSilent) as error:
        _fail(str(error), 3)
    except DATABASE_ERRORS as error:
        _fail(f"the database: {str(error).strip()} (is CHRONICLE_DATABASE_URL right, and `chronicle migrate` done?)", 3)
    except (NatsError, TimeoutError) as error:
        _fail(f"NATS: {str(error) or type(error).__name__} (is CHRONICLE_NATS_URLS right, and are its servers up?)", 3)


def _tell(done: dict[str, Any], words: str, *, as_json: bool) -> None:
    """Print what was done: for a program as one JSON object, for people in words, filled in from it."""
    click.echo(json.dumps(done) if as_json else words.format(**done))


def _show(proof: Proof) -> None:
    from rich.console import Console
    from rich.markup import escape

    console = Console(soft_wrap=True, highlight=False)
    for check in proof.checks:
        mark, style = STYLES[check.result.value]
        console.print(f"[{style}]{mark:<8}[/] {check.name:<15}", escape(check.document()["message"]))
    console.print(
        f"{proof.result}: {proof.accounts:,} accounts, {proof.transactions:,} transactions, {proof.entries:,} entries"
        f" in {proof.seconds:.1f} s; head {proof.head[:16]}…"
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print the proof as one JSON object.")
def proof(*, as_json: bool) -> None:
    """Prove that ledger, stream and read model agree. Exit status 0: clean, 1: a difference, 3: not all compared."""

    async def work(settings: Settings, database: Database, bus: Bus | None) -> Proof:
        from chronicle_ledger.events.proof import prove

        del settings
        return await prove(database, bus)

    made = _run(work)
    if as_json:
        click.echo(json.dumps(made.document()))
    else:
        _show(made)
    sys.exit(EXIT[made.result.value])


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def reconcile(*, as_json: bool) -> None:
    """Repair outbox, stream and read model from the ledger (which is never changed)."""

    async def work(settings: Settings, database: Database, bus: Bus | None) -> dict[str, Any]:
        from chronicle_ledger.events.reconcile import Reconcile

        done = await Reconcile(database, bus, settings.nats_replicas).run()
        return {
            "result_before": done.before.result.value,
            "events_published": done.published,
            "messages_removed": done.removed,
            "outbox_rows_rewritten": done.rewritten,
            "accounts_rebuilt": done.accounts,
        }

    _tell(
        _run(work),
        "{events_published:,} events published, {messages_removed:,} messages removed,"
        " {outbox_rows_rewritten:,} rows of the outbox written anew, {accounts_rebuilt:,} accounts of the read model"
        " made anew",
        as_json=as_json,
    )


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def rebuild(*, as_json: bool) -> None:
    """Make the read model anew from the ledger, while reads go on."""

    async def work(settings: Settings, database: Database, bus: Bus | None) -> dict[str, Any]:
        from chronicle_ledger.events.rebuild import Rebuild

        del settings, bus
        tty = sys.stderr.isatty()
        done = await Rebuild(
            database, lambda entries: click.echo(f"\r{entries:,} entries", err=True, nl=False) if tty else None
        ).run()
        if tty:
            click.echo("", err=True)
        return {
            "generation": done.generation,
            "events": done.events,
            "entries": done.entries,
            "seconds": round(done.seconds, 3),
            "events_per_second": round(done.events_per_second),
        }

    _tell(
        _run(work),
        "{events:,} events ({entries:,} entries) in {seconds:.1f} s: {events_per_second:,} events/s",
        as_json=as_json,
    )


@click.group()
def events() -> None:
    """Look at the event stream, its lag and its dead letters."""


@events.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
def dead(*, as_json: bool) -> None:
    """List the messages that the projector could not use, and why."""

    async def work(settings: Settings, database: Database, bus: Bus | None) -> list[dict[str, Any]]:
        from chronicle_ledger.events.dead import letters

        del settings, database
        connected = await _connected(bus)
        return [
            {
                "number": letter.number,
                "at": letter.at.isoformat(),
                "reason": letter.reason,
                "subject": letter.subject,
                "sequence": letter.sequence,
                "data": letter.data.decode(errors="replace"),
            }
            async for letter in letters(connected.jetstream())
        ]

    found = _run(work)
    for letter in found:
        if as_json:
            click.echo(json.dumps(letter))
        else:
            click.echo(f"{letter['at']}  {letter['subject']} #{letter['sequence']}: {letter['reason']}")
            click.echo(f"    {letter['data'][:200]}")
    if not found:
        click.echo("no dead letters", err=True)


@events.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def lag(*, as_json: bool) -> None:
    """Show how far stream and read model are behind the ledger."""

    async def work(settings: Settings, database: Database, bus: Bus | None) -> dict[str, Any]:
        from chronicle_ledger.events.lag import LagMeter

        del settings
        if bus is not None:
            await bus.wait_connected(2.0)
        found = await LagMeter(database, bus).read()
        return {
            "backlog": found.backlog,
            "pending": found.pending,
            "lag_events": found.events,
            "lag_seconds": round(found.seconds, 3),
            "nats_connected": bus is not None and bus.connected,
        }

    _tell(
        _run(work),
        "{backlog:,} events in the outbox, {pending:,} in the stream not projected yet; the oldest is"
        " {lag_seconds:.1f} s old",
        as_json=as_json,
    )


async def _connected(bus: Bus | None) -> Bus:
    from chronicle_ledger.events.bus import BusUnavailable

    if bus is None:
        raise BusUnavailable("there is no event stream: set CHRONICLE_NATS_URLS")
    await bus.wait_connected(5.0)
    return bus
