"""`chronicle proof`, `reconcile`, `rebuild` and `events`: ledger, stream and read model, from the command line.

They use the service's own settings (CHRONICLE_DATABASE_URL, CHRONICLE_NATS_URLS, …), see docs/api.md.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

import click

from chronicle_chaos.judge.verdict import exit_status
from chronicle_cli.ledger import load_settings

if TYPE_CHECKING:
    from chronicle_ledger.events.bus import Bus
    from chronicle_ledger.proof import Proof
    from chronicle_ledger.settings import Settings
    from chronicle_ledger.store.pool import Database

T = TypeVar("T")

LAG_UNKNOWN = 3
"""Exit status where the lag could not be measured."""

STYLES = {
    "Passed": ("ok", "green"),
    "Failed": ("FAILED", "red"),
    "Inconclusive": ("unknown", "yellow"),
    "NotApplicable": ("-", "dim"),
}


def fail(message: str, status: int = 1) -> NoReturn:
    """Say what went wrong on stderr and end with `status`."""
    from chronicle_ledger.concealed import without_passwords

    click.echo(without_passwords(f"chronicle: {message}"), err=True)
    sys.exit(status)


@asynccontextmanager
async def _servers(settings: Settings, *, stream: bool) -> AsyncIterator[tuple[Database, Bus | None]]:
    from chronicle_ledger.events import bus as buses
    from chronicle_ledger.store.pool import open_pool

    database = await open_pool(
        settings.database_url,
        size=3,
        statement_timeout=max(settings.statement_timeout, 10.0),
        name="chronicle-cli",
        pooler=settings.database_pooler,
    )
    bus = buses.of(settings, "cli") if stream and settings.nats_urls else None
    if bus is not None:
        bus.start()
    try:
        yield database, bus
    finally:
        if bus is not None:
            await bus.close()
        await database.close()


def run_with_servers(work: Callable[[Settings, Database, Bus | None], Awaitable[T]], *, stream: bool = True) -> T:
    """Run `work` with connections by the service's settings; `stream` False: without NATS. What it meets ends the
    command with a line on stderr and a status."""
    from nats.errors import Error as NatsError

    from chronicle_ledger.domain.errors import LedgerError
    from chronicle_ledger.events.bus import BusUnavailable
    from chronicle_ledger.events.puller import ConsumerGone
    from chronicle_ledger.events.rebuild import RebuildOvertaken, RebuildRunning
    from chronicle_ledger.events.replay import StreamSilent
    from chronicle_ledger.events.stream import SubjectsTaken
    from chronicle_ledger.proof.reconcile import Contradicted, LedgerDamaged, ReconcileFailed
    from chronicle_ledger.proof.restore import StreamAnswers
    from chronicle_ledger.proof.restore_ledger import NotRestored
    from chronicle_ledger.settings import SettingsError
    from chronicle_ledger.store.failures import DATABASE_ERRORS

    settings = load_settings()

    async def main() -> T:
        async with _servers(settings, stream=stream) as (database, bus):
            return await work(settings, database, bus)

    try:
        return asyncio.run(main())
    except LedgerError as error:
        fail(f"{error.message} (is CHRONICLE_DATABASE_URL right, its server up, and `chronicle migrate` done?)", 3)
    except SettingsError as error:
        fail(str(error), 2)
    except (LedgerDamaged, Contradicted, NotRestored, StreamAnswers, SubjectsTaken) as error:
        fail(str(error), 1)
    except (RebuildOvertaken, RebuildRunning, ReconcileFailed, BusUnavailable, ConsumerGone, StreamSilent) as error:
        fail(str(error), 3)
    except DATABASE_ERRORS as error:
        fail(f"the database: {str(error).strip()} (is CHRONICLE_DATABASE_URL right, and `chronicle migrate` done?)", 3)
    except (NatsError, TimeoutError) as error:
        fail(f"NATS: {str(error) or type(error).__name__} (is CHRONICLE_NATS_URLS right, and are its servers up?)", 3)


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
@click.option(
    "--seals",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Hold the ledger against this copy of its seals, too.",
)
@click.option(
    "--public-key",
    "trusted",
    multiple=True,
    metavar="KEY",
    help="Who may have signed seals: hex, or a file.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the proof as one JSON object.")
def proof(seals: Path | None, trusted: tuple[str, ...], *, as_json: bool) -> None:
    """Prove that ledger, stream and read model agree. Exit status 0: clean, 1: a difference, 3: not all compared."""
    from chronicle_ledger.proof import KeptSeals, prove
    from chronicle_ledger.seals import keys
    from chronicle_ledger.seals.file import SealFileError

    try:
        kept = KeptSeals(seals, frozenset(keys.public_key(given) for given in trusted))
    except keys.SealKeyError as error:
        fail(str(error), 2)

    async def work(settings: Settings, database: Database, bus: Bus | None) -> Proof:
        del settings
        return await prove(database, bus, kept=kept)

    try:
        made = run_with_servers(work)
    except SealFileError as error:
        fail(str(error), 2)
    if as_json:
        click.echo(json.dumps(made.document()))
    else:
        _show(made)
    sys.exit(exit_status([made.result.value]))


@click.command()
@click.option(
    "--trust-ledger", "trust", flag_value="ledger", help="Where they contradict each other, the ledger is right."
)
@click.option(
    "--trust-stream",
    "trust",
    flag_value="stream",
    help="Where they contradict each other, restore the ledger from the stream, if the result is whole.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def reconcile(trust: str | None, *, as_json: bool) -> None:
    """Repair outbox, stream and read model from the ledger.

    The ledger is changed with --trust-stream alone. Exit status 1: ledger and stream contradict each other, or the
    ledger is damaged, and nothing was repaired; 3: not done, run it again.
    """

    async def work(settings: Settings, database: Database, bus: Bus | None) -> dict[str, Any]:
        from chronicle_ledger.proof.reconcile import Reconcile, Trust

        chosen = None if trust is None else Trust(trust)
        done = await Reconcile(database, bus, settings.nats_replicas, chosen).run()
        return {
            "result_before": done.before.result.value,
            "transactions_restored": done.restored,
            "events_published": done.published,
            "messages_removed": done.removed,
            "outbox_rows_rewritten": done.rewritten,
            "accounts_rebuilt": done.accounts,
            "dead_letters": done.letters,
        }

    done = run_with_servers(work)
    words = (
        "{events_published:,} events published, {messages_removed:,} messages removed,"
        " {outbox_rows_rewritten:,} rows of the outbox written anew, {accounts_rebuilt:,} accounts of the read model"
        " made anew"
    )
    if done["transactions_restored"]:
        words = "{transactions_restored:,} transactions restored from the stream, " + words
    if done["dead_letters"]:
        words += "; {dead_letters:,} dead letters tell what was put aside (chronicle events dead)"
    _tell(done, words, as_json=as_json)


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
        run_with_servers(work),
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

    found = run_with_servers(work)
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
    """Show how far stream and read model are behind the ledger. Exit status 0: known, 3: unknown."""

    async def work(settings: Settings, database: Database, bus: Bus | None) -> dict[str, Any]:
        from chronicle_ledger.events.lag import LagMeter

        del settings
        if bus is not None:
            await bus.wait_connected(2.0)
        meter = LagMeter(database, bus)
        measured = await meter.read()
        await meter.close()
        return {
            "backlog": measured.backlog,
            "backlog_at_least": measured.more,
            "pending": measured.pending,
            "lag_events": measured.events,
            "lag_seconds": None if measured.seconds is None else round(measured.seconds, 3),
            "nats_connected": bus is not None and bus.connected,
        }

    done = run_with_servers(work)
    click.echo(json.dumps(done) if as_json else _lag_in_words(done))
    if done["lag_events"] is None:
        sys.exit(LAG_UNKNOWN)


def _lag_in_words(lag: dict[str, Any]) -> str:
    def number(value: int | None) -> str:
        return "unknown" if value is None else f"{value:,}"

    outbox = ("at least " if lag["backlog_at_least"] else "") + number(lag["backlog"])
    age = "unknown" if lag["lag_seconds"] is None else f"{lag['lag_seconds']:.1f} s"
    words = f"events in the outbox: {outbox}; in the stream, not projected yet: {number(lag['pending'])}; oldest: {age}"
    if lag["lag_events"] is not None:
        return words
    return f"{words}. NATS or the database did not answer (are CHRONICLE_NATS_URLS and CHRONICLE_DATABASE_URL right?)"


@events.command("restore-stream")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as one JSON object.")
def restore_stream(*, as_json: bool) -> None:
    """Make a stream that JetStream has lost again, from the ledger. Changes nothing while the stream answers.

    Readers of the feed get `reset`. Exit status 0: made, 1: the stream answers, or the ledger is damaged, 3: JetStream
    cannot make it.
    """

    async def work(settings: Settings, database: Database, bus: Bus | None) -> dict[str, Any]:
        from chronicle_ledger.proof.restore import Restore

        done = await Restore(database, await _connected(bus), settings.nats_replicas).run()
        return {"events_published": done.published}

    _tell(run_with_servers(work), "the stream was made again: {events_published:,} events published", as_json=as_json)


async def _connected(bus: Bus | None) -> Bus:
    from chronicle_ledger.events.bus import BusUnavailable

    if bus is None:
        raise BusUnavailable("there is no event stream: set CHRONICLE_NATS_URLS")
    await bus.wait_connected(5.0)
    return bus
