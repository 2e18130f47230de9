"""`chronicle backup`: make, list, verify and restore backups that prove themselves (docs/backup.md)."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

import click

from chronicle_cli.events import fail, run_with_servers

if TYPE_CHECKING:
    from chronicle_ledger.backup.cipher import Cipher
    from chronicle_ledger.backup.manifest import Manifest
    from chronicle_ledger.backup.restore import Restored
    from chronicle_ledger.events.bus import Bus
    from chronicle_ledger.settings import Settings
    from chronicle_ledger.store.pool import Database

T = TypeVar("T")

_FILE = click.Path(dir_okay=False, path_type=Path)

encryption_key = click.option(
    "--encryption-key-file", type=_FILE, help="The key of encrypted backups; `chronicle backup keygen` makes one."
)
public_keys = click.option(
    "--public-key",
    "trusted",
    multiple=True,
    metavar="KEY",
    help="Who may have signed: hex, or a file. Without it, the key of the full backup must have signed all.",
)
rate = click.option(
    "--rate", type=click.FloatRange(min=0, min_open=True), metavar="N", help="At most N transactions per second."
)
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object, also where it fails.")


@click.group()
def backup() -> None:
    """Make, list, verify, restore and prune backups that prove themselves.

    URL is file:///FOLDER, s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX; credentials come from the
    environment (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, …).
    Exit status 0: done; 1: a backup or the ledger speaks against it; 2: arguments or keys; 3: undecided, try again.
    """


def _ended(work: Callable[[], T], *, as_json: bool) -> T:
    """Run `work`; where it is refused, say so in words and, with --json, as an object, and end."""
    from chronicle_ledger.backup import BackupError
    from chronicle_ledger.concealed import without_passwords
    from chronicle_ledger.seals.keys import SealKeyError

    try:
        return work()
    except (BackupError, SealKeyError) as error:
        _progress_done()
        code = error.code if isinstance(error, BackupError) else "key_file"
        if as_json:
            click.echo(json.dumps({"error": {"code": code, "message": without_passwords(str(error))}}))
        fail(f"{code}: {error}", error.status if isinstance(error, BackupError) else 2)


def _without_servers(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


def _cipher(path: Path | None) -> Cipher | None:
    from chronicle_ledger.backup import cipher

    return None if path is None else cipher.of_file(path)


def _trusted(given: tuple[str, ...]) -> set[str]:
    from chronicle_ledger.seals import keys

    return {keys.public_key(it) for it in given}


def _progress(text: str) -> None:
    """Show how far it is, where a person looks on."""
    if sys.stderr.isatty():
        click.echo(f"\r{text:<60}", err=True, nl=False)


def _progress_done() -> None:
    if sys.stderr.isatty():
        click.echo("\r" + " " * 60 + "\r", err=True, nl=False)


def _document(manifest: Manifest) -> dict[str, Any]:
    return {
        "id": manifest.id,
        "kind": manifest.kind,
        "number": manifest.number,
        "at": manifest.at,
        "previous": None if manifest.previous is None else manifest.previous.id,
        "transactions": manifest.transactions,
        "entries": manifest.entries,
        "accounts": manifest.accounts,
        "ledger_transactions": manifest.ledger_transactions,
        "ledger_accounts": manifest.ledger_accounts,
        "head": manifest.head,
        "root": manifest.root,
        "seal": None if manifest.seal is None else {"number": manifest.seal.number, "root": manifest.seal.root},
        "database": manifest.source.database,
        "schema_version": manifest.source.schema_version,
        "encrypted": manifest.encryption is not None,
        "stored_bytes": manifest.stored_bytes,
        "public_key": manifest.public_key,
    }


def _words(manifest: Manifest) -> str:
    seal = "no seal" if manifest.seal is None else f"seal {manifest.seal.number}"
    return (
        f"{manifest.id}  {manifest.kind:<11}  {manifest.at}  {manifest.transactions:>11,} of"
        f" {manifest.ledger_transactions:,} transactions  {manifest.stored_bytes:>13,} bytes  {seal}"
        f"  head {manifest.head[:16]}…"
    )


@backup.command()
@click.argument("url")
@click.option("--key-file", type=_FILE, required=True, help="The private key that signs; `chronicle seal keygen`.")
@encryption_key
@click.option("--full", is_flag=True, help="Make a full backup also where there is one to continue.")
@public_keys
@rate
@as_json
def create(
    url: str,
    key_file: Path,
    encryption_key_file: Path | None,
    trusted: tuple[str, ...],
    rate: float | None,
    *,
    full: bool,
    as_json: bool,
) -> None:
    """Back up the ledger of CHRONICLE_DATABASE_URL to URL, from one moment, while postings go on.

    The newest backup at URL is continued; where there is none, a full one is made. Nothing counts until the manifest is
    written, which comes last. --public-key names former keys whose backups may be continued.
    """

    def made() -> Manifest:
        from chronicle_ledger.backup.create import Create, Progress
        from chronicle_ledger.backup.destination import open_url
        from chronicle_ledger.seals import keys

        key, cipher, former = keys.private_key(key_file), _cipher(encryption_key_file), _trusted(trusted)
        destination = open_url(url, make=True)

        def report(progress: Progress) -> None:
            _progress(f"{progress.transactions:,} transactions, {progress.stored_bytes:,} bytes stored")

        async def work(settings: Settings, database: Database, bus: Bus | None) -> Manifest:
            del settings, bus
            creation = Create(database, destination, key, cipher=cipher, trusted=former, per_second=rate, report=report)
            return await creation.run(full=full)

        return run_with_servers(work, stream=False)

    manifest = _ended(made, as_json=as_json)
    _progress_done()
    click.echo(json.dumps(_document(manifest)) if as_json else _words(manifest))


@backup.command("list")
@click.argument("url")
@as_json
def list_(url: str, *, as_json: bool) -> None:
    """List the backups at URL, oldest first. Exit status 1 where one of them is broken."""
    from chronicle_ledger.backup.chain import Listed, listed
    from chronicle_ledger.backup.destination import open_url

    def found() -> Listed:
        return _without_servers(listed(open_url(url)))

    all_ = _ended(found, as_json=as_json)
    if as_json:
        broken = [{"id": id_, "code": it.code, "message": str(it)} for id_, it in all_.broken.items()]
        whole = [_document(manifest) for manifest in all_.whole]
        click.echo(json.dumps({"backups": whole, "broken": broken, "unfinished": all_.unfinished}))
    else:
        for manifest in all_.whole:
            click.echo(_words(manifest))
        for id_, error in all_.broken.items():
            click.echo(f"{id_}  {error.code}: {error}")
        for id_ in all_.unfinished:
            click.echo(f"{id_}  without a manifest: interrupted, or being made. It may be deleted once it is neither")
        if not (all_.whole or all_.broken or all_.unfinished):
            click.echo("no backup yet; `chronicle backup create` makes one", err=True)
    sys.exit(1 if all_.broken else 0)


@backup.command()
@click.argument("url")
@click.argument("backup_id", metavar="[ID]", required=False)
@encryption_key
@public_keys
@as_json
def verify(
    url: str, backup_id: str | None, encryption_key_file: Path | None, trusted: tuple[str, ...], *, as_json: bool
) -> None:
    """Verify the newest backup at URL (or ID), with all that it continues, from the files alone.

    Signatures, each file's SHA-256, and that the transactions are one whole history: every hash, every version of every
    account, the seals, and the head that the ledger had.
    """
    from chronicle_ledger.backup.destination import open_url
    from chronicle_ledger.backup.verify import Verified, Verify

    def verified() -> Verified:
        run = Verify(
            open_url(url),
            cipher=_cipher(encryption_key_file),
            trusted=_trusted(trusted),
            report=lambda count: _progress(f"{count:,} transactions read"),
        )
        return _without_servers(run.run(backup_id))

    done = _ended(verified, as_json=as_json)
    _progress_done()
    if as_json:
        chain = [_document(manifest) for manifest in done.chain]
        click.echo(json.dumps({"verified": True, "transactions": done.transactions, "chain": chain}))
        return
    for manifest in done.chain:
        click.echo(_words(manifest))
    click.echo(
        f"verified: {done.transactions:,} transactions, {done.entries:,} entries; head {done.last.head}, signed by"
        f" {done.chain[0].public_key}"
    )


def _to(_: click.Context, __: click.Parameter, given: str | None) -> datetime | UUID | None:
    if given is None:
        return None
    try:
        return UUID(given)
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(given)
    except ValueError:
        raise click.BadParameter(f"{given!r} is neither a time (2026-01-31T09:00:00Z) nor a transaction's id") from None
    if moment.tzinfo is None:
        raise click.BadParameter(f"{given!r} needs its offset from UTC: {given}Z")
    return moment.astimezone(UTC)


@backup.command()
@click.argument("url")
@click.argument("backup_id", metavar="[ID]", required=False)
@click.option(
    "--to", callback=_to, metavar="TIME|TRANSACTION", help="Put back what was posted up to there, and no more."
)
@click.option("--restart", is_flag=True, help="Remove what an interrupted restore left, and begin again.")
@encryption_key
@public_keys
@rate
@as_json
def restore(
    url: str,
    backup_id: str | None,
    to: datetime | UUID | None,
    encryption_key_file: Path | None,
    trusted: tuple[str, ...],
    rate: float | None,
    *,
    restart: bool,
    as_json: bool,
) -> None:
    """Put the newest backup at URL (or ID) back into the empty, migrated database of CHRONICLE_DATABASE_URL.

    Run it as the tables' owner. With CHRONICLE_NATS_URLS the stream is filled too, which must be empty. The ledger is
    marked, and no replica of it serves, until a proof has shown that it is the one that was backed up.
    """

    def restored() -> Restored:
        from chronicle_ledger.backup.destination import open_url
        from chronicle_ledger.backup.restore import Progress, Restore

        destination, cipher, keys = open_url(url), _cipher(encryption_key_file), _trusted(trusted)

        def report(progress: Progress) -> None:
            _progress(f"{progress.step}: {progress.transactions:,} transactions")

        async def work(settings: Settings, database: Database, bus: Bus | None) -> Restored:
            restoring = Restore(
                database, destination, bus=bus, replicas=settings.nats_replicas, cipher=cipher, trusted=keys,
                per_second=rate, report=report,
            )  # fmt: skip
            return await restoring.run(backup_id, to=to, restart=restart)

        return run_with_servers(work)

    done = _ended(restored, as_json=as_json)
    _progress_done()
    document = {
        "backup": done.backup.id,
        "transactions": done.transactions,
        "accounts": done.accounts,
        "seals": done.seals,
        "seal_keys": list(done.seal_keys),
        "head": done.proof.head,
        "result": done.proof.result.value,
    }
    words = (
        f"restored and proven: {done.transactions:,} transactions, {done.accounts:,} accounts, {done.seals:,} seals of"
        f" backup {done.backup.id}; head {done.proof.head}"
    )
    click.echo(json.dumps(document) if as_json else words)


_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def _age(_: click.Context, __: click.Parameter, given: str | None) -> timedelta | None:
    if given is None:
        return None
    parts = re.fullmatch(r"([1-9][0-9]{0,5})([mhd])", given)
    if parts is None:
        raise click.BadParameter(f"{given!r} is no age: write it as 30d, 720h or 90m")
    return timedelta(**{_UNITS[parts[2]]: int(parts[1])})


@backup.command()
@click.argument("url")
@click.option("--keep", type=click.IntRange(min=1), metavar="N", help="Keep the newest N.")
@click.option("--keep-for", callback=_age, metavar="AGE", help="Keep those younger than this (30d, 720h).")
@as_json
def prune(url: str, keep: int | None, keep_for: timedelta | None, *, as_json: bool) -> None:
    """Delete the backups at URL that neither --keep nor --keep-for keeps.

    What a kept backup continues is kept too, and so is the newest one. Ages count from the newest backup. Backups that
    are broken or unfinished are left for you.
    """
    if keep is None and keep_for is None:
        raise click.UsageError("say what to keep: --keep N, --keep-for AGE, or both")

    def pruned() -> list[str]:
        from chronicle_ledger.backup.destination import open_url
        from chronicle_ledger.backup.retention import prune

        return _without_servers(prune(open_url(url), count=keep, age=keep_for))

    gone = _ended(pruned, as_json=as_json)
    if as_json:
        click.echo(json.dumps({"deleted": gone}))
        return
    for id_ in gone:
        click.echo(id_)
    click.echo(f"{len(gone)} deleted", err=True)


@backup.command()
@click.option("--key-file", type=_FILE, required=True, help="The file to make.")
def keygen(key_file: Path) -> None:
    """Make a key for --encryption-key-file, readable by its owner alone, and print its id. Without it an encrypted
    backup is lost: keep copies apart from the backups."""
    from chronicle_ledger.backup import cipher

    click.echo(_ended(lambda: cipher.generate(key_file), as_json=False))
