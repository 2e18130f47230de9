"""`chronicle scenario run` refuses at once what could tell nothing, and says what to do instead."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from chronicle_chaos.local.patroni import wheels
from chronicle_chaos.run.options import silent
from chronicle_chaos.scenarios.catalogue import SCENARIOS
from chronicle_chaos.scenarios.scenario import Scenario
from chronicle_chaos.target import Target
from chronicle_cli import scenario
from chronicle_cli.local import demo
from chronicle_cli.scenario_target import Local, database_of, must_suit, open_target


@pytest.fixture(autouse=True)
def _nothing_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A command that gets as far as starting a ledger fails, and a binary is found nowhere."""

    async def started(*_: object) -> None:
        raise OSError("it started")

    monkeypatch.setattr(scenario, "_run", started)
    monkeypatch.delenv("CHRONICLE_COCKROACH", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "empty"))
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(scenario.scenario, ["run", *arguments])


def started(result: Result) -> bool:
    return result.exit_code == 3 and "it started" in result.output


def refused(result: Result, *words: str) -> bool:
    return result.exit_code == 2 and all(word in result.output.replace("\n", " ") for word in words)


def test_an_unknown_scenario_is_refused_with_those_there_are() -> None:
    assert refused(run("api-crush"), "there is no scenario 'api-crush'", "api-crash")


@pytest.mark.parametrize("it", SCENARIOS, ids=lambda it: it.name)
def test_a_window_that_is_too_short_is_refused_with_the_least_and_why(it: Scenario) -> None:
    least = it.least_window_seconds
    too_short = run(it.name, "--database", "cockroach", "--duration", str(least - 0.5))
    assert refused(too_short, f"too short for {it.name}", f"needs {least:g} s", "leave --duration out")
    assert started(run(it.name, "--database", "cockroach", "--duration", str(least)))


def test_a_scenario_that_will_not_apply_makes_no_window_too_short() -> None:
    assert started(run("--database", "postgres", "--duration", "12"))
    assert refused(run("--database", "cockroach", "--duration", "12"), "too short for cockroach-node-failure")


def test_the_demo_refuses_the_same() -> None:
    result = CliRunner().invoke(demo, ["api-crash", "--duration", "2"])
    assert refused(result, "too short for api-crash")


def test_the_demo_says_what_will_happen_and_names_no_page_that_it_did_not_write() -> None:
    result = CliRunner().invoke(demo, ["api-crash", "--database", "postgres"])
    assert started(result)
    assert "about five minutes" in result.output
    assert "the page" not in result.output


def test_what_is_known_of_the_target_counts_where_there_is_one(tmp_path: Path) -> None:
    Target("local", "http://127.0.0.1:1", {}, "postgresql").write(tmp_path / "target.json")
    assert started(run("--target", "target.json", "--duration", "12"))


@pytest.mark.parametrize(
    ("arguments", "runs"),
    [
        (["--database", "postgres"], False),
        (["--database", "patroni"], True),
        (["nats-outage", "--database", "cockroach"], False),
        (["--database", "cockroach"], True),
    ],
)
def test_a_guarantee_that_no_scenario_tests_is_not_turned_off(arguments: list[str], runs: bool) -> None:
    result = run("--sabotage", "minority-rejection", *arguments)
    assert started(result) if runs else refused(result, "network-partition alone", "leave --database out")


def test_replication_is_sabotaged_where_there_are_three_nodes_of_postgresql() -> None:
    arguments = ["network-partition", "--sabotage", "synchronous-replication", "--database"]
    assert started(run(*arguments, "patroni"))
    assert refused(run(*arguments, "cockroach"), "is for --database patroni")


def test_without_a_binary_the_database_is_postgresql_under_patroni_or_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    assert database_of(None, "auto") == "patroni"
    monkeypatch.setattr(wheels, "PACKAGES", ("a_wheel_that_is_missing",))
    assert database_of(None, "auto") == "postgresql"


def test_sabotage_is_for_a_ledger_that_is_started_for_it(tmp_path: Path) -> None:
    Target("local", "http://127.0.0.1:1", {}, "postgresql").write(tmp_path / "target.json")
    assert refused(run("--sabotage", "idempotency", "--target", "target.json"), "--target local alone")


def test_how_links_are_cut_may_be_chosen_on_this_machine_alone(tmp_path: Path) -> None:
    for kind, runs in (("local", True), ("compose", False)):
        Target(kind, "http://127.0.0.1:1", {}, "cockroachdb").write(tmp_path / "target.json")  # type: ignore[arg-type]
        result = run("--target", "target.json", "--partition-mode", "reset")
        assert started(result) if runs else refused(result, "a compose one drops packets")


def test_a_target_of_a_cluster_is_for_another_command(tmp_path: Path) -> None:
    Target("cluster", "http://127.0.0.1:1", {}, "cockroachdb").write(tmp_path / "target.json")
    assert refused(run("--target", "target.json"), "started by their own command")
    assert not (tmp_path / "runs").exists()


async def test_the_versions_of_a_ledger_that_is_kept_up_are_those_of_the_run() -> None:
    details = {"control": "/nowhere", "versions": {"nats": "2.15.1"}}
    kept = Target("local", "http://127.0.0.1:1", {}, "postgresql", details=details)
    async with AsyncExitStack() as stack:
        target, injector, versions = await open_target(stack, kept, Local(), None, silent)
    assert (target, injector.name, versions) == (kept, "local", {"nats": "2.15.1"})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert refused(run("--runs", "file/runs"), "--runs: no folder can be made in file/runs", "Not a directory")


def test_a_run_that_did_not_begin_leaves_no_folder_and_no_latest(tmp_path: Path) -> None:
    assert started(run("concurrent-withdrawals"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_the_list_says_how_short_a_window_may_be() -> None:
    listed = CliRunner().invoke(scenario.scenario, ["list", "--json"])
    assert {it["name"]: it["leastWindowSeconds"] for it in json.loads(listed.output)} == {
        it.name: it.least_window_seconds for it in SCENARIOS
    }


def test_without_a_wish_for_a_window_every_scenario_suits() -> None:
    must_suit([], "cockroachdb", duration=None, sabotage=None)
