"""After healing the regions agree, or it is said on which account they do not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronicle_chaos.judge.checkers.base import run_checks
from chronicle_chaos.judge.checkers.regions_agree import RegionsAgree
from chronicle_chaos.judge.verdict import CheckResult, Result
from chronicle_chaos.load.client import Answer
from chronicle_chaos.record import region_reads
from chronicle_chaos.record.final import FinalReads, RegionalState
from chronicle_chaos.record.region_reads import RegionReader
from support.histories import Story, correct_story

REGIONS = ("region-a", "region-b", "region-c")
seeds = st.integers(0, 2**32)


def judge(story: Story) -> CheckResult:
    (result,) = run_checks([RegionsAgree()], story.case())
    return result


def agreeing(seed: int = 1, regions: tuple[str, ...] = REGIONS[:2]) -> Story:
    story = correct_story(seed, operations=8)
    accounts = story.final.accounts.values()
    story.final.regions = {
        region: {a.id: RegionalState(a.version, a.balance, a.held) for a in accounts} for region in regions
    }
    return story


@given(seeds, st.sampled_from([REGIONS[:2], REGIONS]))
@settings(max_examples=30, deadline=None)
def test_regions_that_say_the_same_pass(seed: int, regions: tuple[str, ...]) -> None:
    result = judge(agreeing(seed, regions))
    assert (result.result, result.figures["accounts"]) == (Result.PASSED, 3)


@given(seeds, st.sampled_from(REGIONS), st.sampled_from(["a0", "a1", "a2"]), st.sampled_from(["version", "balance",
       "held"]), st.integers(-3, 3).filter(bool))  # fmt: skip
@settings(max_examples=60, deadline=None)
def test_one_region_that_differs_in_one_figure_of_one_account_fails(
    seed: int, region: str, account: str, figure: str, by: int
) -> None:
    story = agreeing(seed, REGIONS)
    state = story.final.regions[region][account]
    assert state is not None
    changed = msgspec.structs.replace(state, **{figure: getattr(state, figure) + by})
    story.final.regions[region][account] = changed
    result = judge(story)
    assert result.result is Result.FAILED
    assert account in result.message
    assert region in result.message


def test_a_region_that_does_not_know_an_account_fails() -> None:
    story = agreeing()
    story.final.regions["region-b"]["a1"] = None
    assert "region-b has no such account" in judge(story).message


@pytest.mark.parametrize(("version", "balance"), [(-1, 0), (0, 7)], ids=["behind", "another-balance"])
def test_regions_that_agree_on_something_else_than_the_load_balancer_said_fail(version: int, balance: int) -> None:
    story = agreeing()
    for states in story.final.regions.values():
        state = states["a0"]
        assert state is not None
        states["a0"] = RegionalState(state.version + version, state.balance + balance, state.held)
    result = judge(story)
    assert (result.result, "load balancer had" in result.message) == (Result.FAILED, True)


def test_a_write_that_was_posted_after_the_other_reads_is_no_difference_where_all_regions_have_it() -> None:
    story = agreeing()
    for states in story.final.regions.values():
        state = states["a0"]
        assert state is not None
        states["a0"] = RegionalState(state.version + 1, state.balance + 5, 0)
    assert judge(story).result is Result.PASSED


def no_regions(reads: FinalReads) -> None:
    reads.regions = {}


def one_region(reads: FinalReads) -> None:
    del reads.regions["region-b"]


def one_account_unread(reads: FinalReads) -> None:
    del reads.regions["region-b"]["a2"]


def one_error(reads: FinalReads) -> None:
    reads.region_errors.append("region-b: account a2: 503")


@pytest.mark.parametrize("change", [no_regions, one_region, one_account_unread, one_error], ids=lambda f: f.__name__)
def test_what_was_not_read_in_every_region_is_unknown(change: Callable[[FinalReads], None]) -> None:
    story = agreeing()
    change(story.final)
    assert judge(story).result is Result.INCONCLUSIVE


def test_a_difference_that_was_seen_is_one_even_where_another_account_could_not_be_read() -> None:
    story = agreeing()
    story.final.regions["region-b"]["a0"] = None
    one_error(story.final)
    assert judge(story).result is Result.FAILED


# ---- reading -----------------------------------------------------------------------------------------------------


@dataclass
class Two:
    """Region b answers like region a from the `late`-th question to it on; `status` is what it answers."""

    late: int = 0
    status: int = 200
    asked: list[str] = field(default_factory=list)

    async def get(self, url: str, *, timeout: float) -> Answer:  # noqa: ASYNC109 - as the client has it
        assert timeout > 0
        self.asked.append(url)
        behind = url.startswith("http://b") and sum(u.startswith("http://b") for u in self.asked) <= self.late
        body: dict[str, Any] = {"version": 3 - behind, "balance": 10 - behind, "held": 0}
        return Answer(self.status if url.startswith("http://b") else 200, body)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here needs time to settle."""
    monkeypatch.setattr(region_reads, "PAUSE", 0.001)


async def read(ledger: Two, regions: dict[str, tuple[str, ...]]) -> FinalReads:
    reads = FinalReads()
    await RegionReader(ledger, regions, 1.0).read(["x"], reads)  # type: ignore[arg-type]  # it has what is used
    return reads


BOTH = {"a": ("http://a", "http://a2"), "b": ("http://b",)}


async def test_one_instance_of_each_region_is_asked_for_every_account() -> None:
    ledger = Two()
    reads = await read(ledger, BOTH)
    assert ledger.asked == ["http://a/v1/accounts/x", "http://b/v1/accounts/x"]
    assert reads.regions == {"a": {"x": RegionalState(3, 10, 0)}, "b": {"x": RegionalState(3, 10, 0)}}


async def test_regions_that_differ_are_read_again_and_stay_different_if_they_are() -> None:
    reads = await read(Two(late=1), BOTH)
    assert reads.regions["a"] == reads.regions["b"]
    reads = await read(Two(late=10**6), BOTH)
    assert reads.regions["a"] != reads.regions["b"]


async def test_what_a_region_cannot_answer_is_an_error_and_what_it_does_not_know_is_absent() -> None:
    reads = await read(Two(status=503), BOTH)
    assert reads.region_errors == ["b: account x: 503"]
    reads = await read(Two(status=404), BOTH)
    assert (reads.region_errors, reads.regions["b"]) == ([], {"x": None})


async def test_one_region_alone_is_not_asked() -> None:
    ledger = Two()
    assert (await read(ledger, {"a": ("http://a",), "b": ()})).regions == {}
    assert ledger.asked == []
