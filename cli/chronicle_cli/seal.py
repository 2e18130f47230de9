"""`chronicle seal`: sign every account's version and head, so that a rewritten history shows."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from chronicle_cli.events import fail, run_with_servers

if TYPE_CHECKING:
    from chronicle_ledger.events.bus import Bus
    from chronicle_ledger.seals.sealer import Made
    from chronicle_ledger.settings import Settings
    from chronicle_ledger.store.pool import Database


@click.group(invoke_without_command=True)
@click.option("--key-file", type=click.Path(dir_okay=False, path_type=Path), help="The sealer's private key, as PEM.")
@click.option(
    "--file",
    "path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Append to this file of JSON lines instead of the database.",
)
@click.option("--last-root", metavar="ROOT", help="Refuse unless the last seal so far has this root.")
@click.option(
    "--public-key",
    "trusted",
    multiple=True,
    metavar="KEY",
    help="A former key (hex, or a file), whose seals are accepted too.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the last seal as one JSON object.")
@click.pass_context
def seal(
    ctx: click.Context,
    key_file: Path | None,
    path: Path | None,
    last_root: str | None,
    trusted: tuple[str, ...],
    *,
    as_json: bool,
) -> None:
    """Make the next seal, after showing that the ledger extends the last one.

    Exit status 0: sealed, or nothing has changed since the last seal; 1: the ledger does not extend what was sealed, or
    the seals are broken, and nothing was signed; 3: not done, try again.
    """
    if ctx.invoked_subcommand is not None:
        return
    if key_file is None:
        raise click.UsageError("--key-file is missing; `chronicle seal keygen` makes a key")
    made = _seal(key_file, path, last_root, trusted)
    document = None if made.seal is None else json.loads(made.seal.line())
    if as_json:
        click.echo(json.dumps({"made": made.made, "seal": document}))
    elif made.seal is None:
        click.echo("nothing to seal: the ledger has no account yet")
    else:
        done = "sealed" if made.made else "nothing has changed since"
        click.echo(
            f"{done} {made.seal.number}: {made.seal.accounts:,} accounts, {made.seal.transactions:,} transactions,"
            f" {made.seal.at}; root {made.seal.root}"
        )


def _seal(key_file: Path, path: Path | None, last_root: str | None, trusted: tuple[str, ...]) -> Made:
    from chronicle_ledger.seals import SealBroken, keys
    from chronicle_ledger.seals.file import SealFileError
    from chronicle_ledger.seals.sealer import Sealer, SealRefused
    from chronicle_ledger.seals.stored import SealOvertaken

    try:
        key = keys.private_key(key_file)
        former = [keys.public_key(given) for given in trusted]
    except keys.SealKeyError as error:
        fail(str(error), 2)

    async def work(settings: Settings, database: Database, bus: Bus | None) -> Made:
        del settings, bus
        sealer = Sealer(database, key, lambda: datetime.now(UTC))
        sealer.trust(*former)
        if path is not None:
            return await sealer.into_file(path, last_root)
        return await sealer.into_database(last_root)

    try:
        return run_with_servers(work, stream=False)
    except SealRefused as error:
        fail(str(error), 1)
    except SealBroken as error:
        fail(f"the seals so far are broken, so nothing was signed: {error}. Bring them back from a copy", 1)
    except (SealFileError, SealOvertaken) as error:
        fail(str(error), 3)


@seal.command()
@click.option("--key-file", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The file to make.")
def keygen(key_file: Path) -> None:
    """Make the sealer's key, readable by its owner alone, and print the public half."""
    from chronicle_ledger.seals import keys

    try:
        click.echo(keys.generate(key_file))
    except keys.SealKeyError as error:
        fail(str(error), 2)


@seal.command()
def export() -> None:
    """Print the seals in the database as JSON lines, to be kept elsewhere (`chronicle proof --seals`)."""
    from chronicle_ledger.seals import export as exporting

    async def work(settings: Settings, database: Database, bus: Bus | None) -> int:
        del settings, bus
        return await exporting.lines(database, _print)

    if run_with_servers(work, stream=False) == 0:
        click.echo("no seal yet; `chronicle seal` makes one", err=True)


def _print(line: str) -> Any:
    return sys.stdout.write(f"{line}\n")
