"""Which API the commands for people ask, and how: from options, the environment, or a profile of a file."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from chronicle_cli import exits
from chronicle_cli.types import Finite

if TYPE_CHECKING:
    from chronicle_client import Client

MEMBERS = frozenset({"url", "key_file", "ca_file"})
DEADLINE = Finite(min=0, max=86_400)


@dataclass(frozen=True, slots=True)
class Profile:
    """How an API is reached; None where a profile does not say."""

    url: str | None = None
    key_file: Path | None = None
    ca_file: Path | None = None


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that say which API, and in which form it is told."""
    for option in reversed((
        click.option("--url", envvar="CHRONICLE_URL", show_envvar=True, help="Address of the API, as https://ledger."),
        click.option(
            "--key-file", type=click.Path(path_type=Path, dir_okay=False),
            help="File with the API key; CHRONICLE_API_KEY does as well. An argument would be seen by others.",
        ),
        click.option(
            "--ca-file", envvar="CHRONICLE_CA_FILE", show_envvar=True,
            type=click.Path(path_type=Path, dir_okay=False), help="Certificates that the API's is signed by.",
        ),
        click.option(
            "--profile", envvar="CHRONICLE_PROFILE", show_envvar=True,
            help="Name in profiles.toml, for what is not given otherwise.  [default: default]",
        ),
        click.option(
            "--deadline", type=DEADLINE, default=30, show_default=True, help="Seconds for all attempts; 0 makes one."
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON: one object per line."),
    )):  # fmt: skip
        command = option(command)
    return command


def profiles_file() -> Path:
    """Return where profiles are kept, such as ~/.config/chronicle/profiles.toml."""
    return Path(click.get_app_dir("chronicle")) / "profiles.toml"


def read_profile(name: str | None) -> Profile:
    """Read a profile; None reads `default`, which need not be there.

    Raises click.UsageError where it is missing or wrong.
    """
    file = profiles_file()
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        document = {}
    except (OSError, ValueError) as error:
        raise click.UsageError(f"{file} cannot be read: {error}") from error
    found = document.get(name or "default")
    if found is None:
        if name is None:
            return Profile()
        raise click.UsageError(f"{file} has no profile {name}; it has: {', '.join(sorted(document)) or 'none'}")
    if not isinstance(found, dict) or not all(isinstance(it, str) for it in found.values()) or set(found) - MEMBERS:
        raise click.UsageError(f"profile {name or 'default'} of {file}: it may have url, key_file and ca_file as texts")
    paths = {member: file.parent / Path(found[member]).expanduser() for member in MEMBERS - {"url"} if member in found}
    return Profile(url=found.get("url"), **paths)


@contextmanager
def api(
    url: str | None, key_file: Path | None, ca_file: Path | None, profile: str | None, deadline: float
) -> Iterator[Client]:
    """Open a client. What the API refuses ends the command with a line on stderr and a status (docs/cli.md)."""
    from chronicle_client import Client, ClientError, Retries

    kept = read_profile(profile)
    url, key_file, ca_file = url or kept.url, key_file or kept.key_file, ca_file or kept.ca_file
    if not url:
        raise click.UsageError(f"say which API: --url, CHRONICLE_URL, or a profile in {profiles_file()}")
    try:
        key = key_file.read_text(encoding="utf-8").strip() if key_file else None
        client = Client(url, key=key, ca_file=str(ca_file) if ca_file else None, retries=Retries(deadline=deadline))
    except (OSError, ValueError) as error:
        raise click.UsageError(str(error)) from error
    with client:
        try:
            yield client
        except ClientError as error:
            failed(error)


def failed(error: Exception) -> NoReturn:
    """Say on stderr what went wrong, and end: 1 where the API refused, 3 where it is unknown or was not done."""
    from chronicle_client import NoAnswer, Problem, ServerFault, Unavailable

    click.echo(f"chronicle: {plain(str(error))}", err=True)
    if isinstance(error, Problem):
        for name, value in error.extras.items():
            click.echo(f"  {plain(name)}: {plain(str(value))}", err=True)
    unknown = getattr(error, "outcome_unknown", False)
    sys.exit(exits.INCONCLUSIVE if unknown or isinstance(error, NoAnswer | ServerFault | Unavailable) else 1)


def plain(text: str) -> str:
    """Return text without characters that could steer a terminal."""
    return "".join(it if it.isprintable() else f"\\x{ord(it):02x}" for it in text)
