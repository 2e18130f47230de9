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
    from chronicle_ledger import concealed, logs, settings

    try:
        loaded = settings.load()
    except settings.SettingsError as error:
        for line in str(error).splitlines():
            click.echo(f"chronicle: {line}", err=True)
        sys.exit(2)
    concealed.conceal(*loaded.database_urls, *loaded.nats_urls)
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
    from chronicle_ledger.health import readiness as probes
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
    from chronicle_ledger.settings import SettingsError

    try:
        yield
    except (ProcessError, SabotageRefused, SettingsError) as error:
        for line in str(error).splitlines():
            click.echo(f"chronicle: {line}", err=True)
        sys.exit(2)


def _users(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, list[str]]:
    """User → roles, from `ROLE=USER`, and `all=USER` for every role."""
    from chronicle_ledger.store.roles import ROLES

    users: dict[str, list[str]] = {}
    for one in given:
        role, _separator, user = one.partition("=")
        if not user or role not in {*ROLES, "all"}:
            raise click.BadParameter(f"{one!r} is not ROLE=USER with a role of {', '.join(ROLES)} or all")
        users.setdefault(user, []).extend(ROLES if role == "all" else [role])
    return users


@click.command()
@click.option(
    "--grant",
    "grants",
    multiple=True,
    callback=_users,
    metavar="ROLE=USER",
    help="Give a database user the rights of a role and take all others from it; may be given several times.",
)
@click.option(
    "--users",
    is_flag=True,
    help="Make a database user for each process, with the rights of its role alone; needs an administrator.",
)
@click.option(
    "--passwords",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="With --users: a folder whose files hold passwords, each named for its user.",
)
def migrate(grants: dict[str, list[str]], passwords: Path | None, *, users: bool) -> None:
    """Create or upgrade the schema of CHRONICLE_DATABASE_URL; safe to run from several places at once."""
    from chronicle_ledger.concealed import without_passwords
    from chronicle_ledger.domain.errors import DatabaseUnavailable
    from chronicle_ledger.sabotage import Sabotage, active
    from chronicle_ledger.store.migrate import MigrationError
    from chronicle_ledger.store.migrate import migrate as apply
    from chronicle_ledger.store.sabotaged import drop_floor_check

    with _refused_starts():
        settings = load_settings()
        sabotage = active()
    try:
        given = _passwords(passwords) if users else None
        applied = asyncio.run(apply(settings.database_url, grants=grants, passwords=given))
        if sabotage is Sabotage.BALANCE_FLOOR:
            asyncio.run(drop_floor_check(settings.database_url))
    except (DatabaseUnavailable, MigrationError) as error:
        unreached = isinstance(error, DatabaseUnavailable)
        ask = " (is CHRONICLE_DATABASE_URL right, and its server up?)" if unreached else ""
        click.echo(without_passwords(f"chronicle: {error}{ask}"), err=True)
        sys.exit(1)
    click.echo(json.dumps({"applied": list(applied or ())}))


def _passwords(folder: Path | None) -> dict[str, str]:
    from chronicle_contract.database_users import USERS

    files = [] if folder is None else [folder / user for user in USERS]
    return {path.name: path.read_text(encoding="utf-8").strip() for path in files if path.is_file()}


@click.group()
def keys() -> None:
    """Make API keys. The ledger's key file holds hashes only; a key itself is shown once, here."""


@keys.command()
@click.option(
    "--role", type=click.Choice(["reader", "auditor", "writer", "admin"]), required=True, help="What the key may do."
)
@click.option("--name", required=True, help="Whose key it is; appears in logs, where the key never does.")
@click.option("--subject", help="Whom postings and idempotency keys belong to; default: the name. Keys may share one.")
@click.option(
    "--file", "path", type=click.Path(dir_okay=False, path_type=Path), help="Add the entry to this JSON file."
)
@click.option("--json", "as_json", is_flag=True, help="Print key and entry as one JSON object.")
def new(role: str, name: str, subject: str | None, path: Path | None, *, as_json: bool) -> None:
    """Make a key, print it once, and print (or, with --file, store) the entry that lets it in."""
    from chronicle_ledger.web import keyfile

    key = keyfile.new_key()
    entry = {"name": name, "role": role, "sha256": keyfile.digest(key)}
    if subject is not None:
        entry["subject"] = subject
    if path is not None:
        try:
            keyfile.append(path, entry)
        except keyfile.KeyFileError as error:
            raise click.ClickException(str(error)) from None
        if problem := keyfile.too_open(path):
            click.echo(f"chronicle: {problem}", err=True)
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
    from chronicle_ledger.web import keyfile

    key = sys.stdin.readline().strip()
    if len(key) < keyfile.MINIMUM_LENGTH:
        raise click.UsageError(
            f"a key needs at least {keyfile.MINIMUM_LENGTH} random characters; `chronicle keys new` makes one"
        )
    click.echo(keyfile.digest(key))
