"""The root of `chronicle`. Commands are imported when they are asked for, so that help and errors come at once."""

from __future__ import annotations

from importlib import import_module

import click

from chronicle_ledger import __version__

COMMANDS: dict[str, tuple[str, str]] = {
    # command: (module:attribute, short help)
    "demo": ("chronicle_cli.local:demo", "Start a ledger on this machine, break it in five ways, print one table"),
    "up": ("chronicle_cli.local:up", "Start a ledger on this machine and keep it until Ctrl-C"),
    "fetch": ("chronicle_cli.local:fetch", "Download the cockroach binary for `up` and `demo`"),
    "scenario": ("chronicle_cli.scenario:scenario", "List, run, report and verify failure scenarios"),
    "serve": ("chronicle_cli.ledger:serve", "Run one role: api, relay or projector"),
    "migrate": ("chronicle_cli.ledger:migrate", "Create or upgrade the database schema"),
    "keys": ("chronicle_cli.ledger:keys", "Make API keys"),
    "proof": ("chronicle_cli.events:proof", "Prove that ledger, stream and read model agree"),
    "reconcile": ("chronicle_cli.events:reconcile", "Repair stream and read model from the ledger"),
    "rebuild": ("chronicle_cli.events:rebuild", "Make the read model anew from the ledger"),
    "events": ("chronicle_cli.events:events", "Look at the event stream and its dead letters"),
    "operator": ("chronicle_cli.operator:operator", "Run the Kubernetes operator"),
    "status": ("chronicle_cli.cluster:status", "Show ChronicleLedgers of a Kubernetes cluster"),
    "run": ("chronicle_cli.cluster:run", "Start a scenario run on Kubernetes and follow it"),
    "report": ("chronicle_cli.cluster:report", "Fetch a run's report from Kubernetes"),
    "run-in-cluster": ("chronicle_cli.cluster:run_in_cluster", "What the operator's Job of a run does"),
}


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on first use (click's documented pattern)."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the commands in the order of `COMMANDS`."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the module that defines `cmd_name`."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, attribute = COMMANDS[cmd_name][0].split(":")
        command = getattr(import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{module}:{attribute} is not a click command")
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing any."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="chronicle")
def main() -> None:
    """ChronicleLedger: a ledger whose behaviour under failure is proven where it runs."""
