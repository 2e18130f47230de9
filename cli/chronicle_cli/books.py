"""`chronicle account`, `transfer`, `hold`, `transaction`, `statement`: the books, for people, over the HTTP API."""

from __future__ import annotations

import functools
import itertools
import json
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import click

from chronicle_cli.connection import api, options

if TYPE_CHECKING:
    from chronicle_client import Client, ClientError, Money, Operation

AMOUNT = click.IntRange(min=1)
WHEN = click.DateTime(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"])
STATUSES = click.Choice(["open", "frozen", "closed"])


class Books:
    """What a command has: the API, and how to print what it answers."""

    def __init__(self, client: Client, *, as_json: bool) -> None:
        self._client = client
        self._as_json = as_json

    def one(self, operation: Operation[Any]) -> None:
        """Carry out an operation and print its answer. The key goes to stderr where the outcome is unknown."""
        from chronicle_client import ClientError

        try:
            answer = self._client.send(operation)
        except ClientError as error:
            _tell_key(operation, error)
            raise
        self.show([answer])

    def many(self, pages: Any, limit: int) -> None:
        """Print the first `limit` items of a list; say on stderr where there are more."""
        items = self._client.iterate(pages)
        self.show(itertools.islice(items, limit))
        if next(items, None) is not None:
            click.echo(f"chronicle: there is more; --limit {limit * 10} shows more of it", err=True)

    def show(self, answers: Iterable[Any]) -> None:
        """Print answers: a line of JSON each, or one table."""
        if self._as_json:
            import msgspec

            for answer in answers:
                click.echo(msgspec.json.encode(answer).decode())
            return
        from chronicle_cli import books_view

        books_view.show(list(answers))


def _tell_key(operation: Operation[Any], error: ClientError) -> None:
    if error.outcome_unknown:
        click.echo(f"chronicle: run it again with --idempotency-key {operation.key}", err=True)


def command(group: click.Group | None, name: str) -> Callable[[Callable[..., None]], click.Command]:
    """Make a command whose function gets `Books` first and has the options of the connection."""

    def wrap(work: Callable[..., None]) -> click.Command:
        @functools.wraps(work)
        def run(
            url: str | None, key_file: Path | None, ca_file: Path | None, profile: str | None,
            deadline: float, *, as_json: bool, **given: Any,
        ) -> None:  # fmt: skip
            with api(url, key_file, ca_file, profile, deadline) as client:
                work(Books(client, as_json=as_json), **given)

        made = click.command(name)(options(run))
        if group is not None:
            group.add_command(made)
        return made

    return wrap


def posts(work: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a command that posts."""
    key = click.option(
        "--idempotency-key", "key", default=lambda: uuid.uuid4().hex, help="Names the intent; it is posted once.",
    )  # fmt: skip
    return key(work)


def notes(work: Callable[..., None]) -> Callable[..., None]:
    """Add the option for metadata."""
    return click.option("--metadata", callback=_object, help="A JSON object that is kept with it.")(work)


def _object(_: click.Context, __: click.Parameter, value: str | None) -> Any:
    if value is None:
        return None
    try:
        read = json.loads(value)
    except ValueError as error:
        raise click.BadParameter(f"no JSON: {error}") from error
    if not isinstance(read, dict):
        raise click.BadParameter('a JSON object is wanted, as {"order": "4711"}')
    return read


def _money(amount: int, currency: str) -> Money:
    from chronicle_client import Money

    try:
        return Money(amount, currency)
    except ValueError as error:
        raise click.UsageError(str(error)) from error


def _utc(value: datetime | None) -> datetime | None:
    return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


@click.group()
def account() -> None:
    """Open, show, list and change accounts; bring money in and out. Amounts are minor units: 250 EUR is 2.50 euro."""


@command(account, "open")
@click.argument("currency")
@click.option("--floor", type=int, default=0, show_default=True, help="Lowest available balance, in minor units.")
@click.option("--no-floor", is_flag=True, help="Let it go below zero without limit (role admin).")
@notes
@posts
def open_(books: Books, currency: str, floor: int, metadata: Any, key: str, *, no_floor: bool) -> None:
    """Open an account in CURRENCY."""
    from chronicle_client import open_account

    books.one(open_account(currency, floor=None if no_floor else floor, metadata=metadata, key=key))


@command(account, "show")
@click.argument("account_id", type=click.UUID)
def show_account(books: Books, account_id: UUID) -> None:
    """Show an account as it is now."""
    from chronicle_client import get_account

    books.one(get_account(account_id))


@command(account, "list")
@click.option("--currency", help="Those in this currency alone.")
@click.option("--status", type=STATUSES, help="Those with this status alone.")
@click.option("--kind", type=click.Choice(["customer", "system"]), default="customer", show_default=True)
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many at most.")
def list_accounts(books: Books, currency: str | None, status: str | None, kind: str, limit: int) -> None:
    """List accounts."""
    from chronicle_client import accounts

    books.many(accounts(currency=currency, status=status, kind=kind), limit)


@command(account, "set")
@click.argument("account_id", type=click.UUID)
@click.option("--status", type=STATUSES, help="What it may still do.")
@notes
@posts
def set_account(books: Books, account_id: UUID, status: str | None, metadata: Any, key: str) -> None:
    """Change an account's status or metadata (role admin)."""
    from chronicle_client import update_account

    if status is None and metadata is None:
        raise click.UsageError("say what to change: --status or --metadata")
    books.one(update_account(account_id, status=status, metadata=metadata, key=key))


@command(account, "deposit")
@click.argument("account_id", type=click.UUID)
@click.argument("amount", type=AMOUNT)
@click.argument("currency")
@notes
@posts
def deposit_(books: Books, account_id: UUID, amount: int, currency: str, metadata: Any, key: str) -> None:
    """Bring AMOUNT minor units of CURRENCY from outside into an account."""
    from chronicle_client import deposit

    books.one(deposit(account_id, _money(amount, currency), metadata=metadata, key=key))


@command(account, "withdraw")
@click.argument("account_id", type=click.UUID)
@click.argument("amount", type=AMOUNT)
@click.argument("currency")
@notes
@posts
def withdraw(books: Books, account_id: UUID, amount: int, currency: str, metadata: Any, key: str) -> None:
    """Take AMOUNT minor units of CURRENCY out of an account."""
    from chronicle_client import withdrawal

    books.one(withdrawal(account_id, _money(amount, currency), metadata=metadata, key=key))


@click.argument("source", type=click.UUID)
@click.argument("destination", type=click.UUID)
@click.argument("amount", type=AMOUNT)
@click.argument("currency")
@notes
@posts
def _transfer(
    books: Books, source: UUID, destination: UUID, amount: int, currency: str, metadata: Any, key: str
) -> None:
    """Move AMOUNT minor units of CURRENCY from SOURCE to DESTINATION: 250 EUR is 2.50 euro."""
    from chronicle_client import transfer

    books.one(transfer(source, destination, _money(amount, currency), metadata=metadata, key=key))


transfer = command(None, "transfer")(_transfer)


@click.group()
def hold() -> None:
    """Set money aside, and capture or release it."""


@command(hold, "create")
@click.argument("account_id", type=click.UUID)
@click.argument("amount", type=AMOUNT)
@click.argument("currency")
@click.option("--to", "destination_id", type=click.UUID, help="The account that gets it once it is captured.")
@click.option("--expires-in", type=click.IntRange(1), help="Seconds until it ends by itself.")
@notes
@posts
def create_hold(
    books: Books, account_id: UUID, amount: int, currency: str, destination_id: UUID | None,
    expires_in: int | None, metadata: Any, key: str,
) -> None:  # fmt: skip
    """Set AMOUNT minor units of CURRENCY aside."""
    from chronicle_client import hold as make

    money = _money(amount, currency)
    books.one(make(account_id, money, destination_id=destination_id, expires_in=expires_in, metadata=metadata, key=key))


@command(hold, "capture")
@click.argument("hold_id", type=click.UUID)
@click.option("--amount", type=AMOUNT, help="Minor units, less than all of it; the rest is free again.")
@posts
def capture_hold(books: Books, hold_id: UUID, amount: int | None, key: str) -> None:
    """Take what was set aside."""
    from chronicle_client import capture

    books.one(capture(hold_id, amount=amount, key=key))


@command(hold, "release")
@click.argument("hold_id", type=click.UUID)
@posts
def release_hold(books: Books, hold_id: UUID, key: str) -> None:
    """Give back what was set aside."""
    from chronicle_client import release

    books.one(release(hold_id, key=key))


@command(hold, "show")
@click.argument("hold_id", type=click.UUID)
def show_hold(books: Books, hold_id: UUID) -> None:
    """Show a hold."""
    from chronicle_client import get_hold

    books.one(get_hold(hold_id))


@click.group()
def transaction() -> None:
    """Show and reverse transactions."""


@command(transaction, "show")
@click.argument("transaction_id", type=click.UUID)
def show_transaction(books: Books, transaction_id: UUID) -> None:
    """Show a transaction with its entries."""
    from chronicle_client import get_transaction

    books.one(get_transaction(transaction_id))


@command(transaction, "reverse")
@click.argument("transaction_id", type=click.UUID)
@notes
@posts
def reverse_transaction(books: Books, transaction_id: UUID, metadata: Any, key: str) -> None:
    """Post the opposite of a transaction."""
    from chronicle_client import reverse

    books.one(reverse(transaction_id, metadata=metadata, key=key))


@click.argument("account_id", type=click.UUID)
@click.option("--since", type=WHEN, help="Posted at this time or later; UTC unless it says otherwise.")
@click.option("--until", type=WHEN, help="Posted before this time.")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="How many lines at most.")
def _statement(books: Books, account_id: UUID, since: datetime | None, until: datetime | None, limit: int) -> None:
    """Show an account's statement, oldest line first, as the read model has it."""
    from chronicle_client import statement

    books.many(statement(account_id, since=_utc(since), until=_utc(until)), limit)


statement = command(None, "statement")(_statement)
