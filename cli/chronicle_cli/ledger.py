"""`chronicle serve`, `chronicle migrate`, `chronicle keys`: run the service and prepare what it needs."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

if TYPE_CHECKING:
    from chronicle_ledger.process import Lifecycle, Role
    from chronicle_ledger.settings import Settings


def load_settings() -> Settings:
    """The settings, with logging set up by them; where they are wrong: what is, on stderr, and exit status 2."""
    from chronicle_ledger import logs, settings

    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        for line in str(error).splitlines():
            click.echo(f"chronicle: {line}", err=True)
        sys.exit(2)
    logs.configure(loaded.log_level, loaded.log_format)
    return loaded


@click.group()
def serve() -> None:
    """Run one role of the service until SIGTERM. Settings: environment and file, see docs/api.md."""


@serve.command()
def api() -> None:
    """The HTTP API: postings, reads, health."""
    from chronicle_ledger.api import role
    from chronicle_ledger.process import Lifecycle

    lifecycle = Lifecycle()
    with _refused_starts():
        settings = load_settings()
        api_role, app = role.build(settings, lifecycle)
        _serve(settings, api_role, app, lifecycle)


@serve.command()
def relay() -> None:
    """The outbox relay: from the database to JetStream."""
    from chronicle_ledger.events import relay as module

    with _refused_starts():
        settings = load_settings()
        _serve_probed(settings, module.build(settings))


@serve.command()
def projector() -> None:
    """The projector: from JetStream to the read model."""
    from chronicle_ledger.events import projector as module

    with _refused_starts():
        settings = load_settings()
        _serve_probed(settings, module.build(settings))


def _serve_probed(settings: Settings, role: Role) -> None:
    from chronicle_ledger import probes
    from chronicle_ledger.process import Lifecycle

    lifecycle = Lifecycle()
    _serve(settings, role, probes.app(role, lifecycle), lifecycle)


def _serve(settings: Settings, role: Role, app: Any, lifecycle: Lifecycle) -> NoReturn:
    from chronicle_ledger import process

    process.run(settings, role, app, lifecycle)


@contextmanager
def _refused_starts() -> Iterator[None]:
    """Exit status 2 with a line that names the setting, instead of a traceback, where a role must not start."""
    from chronicle_ledger.process import ProcessError
    from chronicle_ledger.sabotage import SabotageRefused

    try:
        yield
    except (ProcessError, SabotageRefused) as error:
        click.echo(f"chronicle: {error}", err=True)
        sys.exit(2)


@click.command()
def migrate() -> None:
    """Create or upgrade the schema of CHRONICLE_DATABASE_URL; safe to run from several places at once."""
    from chronicle_ledger.domain.errors import DatabaseUnavailable
    from chronicle_ledger.store.migrate import MigrationError
    from chronicle_ledger.store.migrate import migrate as apply

    settings = load_settings()
    try:
        applied = asyncio.run(apply(settings.database_url))
    except (DatabaseUnavailable, MigrationError) as error:
        unreached = isinstance(error, DatabaseUnavailable)
        ask = " (is CHRONICLE_DATABASE_URL right, and its server up?)" if unreached else ""
        click.echo(f"chronicle: {error}{ask}", err=True)
        sys.exit(1)
    click.echo(json.dumps({"applied": list(applied or ())}))


@click.group()
def keys() -> None:
    """Make API keys. The ledger's key file holds hashes only; a key itself is shown once, here."""


@keys.command()
@click.option("--role", type=click.Choice(["reader", "writer", "admin"]), required=True, help="What the key may do.")
@click.option("--name", required=True, help="Whose key it is; appears in logs, where the key never does.")
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="Add the entry to this JSON file."
)
@click.option("--json", "as_json", is_flag=True, help="Print key and entry as one JSON object.")
def new(role: str, name: str, path: Path | None, *, as_json: bool) -> None:
    """Make a key, print it once, and print (or, with --file, store) the entry that lets it in."""
    from chronicle_ledger.api import keyfile

    key = keyfile.new_key()
    entry = {"name": name, "role": role, "sha256": keyfile.digest(key)}
    if path is not None:
        try:
            keyfile.append(path, entry)
        except keyfile.KeyFileError as error:
            raise click.ClickException(str(error)) from None
    if as_json:
        click.echo(json.dumps({"key": key, "entry": entry}))
        return
    click.echo(key)
    if path is None:
        click.echo(f"Put this entry into the list `keys` of CHRONICLE_KEYS_FILE: {json.dumps(entry)}", err=True)
    else:
        click.echo(f"Added to {path}. The key is not kept anywhere: note it now.", err=True)


@keys.command("hash")
def hash_key() -> None:
    """Read a key from stdin (never from an argument, which others could see) and print its hash."""
    from chronicle_ledger.api import keyfile

    key = sys.stdin.readline().strip()
    if len(key) < keyfile.MINIMUM_LENGTH:
        raise click.UsageError(
            f"a key needs at least {keyfile.MINIMUM_LENGTH} random characters; `chronicle keys new` makes one"
        )
    click.echo(keyfile.digest(key))
