# ruff: noqa: ARG002 - the injectors here keep the signatures of the protocol
"""The engine against a ledger in memory: every way in which a scenario can go, and that it always heals."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from chronicle_chaos.errors import PhaseTimeout, UnknownScenario
from chronicle_chaos.faults.fault import Component, Fault
from chronicle_chaos.faults.kill import NodeKill
from chronicle_chaos.injectors.injection import (
    CleanupFailed,
    Evidence,
    Injection,
    InjectionError,
    Injector,
    NotApplicable,
    Observation,
    PreflightError,
    UndoLog,
)
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import Availability
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.judge.checkers.regions_agree import RegionsAgree
from chronicle_chaos.judge.rejudging import judge_again
from chronicle_chaos.load.load import Load
from chronicle_chaos.load.logical import Patience
from chronicle_chaos.load.steadiness import SteadyState
from chronicle_chaos.record.final import FinalReader, FinalReads, read_final, write_final
from chronicle_chaos.record.history import read_histories
from chronicle_chaos.record.journal import Journal, PhaseRecord, ScenarioRecord, read_journal
from chronicle_chaos.run.engine import run_all
from chronicle_chaos.run.options import RunOptions, new_run
from chronicle_chaos.scenarios.catalogue import find
from chronicle_chaos.scenarios.scenario import Deadlines, Scenario
from support.memory_ledger import MemoryInjector, MemoryLedger, serving

QUICK = Scenario(
    name="api-crash",  # a name of the catalogue, so that a run can be judged again
    title="A fault in memory",
    claim="what must hold, holds",
    fault=NodeKill(Component.COCKROACH),
    window=1.2,
    recovery=20.0,
    checks=(*ALWAYS, Availability(share=0.5, gap=15.0, accepted=0),
            HealthSays(frozenset({"degraded"}), within=0.0, blames="database", counts_missing=True)),
    deadlines=Deadlines(preflight=30, steady_state=30, inject=10, prove=0.8, observe_margin=20, heal=2, drain=4,
                        final_reads=30),
    steadiness=SteadyState(window=0.6, settle=0.3),
    warm_up=0.2,
)  # fmt: skip


SAMPLED = replace(QUICK, window=2.0)
"""Long enough for a sample of /health, of which there is one a second, to be answered under the fault."""

UNTIMED = replace(QUICK, checks=ALWAYS)
"""With nothing that a busy machine could make fail."""

SOON = replace(QUICK, checks=(*ALWAYS, Availability(share=0.0, gap=60.0, accepted=0)), recovery=1.0)
"""With nothing but the way back, which has to be found in a second."""


async def go(
    tmp_path: Path, ledger: MemoryLedger, injector: Injector, scenario: Scenario = QUICK, rate: float = 100.0
) -> tuple[ScenarioRecord, Journal, Path]:
    run_dir = new_run(tmp_path / "runs")
    async with serving(ledger) as target:
        journal = await run_all(target, injector, [scenario], options(rate), run_dir)
    assert read_journal(run_dir) == journal
    return journal.scenarios[0], journal, run_dir


def options(rate: float = 100.0) -> RunOptions:
    return RunOptions(seed=5, rate=rate, patience=Patience(attempt=2.0, total=5.0))


def wrong(record: ScenarioRecord) -> dict[str, str]:
    return {c.name: c.message for c in record.checks if c.result != "Passed"}


async def test_a_ledger_that_bears_the_fault_passes(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    injector = MemoryInjector(ledger)
    record, journal, run_dir = await go(tmp_path, ledger, injector, SAMPLED)
    assert (record.verdict, wrong(record)) == ("Passed", {})
    assert journal.exit_status == 0
    assert [p.name for p in record.phases] == [
        "preflight", "steady-state", "inject", "prove", "observe", "heal", "verify", "check"
    ]  # fmt: skip
    assert {p.outcome for p in record.phases} == {"Succeeded"}
    assert record.fault_confirmed
    assert record.lost_writes == 0
    assert record.acknowledged_writes > 50
    assert record.longest_gap_milliseconds is not None
    assert record.longest_gap_milliseconds > 1000
    assert record.recovery_milliseconds is not None
    assert record.cleanup.result == "Clean"
    assert injector.calls == ["preflight", "inject", "during", "heal"]
    assert (run_dir.parent / "latest").resolve() == run_dir.resolve()


@pytest.mark.parametrize(
    ("bug", "finds"),
    [
        ("idempotency", "exactly-once"),
        ("balance-floor", "floor"),
        ("version-check", "linearizability"),
        ("stale-reads", "linearizability"),
        ("forgets", "durability"),
        ("loses-account", "durability"),
        ("wrong-view", "agreement"),
        ("silent-health", "health"),
        ("blames-another", "health"),
    ],
)
async def test_each_bug_is_found_by_the_check_that_is_there_for_it(tmp_path: Path, bug: str, finds: str) -> None:
    ledger = MemoryLedger(bugs=frozenset({bug}))
    record, journal, _ = await go(tmp_path, ledger, MemoryInjector(ledger), SAMPLED)
    assert record.verdict == "Failed", record.message
    assert finds in {c.name for c in record.checks if c.result == "Failed"}
    assert journal.exit_status == 1


@pytest.mark.parametrize(("bug", "verdict"), [(None, "Passed"), ("split-brain", "Failed")])
async def test_regions_that_keep_histories_of_their_own_are_found(
    tmp_path: Path, bug: str | None, verdict: str
) -> None:
    ledger = MemoryLedger(bugs=frozenset({bug} if bug else ()))
    run_dir = new_run(tmp_path)
    scenario = replace(UNTIMED, checks=(*ALWAYS, RegionsAgree()))
    async with serving(ledger, ("region-a", "region-b")) as target:
        journal = await run_all(target, MemoryInjector(ledger), [scenario], options(), run_dir)
    (record,) = journal.scenarios
    assert record.verdict == verdict, record.message
    assert list(wrong(record)) == (["regions-agree"] if bug else [])


async def test_an_injector_that_does_nothing_is_inconclusive(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    record, journal, _ = await go(tmp_path, ledger, MemoryInjector(ledger, works=False))
    assert (record.verdict, record.reason) == ("Inconclusive", "FaultUnproven")
    assert not record.fault_confirmed
    assert journal.exit_status == 3
    assert {c.name for c in record.checks} == {c.name for c in ALWAYS}  # what holds without a fault is still judged


async def test_money_lost_is_failed_even_where_the_fault_was_not_proven(tmp_path: Path) -> None:
    ledger = MemoryLedger(bugs=frozenset({"forgets"}))
    record, _, _ = await go(tmp_path, ledger, MemoryInjector(ledger, works=False))
    assert (record.verdict, record.lost_writes) != ("Inconclusive", 0)
    assert record.verdict == "Failed"


@dataclass
class Failing(MemoryLedger):
    """Answers until its accounts are open, and `more` writes longer."""

    more: int = 0

    def post(self, *args: Any, **named: Any) -> tuple[dict[str, Any], bool]:
        if self.posted + 1 >= 2 * options().accounts + self.more:
            self.broken = "refuse"
        return super().post(*args, **named)


async def test_nothing_is_injected_where_steady_state_is_not_met(tmp_path: Path) -> None:
    ledger = Failing(more=20)
    injector = MemoryInjector(ledger)
    impatient = replace(QUICK, deadlines=replace(QUICK.deadlines, steady_state=4))
    record, journal, _ = await go(tmp_path, ledger, injector, impatient)
    assert (record.verdict, record.reason) == ("Inconclusive", "SteadyStateNotMet")
    assert injector.calls == ["preflight"]
    assert record.fault_window is None
    assert journal.exit_status == 3


@pytest.mark.parametrize(
    ("error", "verdict", "reason", "status"),
    [
        (NotApplicable("one node alone", next_step="install CockroachDB"), "NotApplicable", "NotApplicable", 0),
        (PreflightError("no right to", next_step="grant it"), "Inconclusive", "PreflightFailed", 3),
    ],
)
async def test_a_preflight_that_refuses_touches_nothing_and_says_what_to_do(
    tmp_path: Path, error: InjectionError, verdict: str, reason: str, status: int
) -> None:
    @dataclass
    class Refusing(MemoryInjector):
        async def preflight(self, fault: Fault) -> None:
            raise error

    ledger = MemoryLedger()
    injector = Refusing(ledger)
    record, journal, _ = await go(tmp_path, ledger, injector)
    assert (record.verdict, record.reason, journal.exit_status) == (verdict, reason, status)
    assert error.next_step in record.message
    assert injector.calls == []


async def test_an_injection_that_breaks_half_way_is_healed(tmp_path: Path) -> None:
    seen: list[Injection] = []

    @dataclass
    class HalfWay(MemoryInjector):
        async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
            await super().inject(fault, undo, rng)
            raise InjectionError("the second node would not die")

        async def heal(self, injection: Injection) -> None:
            seen.append(injection)
            await super().heal(injection)

    ledger = MemoryLedger()
    record, _, _ = await go(tmp_path, ledger, HalfWay(ledger))
    assert (record.verdict, record.reason) == ("Inconclusive", "InjectionFailed")
    assert ledger.broken is None
    assert {"broken": None} in seen[0].state["undo"]


async def test_a_fault_that_ends_too_early_is_not_proven(tmp_path: Path) -> None:
    @dataclass
    class Fading(MemoryInjector):
        async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
            await asyncio.sleep(seconds)
            return [Observation("broken", "refuse", "healed by itself", shows_fault=False)]

    ledger = MemoryLedger()
    record, _, _ = await go(tmp_path, ledger, Fading(ledger))
    assert (record.verdict, record.reason, record.fault_confirmed) == ("Inconclusive", "FaultUnproven", False)


async def test_an_error_while_observing_heals_and_is_inconclusive(tmp_path: Path) -> None:
    @dataclass
    class Crashing(MemoryInjector):
        async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
            raise RuntimeError("bug in the injector")

    ledger = MemoryLedger()
    injector = Crashing(ledger)
    record, _, _ = await go(tmp_path, ledger, injector)
    assert (record.verdict, record.reason) == ("Inconclusive", "PhaseFailed")
    assert injector.calls[-1] == "heal"
    assert ledger.broken is None


async def test_a_phase_that_passes_its_deadline_heals_and_is_inconclusive(tmp_path: Path) -> None:
    @dataclass
    class Endless(MemoryInjector):
        async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
            await asyncio.Event().wait()
            return ()

    ledger = MemoryLedger()
    hurried = replace(QUICK, deadlines=replace(QUICK.deadlines, observe_margin=1))
    record, _, _ = await go(tmp_path, ledger, Endless(ledger), hurried)
    assert (record.verdict, record.reason) == ("Inconclusive", "PhaseFailed")
    assert "not done within" in record.message
    assert ledger.broken is None


async def test_cleanup_that_fails_is_its_own_field_with_the_command_to_run(tmp_path: Path) -> None:
    @dataclass
    class Stuck(MemoryInjector):
        async def heal(self, injection: Injection) -> None:
            await super().heal(injection)
            raise CleanupFailed("a rule is left", next_step="iptables -F")

    ledger = MemoryLedger()
    injector = Stuck(ledger)
    record, journal, _ = await go(tmp_path, ledger, injector, UNTIMED)
    assert record.cleanup.result == "CleanupFailed"
    assert "iptables -F" in record.cleanup.message
    assert wrong(record) == {}
    assert (record.verdict, record.reason, journal.exit_status) == ("Inconclusive", "CleanupFailed", 3)
    assert "iptables -F" in record.message
    assert injector.looked_after_healing > 0


async def test_a_fault_that_outlives_its_failed_cleanup_is_not_recovered_from(tmp_path: Path) -> None:
    @dataclass
    class Stuck(MemoryInjector):
        async def heal(self, injection: Injection) -> None:
            await super().heal(injection)
            raise CleanupFailed("a rule is left")

        async def healed(self, injection: Injection) -> Evidence:
            return Evidence((Observation("rule", "there", "there", shows_fault=False),))

    ledger = MemoryLedger()
    record, journal, _ = await go(tmp_path, ledger, Stuck(ledger), SOON)
    assert (record.verdict, journal.exit_status) == ("Failed", 1)
    assert "not reached again" in wrong(record)["availability"]
    assert "a rule is left" in record.cleanup.message
    assert "rule: there (before: there)" in record.cleanup.message


async def test_after_a_cleanup_that_failed_no_other_scenario_touches_the_target(tmp_path: Path) -> None:
    @dataclass
    class Stuck(MemoryInjector):
        async def heal(self, injection: Injection) -> None:
            await super().heal(injection)
            raise CleanupFailed("a rule is left", next_step="iptables -F")

    ledger = MemoryLedger()
    injector = Stuck(ledger)
    run_dir = new_run(tmp_path)
    async with serving(ledger) as target:
        scenarios = [UNTIMED, replace(UNTIMED, name="nats-outage")]
        journal = await run_all(target, injector, scenarios, options(), run_dir)
    after = read_journal(run_dir).scenarios[1]
    assert (after.verdict, after.reason, after.start_time) == ("Aborted", "TargetNotHealed", None)
    assert "api-crash" in after.message
    assert "iptables -F" in after.message
    assert injector.calls.count("preflight") == 1
    assert journal.exit_status == 3
    assert [r.differences for r in judge_again(run_dir)][1] == ()


async def test_a_ledger_that_does_not_recover_in_time_fails(tmp_path: Path) -> None:
    @dataclass
    class Lasting(MemoryInjector):
        async def heal(self, injection: Injection) -> None:
            asyncio.get_running_loop().call_later(2.5, setattr, self.ledger, "broken", None)

        async def healed(self, injection: Injection) -> Evidence:
            return Evidence((Observation("x", "y", "z", shows_fault=True),))

    ledger = MemoryLedger()
    record, _, _ = await go(tmp_path, ledger, Lasting(ledger), replace(QUICK, recovery=1.0))
    assert record.verdict == "Failed"
    assert "availability" in wrong(record)
    assert (record.steady_time, record.recovery_milliseconds) == (None, None)
    verify = next(phase for phase in record.phases if phase.name == "verify")
    assert "not steady again within 1 s" in verify.message


class Blind(MemoryInjector):
    """Cannot look whether its fault is gone."""

    async def healed(self, injection: Injection) -> Evidence:
        raise PhaseTimeout("the control socket does not answer")


@pytest.mark.parametrize("bug", [None, "forgets"])
async def test_an_injector_that_cannot_look_after_healing_hides_no_lost_money(tmp_path: Path, bug: str | None) -> None:
    ledger = MemoryLedger(bugs=frozenset({bug} if bug else ()))
    record, journal, _ = await go(tmp_path, ledger, Blind(ledger), replace(UNTIMED, recovery=1.0))
    assert {c.name for c in record.checks} == {c.name for c in ALWAYS}
    assert "control socket does not answer" in record.cleanup.message
    if bug:
        assert (record.verdict, journal.exit_status) == ("Failed", 1)
        assert record.lost_writes
    else:
        assert (record.verdict, record.reason, journal.exit_status) == ("Inconclusive", "CleanupFailed", 3)
        assert record.lost_writes == 0


async def test_an_injector_that_looks_only_at_the_second_try_is_asked_again(tmp_path: Path) -> None:
    @dataclass
    class Hesitating(MemoryInjector):
        async def healed(self, injection: Injection) -> Evidence:
            found = await super().healed(injection)
            if self.looked_after_healing == 1:
                raise RuntimeError("not yet")
            return found

    ledger = MemoryLedger()
    record, _, _ = await go(tmp_path, ledger, Hesitating(ledger), UNTIMED)
    assert (record.verdict, record.cleanup.result) == ("Passed", "Clean")


@pytest.mark.parametrize("bug", [None, "forgets"])
async def test_an_error_while_waiting_for_steady_state_hides_no_lost_money(
    tmp_path: Path, bug: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits = Load.steady

    async def dies_after_the_fault(self: Load, phase: PhaseRecord, since_ns: int | None = None) -> int:
        if since_ns is not None:
            raise PhaseTimeout("the load has died: ZeroDivisionError")
        return await waits(self, phase, since_ns)

    monkeypatch.setattr(Load, "steady", dies_after_the_fault)
    ledger = MemoryLedger(bugs=frozenset({bug} if bug else ()))
    record, _, run_dir = await go(tmp_path, ledger, MemoryInjector(ledger))
    assert read_final(run_dir, QUICK.name) is not None
    assert {c.name for c in record.checks} == {c.name for c in ALWAYS}
    if bug:
        assert (record.verdict, bool(record.lost_writes)) == ("Failed", True)
    else:
        assert (record.verdict, record.reason) == ("Inconclusive", "PhaseFailed")
        assert "the load has died" in record.message


async def test_final_reads_that_break_are_inconclusive_and_everything_else_is_judged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def breaks(*_: object) -> FinalReads:
        raise ValueError("no such page")

    monkeypatch.setattr(FinalReader, "read", breaks)
    ledger = MemoryLedger()
    record, _, _ = await go(tmp_path, ledger, MemoryInjector(ledger))
    assert (record.verdict, record.reason) == ("Inconclusive", "PhaseFailed")
    assert {c.result for c in record.checks} == {"Inconclusive"}
    assert "no such page" in record.message


async def test_healing_counts_as_recovery_so_healing_too_slowly_fails(tmp_path: Path) -> None:
    @dataclass
    class Sluggish(MemoryInjector):
        async def heal(self, injection: Injection) -> None:
            await asyncio.sleep(1.5)
            await super().heal(injection)

    ledger = MemoryLedger()
    record, _, _ = await go(tmp_path, ledger, Sluggish(ledger), SOON)
    assert (record.verdict, list(wrong(record))) == ("Failed", ["availability"])
    assert record.cleanup.result == "Clean"  # slow, but done


async def test_nothing_is_injected_where_the_undo_log_cannot_be_written(tmp_path: Path) -> None:
    ledger = MemoryLedger()
    injector = MemoryInjector(ledger)
    run_dir = new_run(tmp_path)
    (run_dir / "undo.jsonl").mkdir()
    async with serving(ledger) as target:
        journal = await run_all(target, injector, [QUICK], options(), run_dir)
    assert (journal.scenarios[0].verdict, journal.scenarios[0].reason) == ("Aborted", "UndoLogUnwritable")
    assert injector.calls == ["preflight"]


@pytest.mark.parametrize("interrupted", ["steady-state", "inject", "prove", "observe", "heal", "verify"])
async def test_an_interruption_in_any_phase_heals_and_leaves_a_journal(tmp_path: Path, interrupted: str) -> None:
    ledger = MemoryLedger()

    @dataclass
    class Slow(MemoryInjector):
        async def inject(self, fault: Fault, undo: UndoLog, rng: Random) -> Injection:
            done = await super().inject(fault, undo, rng)
            await asyncio.sleep(0.2)
            return done

        async def evidence(self, injection: Injection) -> Evidence:
            await asyncio.sleep(0.2)
            return await super().evidence(injection)

        async def heal(self, injection: Injection) -> None:
            await asyncio.sleep(0.2)
            await super().heal(injection)

    reached = asyncio.Event()

    def progress(scenario: str, phase: str, message: str) -> None:
        if phase == interrupted:
            reached.set()

    injector = Slow(ledger)
    run_dir = new_run(tmp_path)
    async with serving(ledger) as target:
        run = asyncio.create_task(
            run_all(target, injector, [QUICK, replace(QUICK, name="next")], options(), run_dir, progress)
        )
        await reached.wait()
        await asyncio.sleep(0.05)
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    assert ledger.broken is None
    journal = read_journal(run_dir)
    assert [r.verdict for r in journal.scenarios] == ["Aborted", "Aborted"]
    assert journal.scenarios[1].reason == "NotStarted"
    assert journal.exit_status == 3
    if "inject" in injector.calls:
        assert injector.calls[-1] == "heal"
        assert journal.scenarios[0].cleanup.result == "Clean"
        assert "what was broken has been healed" in journal.scenarios[0].message
    else:
        assert journal.scenarios[0].cleanup.result == "NotNeeded"
        assert "nothing had been broken" in journal.scenarios[0].message


@dataclass
class Hanging(MemoryInjector):
    """Never gets to the end of healing."""

    begun: asyncio.Event = field(default_factory=asyncio.Event)

    async def heal(self, injection: Injection) -> None:
        self.begun.set()
        await asyncio.Event().wait()


async def interrupted_while_healing(tmp_path: Path, scenario: Scenario, again: bool) -> tuple[MemoryLedger, Journal]:
    """Run, interrupt under the fault, and once more (as asyncio does at a second Ctrl-C: every task at once)."""
    ledger = MemoryLedger()
    injector = Hanging(ledger)
    reached = asyncio.Event()
    progress = lambda _, phase, __: reached.set() if phase in {"observe", "heal"} else None  # noqa: E731
    run_dir = new_run(tmp_path)
    async with serving(ledger) as target:
        outside = asyncio.all_tasks()
        run = asyncio.create_task(run_all(target, injector, [scenario], options(), run_dir, progress))
        await reached.wait()
        run.cancel()
        if again:
            await injector.begun.wait()
            during = read_journal(run_dir).scenarios[0]
            assert during.cleanup.result == "CleanupFailed"
            for task in asyncio.all_tasks() - outside:
                task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run
    return ledger, read_journal(run_dir)


@pytest.mark.parametrize("again", [False, True], ids=["until-its-deadline", "interrupted-again"])
async def test_a_run_whose_healing_hangs_claims_no_healing(tmp_path: Path, again: bool) -> None:
    ledger, journal = await interrupted_while_healing(tmp_path, QUICK, again)
    assert ledger.broken is not None
    (record,) = journal.scenarios
    assert (record.verdict, record.reason, journal.exit_status) == ("Aborted", "Aborted", 3)
    assert record.cleanup.result == "CleanupFailed"
    assert "undo.jsonl" in record.cleanup.message
    assert "has been healed" not in record.message
    assert record.cleanup.message in record.message


def test_an_unknown_scenario_is_refused_by_name() -> None:
    with pytest.raises(UnknownScenario, match=r"'nope'.*nats-outage"):
        find(["nope"])


async def test_the_same_seed_draws_the_same_requests(tmp_path: Path) -> None:
    drawn = []
    brief = replace(QUICK, deadlines=replace(QUICK.deadlines, steady_state=3))
    for _ in range(2):
        ledger = Failing()  # what is answered steers what is asked next, so nothing is
        _, _, run_dir = await go(tmp_path, ledger, MemoryInjector(ledger), brief)
        history = read_histories(run_dir / "history.jsonl")[QUICK.name]
        load = [o for o in history.operations if o.process.startswith("client-")]
        drawn.append([(o.f, o.asked.get("amount")) for o in sorted(load, key=lambda o: o.intended_ns)][:60])
    assert len(drawn[0]) == 60
    assert drawn[0] == drawn[1]


async def test_a_run_without_final_reads_is_not_passed(tmp_path: Path) -> None:
    write_final(tmp_path, "x", FinalReads(errors=["GET /v1/accounts/a: 503"]))
    assert read_final(tmp_path, "x") == FinalReads(errors=["GET /v1/accounts/a: 503"])
    assert read_final(tmp_path, "y") is None
