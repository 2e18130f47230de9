"""Each checker passes on whatever a correct ledger may do, and fails on the one thing that it is there for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronicle_chaos.judge.checkers.agreement import Agreement
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.base import Case, Checker, run_checks
from chronicle_chaos.judge.checkers.conservation import Conservation
from chronicle_chaos.judge.checkers.durability import Durability
from chronicle_chaos.judge.checkers.exactly_once import ExactlyOnce
from chronicle_chaos.judge.checkers.floor import Floor
from chronicle_chaos.judge.checkers.linearizability import Linearizability
from chronicle_chaos.judge.verdict import CheckResult, Result
from chronicle_chaos.record.final import FinalReads
from chronicle_chaos.record.history import WRITES, Event, History
from support.histories import LOAD_OFF, SECOND, Story, correct_story, refused

seeds = st.integers(0, 2**32)


def judge(checker: Checker, story: Story) -> CheckResult:
    (result,) = run_checks([checker], story.case())
    return result


def is_ok(f: str) -> Any:
    return lambda e: e.type == "ok" and e.f == f


@given(seeds)
@settings(max_examples=60, deadline=None)
def test_a_correct_ledger_passes_every_check_whatever_clients_do(seed: int) -> None:
    story = correct_story(seed)
    results = run_checks(ALWAYS, story.case())
    assert {r.name: r.message for r in results if r.result is not Result.PASSED} == {}


@pytest.mark.parametrize("checker", ALWAYS, ids=lambda c: c.name)
def test_without_any_sample_no_check_passes(checker: Checker) -> None:
    (result,) = run_checks([checker], Case(History(()), FinalReads()))
    assert result.result is Result.INCONCLUSIVE


@pytest.mark.parametrize("checker", ALWAYS, ids=lambda c: c.name)
def test_what_could_not_be_read_is_unknown_not_fine(checker: Checker) -> None:
    story = correct_story(1)
    story.final.errors.append("GET /v1/accounts/a1: 503")
    assert judge(checker, story).result is Result.INCONCLUSIVE
    story.final = None  # type: ignore[assignment]
    assert judge(checker, story).result is Result.INCONCLUSIVE


def test_a_checker_that_raises_is_inconclusive_and_does_not_hide_the_others() -> None:
    class Broken:
        name = "broken"
        safety = True

        def check(self, case: Case) -> CheckResult:
            raise ZeroDivisionError(f"oops, {len(case.history.events)} events")

    results = run_checks([Broken(), Floor()], correct_story(1).case())
    assert [(r.name, r.result) for r in results] == [("broken", Result.INCONCLUSIVE), ("floor", Result.PASSED)]
    assert "ZeroDivisionError" in results[0].message


# ---- negative controls, one thing wrong at a time ----------------------------------------------------------------


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_durability_finds_a_lost_write(seed: int) -> None:
    story = correct_story(seed)
    account = story.final.accounts["a0"]
    story.final.accounts["a0"] = msgspec.structs.replace(account, entries=account.entries[:-1])
    result = judge(Durability(), story)
    assert result.result is Result.FAILED
    assert result.figures["lost"] == 1


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_an_account_that_is_gone_takes_its_acknowledged_writes_with_it(seed: int) -> None:
    story = correct_story(seed)
    del story.final.accounts["a0"]
    story.final.absent.append("a0")
    touched = {
        e.key
        for e in story.events
        if e.type == "ok" and e.f in WRITES and any(entry["account_id"] == "a0" for entry in e.value["entries"])
    }
    result = judge(Durability(), story)
    assert (result.result, result.figures["lost"]) == (Result.FAILED, len(touched))
    assert "account a0 was opened" in result.message
    assert judge(Conservation(), story).result in {Result.FAILED, Result.PASSED}  # passed: it held nothing


def test_all_accounts_gone_is_lost_and_not_unknown() -> None:
    story = correct_story(3)
    story.final.absent = list(story.final.accounts)
    story.final.accounts.clear()
    result = judge(Durability(), story)
    assert (result.result, result.figures["lost"]) == (Result.FAILED, result.figures["acknowledged"])


def test_durability_finds_a_write_that_was_changed_afterwards() -> None:
    story = correct_story(3)
    story.final.accounts["a0"].entries[-1]["amount"] += 1
    assert judge(Durability(), story).figures["changed"] == 1


def test_durability_finds_a_refused_write_that_is_there() -> None:
    story = correct_story(4)
    story.operation("deposit", {"account_id": "a0", "amount": 5}, SECOND, 2 * SECOND, "fail", key="no", status=409)
    _sneak_in(story, "no")
    result = judge(Durability(), story)
    assert result.result is Result.FAILED
    assert result.figures["unexpected"] == 1


def test_durability_finds_a_write_that_nobody_asked_for() -> None:
    story = correct_story(4)
    _sneak_in(story, "stranger")
    assert judge(Durability(), story).figures["unexpected"] == 1


def test_durability_counts_an_unknown_write_that_is_there_as_recovered_and_passes() -> None:
    story = correct_story(4)
    before = judge(Durability(), story).figures["recovered"]
    story.operation("deposit", {"account_id": "a0", "amount": 5}, SECOND, 2 * SECOND, "info", key="maybe", status=503)
    _sneak_in(story, "maybe")
    result = judge(Durability(), story)
    assert (result.result, result.figures["recovered"]) == (Result.PASSED, before + 1)


def _sneak_in(story: Story, key: str) -> None:
    account = story.final.accounts["a0"]
    entry = {
        "version": account.version + 1,
        "amount": 5,
        "held": 0,
        "balance_after": account.balance + 5,
        "held_after": 0,
    }
    story.final.accounts["a0"] = msgspec.structs.replace(
        account, balance=account.balance + 5, version=account.version + 1,
        entries=[*account.entries, {"transaction_id": "sneaked", **entry}],
    )  # fmt: skip
    story.final.transactions["sneaked"] = {"kind": "deposit", "key": key, "entries": [{"account_id": "a0", **entry}]}


def test_conservation_finds_money_that_came_from_nowhere() -> None:
    story = correct_story(5)
    account = story.final.accounts["a1"]
    story.final.accounts["a1"] = msgspec.structs.replace(account, balance=account.balance + 1)
    assert "+1" in judge(Conservation(), story).message


def test_conservation_finds_a_currency_that_does_not_sum_to_zero() -> None:
    story = correct_story(5)
    story.final.currency_total = -3
    assert judge(Conservation(), story).result is Result.FAILED


def test_conservation_finds_an_acknowledged_transaction_that_does_not_balance() -> None:
    story = correct_story(5)

    def unbalance(e: Event) -> Event:
        entries = [{**e.value["entries"][0], "amount": e.value["entries"][0]["amount"] - 1}, *e.value["entries"][1:]]
        return replace(e, value={**e.value, "entries": entries})

    assert judge(Conservation(), story.change(is_ok("transfer"), unbalance)).result is Result.FAILED


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_floor_finds_one_entry_under_the_floor_among_all(seed: int) -> None:
    story = correct_story(seed)
    entries = story.final.accounts["a2"].entries
    entries[seed % len(entries)]["balance_after"] = -1
    assert judge(Floor(), story).result is Result.FAILED


def test_floor_counts_what_is_held_as_spent() -> None:
    story = correct_story(6)
    entry = story.final.accounts["a2"].entries[-1]
    entry["held_after"] = entry["balance_after"] + 1
    assert judge(Floor(), story).result is Result.FAILED


def test_exactly_once_finds_a_key_with_two_transactions() -> None:
    story = correct_story(7)
    key = next(e.key for e in story.events if e.f == "deposit" and e.type == "ok")
    _sneak_in(story, str(key))
    result = judge(ExactlyOnce(), story)
    assert result.figures["twice"] == 1
    assert judge(Durability(), story).result is Result.PASSED  # that it is there twice is this checker's finding alone


def test_exactly_once_finds_a_replay_that_is_told_of_another_transaction() -> None:
    story = correct_story(8)
    story.change(is_ok("replay"), lambda e: replace(e, value={**e.value, "transaction_id": "other"}))
    assert judge(ExactlyOnce(), story).result is Result.FAILED


def test_exactly_once_finds_a_replay_that_was_refused() -> None:
    story = correct_story(8)
    story.operation("replay", {}, LOAD_OFF, LOAD_OFF + 1, "fail", key="k1", status=409, code="insufficient_funds")
    assert "refused" in judge(ExactlyOnce(), story).message


def test_exactly_once_cannot_tell_where_nothing_was_repeated() -> None:
    story = correct_story(8)
    story.events = [e for e in story.events if e.f != "replay"]
    assert judge(ExactlyOnce(), story).result is Result.INCONCLUSIVE


@pytest.mark.parametrize(
    ("result", "compared", "expected"),
    [
        ("Passed", 9, "Passed"),
        ("Failed", 9, "Failed"),
        ("Failed", 0, "Failed"),
        ("Inconclusive", 9, "Inconclusive"),
        ("NotApplicable", 0, "Inconclusive"),
        ("Passed", 0, "Inconclusive"),
    ],
)
@pytest.mark.parametrize("name", ["stream", "view"])
def test_agreement_is_what_the_proof_found_and_nothing_where_stream_or_view_was_not_compared(
    name: str, result: str, compared: int, expected: str
) -> None:
    story = correct_story(9)
    (check,) = [c for c in proof_checks(story) if c["name"] == name]
    check |= {"result": result, "compared": compared, "message": "a1 is 2 behind"}
    judged = judge(Agreement(), story)
    assert judged.result == expected
    assert result == "Passed" or name in judged.message


@pytest.mark.parametrize("name", ["stream", "view"])
def test_agreement_cannot_tell_by_a_proof_that_lacks_the_stream_or_the_view(name: str) -> None:
    story = correct_story(9)
    checks = proof_checks(story)
    checks[:] = [c for c in checks if c["name"] != name]
    judged = judge(Agreement(), story)
    assert (judged.result, name in judged.message) == (Result.INCONCLUSIVE, True)


def test_agreement_cannot_tell_by_the_chain_alone() -> None:
    story = correct_story(9)
    story.final.proof = {
        "result": "Passed", "checks": [{"name": "chain", "result": "Passed", "compared": 9, "message": "9"}]
    }  # fmt: skip
    assert judge(Agreement(), story).result is Result.INCONCLUSIVE


outcomes = st.sampled_from(["Passed", "Passed", "Passed", "Failed", "Inconclusive", "NotApplicable"])


@given(st.lists(outcomes, min_size=9, max_size=9), st.integers(0, 5))
def test_agreement_passes_only_where_stream_and_view_passed_and_nothing_speaks_against_it(
    results: list[str], compared: int
) -> None:
    story = correct_story(9, operations=4)
    for check, result in zip(proof_checks(story), results, strict=True):
        check |= {"result": result, "compared": compared}
    found = {c["name"]: c["result"] for c in proof_checks(story)}
    judged = judge(Agreement(), story).result
    assert (judged is Result.FAILED) == ("Failed" in found.values())
    both = compared > 0 and found["stream"] == found["view"] == "Passed"
    assert (judged is Result.PASSED) == (both and set(found.values()) <= {"Passed", "NotApplicable"})


def proof_checks(story: Story) -> list[dict[str, Any]]:
    assert story.final.proof is not None
    checks: list[dict[str, Any]] = story.final.proof["checks"]
    return checks


def test_agreement_fails_even_where_another_check_of_the_proof_could_not_decide() -> None:
    story = correct_story(9)
    checks = [
        {"name": n, "result": r, "compared": 1, "message": n} for n, r in (("a", "Inconclusive"), ("b", "Failed"))
    ]
    story.final.proof = {"result": "Failed", "checks": checks}
    result = judge(Agreement(), story)
    assert (result.result, result.message) == (Result.FAILED, "b: b")


@given(seeds)
@settings(max_examples=40, deadline=None)
def test_linearizability_finds_a_stale_read(seed: int) -> None:
    story = correct_story(seed)
    first = story.final.accounts["a0"].entries[0]
    stale = {"balance": first["balance_after"], "held": 0, "version": 1}
    story.operation("read", {"account_id": "a0"}, LOAD_OFF, LOAD_OFF + 1, "ok", stale, status=200)
    result = judge(Linearizability(), story)
    assert result.result is Result.FAILED
    assert "began after" in result.message


def test_linearizability_accepts_an_old_version_seen_while_the_write_was_under_way() -> None:
    story = correct_story(11, operations=0)
    state = story.final.accounts["a1"].entries[0]  # what the account was before its first deposit had ended
    seen = {"balance": state["balance_after"], "held": 0, "version": 1}
    story.operation("read", {"account_id": "a1"}, -5, -2, "ok", seen, status=200)
    assert judge(Linearizability(), story).result is Result.PASSED


def test_linearizability_finds_a_write_that_comes_before_one_that_had_ended() -> None:
    story = correct_story(12)
    last = next(e for e in story.events if e.type == "ok" and e.key == "last")
    (entry, *_) = last.value["entries"]

    def early(e: Event) -> Event:
        return replace(e, value={**e.value, "entries": [{**entry, "version": 2}]})

    assert "began after" in judge(Linearizability(), story.change(lambda e: e is last, early)).message


def test_linearizability_finds_two_writes_that_made_the_same_version() -> None:
    story = correct_story(12)
    last = next(e for e in story.events if e.type == "ok" and e.key == "last")
    story.operation("deposit", {"account_id": "a0", "amount": 1}, LOAD_OFF - 9, LOAD_OFF - 1, "ok", last.value, key="x")
    assert "both made version" in judge(Linearizability(), story).message


@pytest.mark.parametrize("field", ["balance_after", "amount"])
def test_linearizability_finds_a_broken_running_sum(field: str) -> None:
    story = correct_story(13)
    story.final.accounts["a0"].entries[1][field] += 1
    assert judge(Linearizability(), story).result is Result.FAILED


def test_linearizability_finds_a_missing_version() -> None:
    story = correct_story(14)
    del story.final.accounts["a0"].entries[1]
    assert "has version" in judge(Linearizability(), story).message


def test_linearizability_finds_a_read_with_a_balance_of_another_version() -> None:
    story = correct_story(15)
    last = story.final.accounts["a0"].entries[-1]
    wrong = {"balance": last["balance_after"] + 1, "held": 0, "version": last["version"]}
    story.operation("read", {"account_id": "a0"}, LOAD_OFF, LOAD_OFF + 1, "ok", wrong, status=200)
    assert "saw balance" in judge(Linearizability(), story).message


def test_linearizability_finds_an_expected_version_that_was_ignored() -> None:
    story = correct_story(16)
    story.change(
        lambda e: e.type == "invoke" and e.key == "last",
        lambda e: replace(e, value={**e.value, "expected_version": 1}),
    )
    assert "expected version 1" in judge(Linearizability(), story).message


def test_linearizability_finds_a_refusal_that_no_state_explains() -> None:
    story = correct_story(17)
    asked = {"account_id": "a0", "amount": 1}
    balance = story.final.accounts["a0"].balance
    assert balance >= 1
    story.operation(
        "withdrawal", asked, LOAD_OFF, LOAD_OFF + 1, "fail", key="no", status=409, code="insufficient_funds"
    )
    assert "was refused" in judge(Linearizability(), story).message


AFTER = (LOAD_OFF, LOAD_OFF + 1)
"""When every other operation has ended: one state is possible, the last."""


def withdrawal(story: Story, **told: Any) -> None:
    """Add a withdrawal of one more than there is, refused with these figures beside the right ones."""
    account = story.final.accounts["a0"]
    required = account.balance + 1
    right: dict[str, Any] = {"account_id": "a0", "available": account.balance, "required": required, "floor": 0}
    refused(story, "withdrawal", {"account_id": "a0", "amount": required}, *AFTER, "insufficient_funds", **right | told)


def conditional(story: Story, expected: int, **told: Any) -> None:
    """Add a transfer that expected a version and was refused."""
    asked = {"source": "a0", "destination": "a1", "amount": 1, "expected_version": expected}
    refused(story, "transfer", asked, *AFTER, "version_conflict", account_id="a0", expected_version=expected, **told)


def settle(story: Story, f: str, outcome: Any, **more: Any) -> None:
    """Add a capture or a release of the hold h."""
    story.operation(f, {"hold_id": "h"}, *AFTER, outcome, {"entries": []}, **more)


@given(seeds, st.integers(1, 9))
@settings(max_examples=25, deadline=None)
def test_linearizability_passes_refusals_that_name_the_state_there_was(seed: int, behind: int) -> None:
    story = correct_story(seed)
    version = story.final.accounts["a0"].version
    before = judge(Linearizability(), story).figures["refusals"]
    withdrawal(story)
    for expected in (max(1, version - behind), version + behind):
        conditional(story, expected, version=version) if expected != version else None
    result = judge(Linearizability(), story)
    assert result.result is Result.PASSED, result.message
    assert result.figures["refusals"] >= before + 2


@given(seeds)
@settings(max_examples=25, deadline=None)
def test_linearizability_finds_a_version_conflict_with_the_right_version(seed: int) -> None:
    story = correct_story(seed)
    conditional(story, story.final.accounts["a0"].version)
    result = judge(Linearizability(), story)
    assert result.result is Result.FAILED
    assert "and was refused, but the account was at version" in result.message


@given(seeds, st.integers(-9, 9).filter(bool))
@settings(max_examples=25, deadline=None)
def test_linearizability_finds_a_version_that_never_was(seed: int, off: int) -> None:
    story = correct_story(seed)
    version = story.final.accounts["a0"].version
    conditional(story, version + 20, version=version + off)
    result = judge(Linearizability(), story)
    assert result.result is Result.FAILED
    assert f"is at version {version + off}, but it was at version {version}" in result.message


@given(seeds, st.integers(-9, 9).filter(bool))
@settings(max_examples=25, deadline=None)
def test_linearizability_finds_an_amount_that_was_never_available(seed: int, off: int) -> None:
    story = correct_story(seed)
    available = story.final.accounts["a0"].balance + off
    withdrawal(story, available=available)
    result = judge(Linearizability(), story)
    assert result.result is Result.FAILED
    assert f"was told that {available} was available, which never was" in result.message


def test_a_version_that_was_possible_only_while_the_refusal_was_under_way_explains_it() -> None:
    story = correct_story(11)
    version = story.final.accounts["a0"].version
    asked = {"source": "a0", "destination": "a1", "amount": 1, "expected_version": version}
    # The operation "last" makes the last version from LOAD_OFF - 9 to LOAD_OFF - 1.
    refused(story, "transfer", asked, LOAD_OFF - 5, LOAD_OFF, "version_conflict", version=version - 1)
    assert judge(Linearizability(), story).result is Result.PASSED
    asked = {"account_id": "a0", "amount": story.final.accounts["a0"].balance}
    available = story.final.accounts["a0"].balance - 1
    refused(story, "withdrawal", asked, LOAD_OFF - 5, LOAD_OFF, "insufficient_funds", available=available)
    assert judge(Linearizability(), story).result is Result.PASSED


@pytest.mark.parametrize("named", [{"floor": 1}, {"required": 1}, {"account_id": "a1"}])
def test_linearizability_finds_a_refusal_that_names_another_request(named: dict[str, Any]) -> None:
    story = correct_story(18)
    withdrawal(story, **named)
    assert f"was told {next(iter(named))}" in judge(Linearizability(), story).message


def test_a_refusal_after_an_attempt_that_nobody_saw_end_is_judged_too() -> None:
    story = correct_story(18)
    asked = {"source": "a0", "destination": "a1", "amount": 1, "expected_version": story.final.accounts["a0"].version}
    story.operation("transfer", asked, *AFTER, "info", key="no", status=409, code="version_conflict")
    assert judge(Linearizability(), story).result is Result.FAILED


@pytest.mark.parametrize(
    ("f", "asked", "code"),
    [
        ("transfer", {"source": "a0", "destination": "a1", "amount": 1}, "version_conflict"),
        ("deposit", {"account_id": "a0", "amount": 1}, "insufficient_funds"),
        ("deposit", {"account_id": "a0", "amount": 1}, "account_frozen"),
        ("withdrawal", {"account_id": "a0", "amount": 1}, "account_not_found"),
        ("capture", {"hold_id": "h"}, "insufficient_funds"),
    ],
)
def test_linearizability_finds_a_refusal_for_which_there_was_no_reason(f: str, asked: Any, code: str) -> None:
    story = correct_story(19)
    refused(story, f, asked, *AFTER, code)
    assert judge(Linearizability(), story).result is Result.FAILED


def test_an_account_without_a_floor_is_never_short_of_funds() -> None:
    story = correct_story(19)
    story.final.accounts["a0"] = msgspec.structs.replace(story.final.accounts["a0"], floor=None)
    withdrawal(story, floor=None)
    assert "has no floor" in judge(Linearizability(), story).message


@pytest.mark.parametrize(("other", "result"), [("ok", "Passed"), ("info", "Passed"), ("fail", "Failed")])
def test_a_hold_that_is_not_pending_was_settled_by_another(other: str, result: str) -> None:
    story = correct_story(20)
    settle(story, "release", "fail", key="second", status=409, code="hold_not_pending")
    assert "nothing else had settled hold h" in judge(Linearizability(), story).message
    settle(story, "capture", other, key="first", status=409 if other == "fail" else 201, code="hold_not_pending")
    assert judge(Linearizability(), story).result == result


@pytest.mark.parametrize(("status", "code"), [(401, "unauthorized"), (403, "forbidden"), (404, None), (503, "x")])
def test_a_refusal_that_no_state_could_explain_is_not_judged_by_states(status: int, code: str | None) -> None:
    story = correct_story(21)
    story.operation("deposit", {"account_id": "a0", "amount": 1}, *AFTER, "fail", key="no", status=status, code=code)
    assert judge(Linearizability(), story).result is Result.PASSED


def test_a_read_or_a_conditional_write_that_came_to_nothing_shows_no_state() -> None:
    story = correct_story(22)
    seen = {"balance": 12345, "held": 0, "version": 1}
    story.operation("read", {"account_id": "a0"}, *AFTER, "info", seen, status=503)
    asked = {"source": "a0", "destination": "a1", "amount": 1, "expected_version": 1}
    story.operation("transfer", asked, *AFTER, "info", key="maybe", status=503)
    assert judge(Linearizability(), story).result is Result.PASSED
    story.operation("read", {"account_id": "a0"}, *AFTER, "info", {**seen, "held": 99999}, status=503)
    assert judge(Floor(), story).result is Result.PASSED


def held_in_full(story: Story) -> dict[str, Any]:
    """What the account a0 would be with all of its money held: at its floor, and not under it."""
    last = story.final.accounts["a0"].entries[-1]
    return {"account_id": "a0", "version": last["version"], "amount": 0, "held": 5, "balance_after": 5, "held_after": 5}


@pytest.mark.parametrize(("more", "result"), [(0, "Passed"), (1, "Failed")])
def test_floor_subtracts_what_is_held_in_answers_and_reads(more: int, result: str) -> None:
    story = correct_story(23)
    entry = held_in_full(story) | {"held_after": 5 + more}
    story.operation("hold", {"account_id": "a0"}, *AFTER, "ok", {"transaction_id": "h", "entries": [entry]}, key="h")
    found = judge(Floor(), story)
    assert (found.result, found.figures["lowest"]) == (result, -more)
    story = correct_story(23)
    read = {"balance": 5, "held": 5 + more, "version": 1}
    story.operation("read", {"account_id": "a0"}, *AFTER, "ok", read, status=200)
    found = judge(Floor(), story)
    assert (found.result, found.figures["lowest"]) == (result, -more)


def test_conservation_counts_an_acknowledged_transaction_once_though_it_was_read_too() -> None:
    story = correct_story(5)
    done = next(e for e in story.events if e.type == "ok" and e.f == "deposit")
    read = {"kind": "deposit", "key": done.key, "entries": done.value["entries"]}
    story.final.transactions |= {done.value["transaction_id"]: read, "gone": None}
    assert judge(Conservation(), story).result is Result.PASSED


def test_durability_tells_a_refused_write_that_is_there_from_one_that_nobody_asked_for() -> None:
    story = correct_story(4)
    story.operation("deposit", {"account_id": "a0", "amount": 5}, SECOND, 2 * SECOND, "fail", key="no", status=409)
    _sneak_in(story, "no")
    assert "although no was refused" in judge(Durability(), story).message
    story = correct_story(4)
    _sneak_in(story, "stranger")
    assert "although nobody asked for it" in judge(Durability(), story).message


@pytest.mark.parametrize(("ahead", "result"), [(0, "Passed"), (1, "Failed")])
def test_a_version_that_a_later_write_made_explains_no_refusal_before_it(ahead: int, result: str) -> None:
    story = correct_story(24)
    _sneak_in(story, "later")
    entry = {"account_id": "a0", **story.final.accounts["a0"].entries[-1]}
    later = {"transaction_id": "sneaked", "entries": [entry]}
    story.operation("deposit", {"account_id": "a0", "amount": 5}, LOAD_OFF + 5, LOAD_OFF + 6, "ok", later, key="later")
    conditional(story, 1, version=entry["version"] - 1 + ahead)
    assert judge(Linearizability(), story).result == result


def test_what_settled_a_hold_after_the_refusal_does_not_explain_it() -> None:
    story = correct_story(25)
    settle(story, "release", "fail", key="first", status=409, code="hold_not_pending")
    story.operation("capture", {"hold_id": "h"}, LOAD_OFF + 5, LOAD_OFF + 6, "ok", {"entries": []}, key="second")
    assert judge(Linearizability(), story).result is Result.FAILED
