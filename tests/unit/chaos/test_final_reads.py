"""The final reads are one state of the ledger, although they take many requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from chronicle_chaos.load.client import Answer
from chronicle_chaos.record import final
from chronicle_chaos.record.final import FinalReader


@dataclass
class TwoAccounts:
    """Two accounts. `posts_after` says after how many requests a transfer of 52 from `a` to `b` is posted; `failures`
    are answered with 503 first; `gone` are answered with 404 once `gone_after` requests were answered."""

    posts_after: set[int] = field(default_factory=set)
    failures: int = 0
    gone: set[str] = field(default_factory=set)
    gone_after: int = 0
    proofs: list[str] = field(default_factory=lambda: ["Passed"])
    """The results of the proofs, in the order in which they are asked for; the last one again and again."""
    busy: int = 0
    """How often a proof is refused, since one is made for somebody else."""
    asked: int = 0
    balances: dict[str, list[int]] = field(default_factory=lambda: {"a": [1000], "b": [1000]})

    async def get(self, url: str, *, timeout: float) -> Answer:  # noqa: ASYNC109 - as the client has it
        assert timeout > 0
        if self.failures:
            self.failures -= 1
            return Answer(503, {"code": "database_unavailable"})
        path = url.removeprefix("http://ledger")
        if path == "/v1/proof" and self.busy:
            self.busy -= 1
            return Answer(429, {"code": "too_many_proofs"})
        if self.asked >= self.gone_after and any(path.split("?")[0].endswith(f"/{name}") for name in self.gone):
            return Answer(404, {"code": "account_not_found"})
        answer = Answer(200, self._read(path))
        self.asked += 1
        if self.asked in self.posts_after:
            for account, amount in (("a", -52), ("b", 52)):
                self.balances[account].append(self.balances[account][-1] + amount)
        return answer

    def _read(self, path: str) -> Any:
        if path == "/v1/proof":
            return {"result": self.proofs.pop(0) if len(self.proofs) > 1 else self.proofs[0]}
        if path.startswith("/v1/transactions/"):
            return {"kind": "transfer", "entries": []}
        if path.startswith("/v1/accounts?"):
            return {"accounts": [self._account(name) for name in self.balances]}
        _, _, _, account, *rest = path.split("?", maxsplit=1)[0].split("/")
        return {"entries": self._entries(account)} if rest else self._account(account)

    def _account(self, name: str) -> dict[str, Any]:
        history = self.balances[name]
        return {"id": name, "balance": history[-1], "held": 0, "floor": 0, "version": len(history)}

    def _entries(self, name: str) -> list[dict[str, Any]]:
        history = self.balances[name]
        return [
            {
                "transaction_id": f"t{version}", "version": version, "amount": after - before, "held": 0,
                "balance_after": after, "held_after": 0,
            }
            for version, (before, after) in enumerate(zip([0, *history], history, strict=False), 1)
        ]  # fmt: skip


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here needs time to settle."""
    monkeypatch.setattr(final, "PAUSE", 0.001)
    monkeypatch.setattr(final, "PROOF_PAUSE", 0.001)


def reader(ledger: TwoAccounts) -> FinalReader:
    return FinalReader(ledger, "http://ledger", patience=1.0)  # type: ignore[arg-type]  # it has what is used


@pytest.mark.parametrize("moment", range(1, 9))
async def test_a_transfer_posted_while_the_accounts_are_read_is_seen_on_both_sides(moment: int) -> None:
    reads = await reader(TwoAccounts({moment})).read(["a", "b"], set(), "EUR")
    assert reads.errors == []
    assert sum(account.balance for account in reads.accounts.values()) == 2000
    for account in reads.accounts.values():
        assert account.entries[-1]["balance_after"] == account.balance


async def test_accounts_that_never_stop_changing_are_an_error_and_no_state() -> None:
    reads = await reader(TwoAccounts(set(range(1, 1000)))).read(["a", "b"], set(), "EUR")
    assert "2 accounts were still changing" in reads.errors[0]


async def test_a_read_that_fails_is_tried_again() -> None:
    ledger = TwoAccounts(failures=3)
    reads = await reader(ledger).read(["a", "b"], set(), "EUR")
    assert (reads.errors, len(reads.accounts)) == ([], 2)


async def test_what_cannot_be_read_within_the_patience_is_an_error() -> None:
    reads = await FinalReader(TwoAccounts(failures=10**9), "http://ledger", 0.05).read(["a"], set(), "EUR")  # type: ignore[arg-type]
    assert "GET /v1/accounts/a: 503" in reads.errors


@pytest.mark.parametrize("gone_after", [0, 3, 4])
async def test_an_account_that_the_ledger_does_not_know_is_absent_and_no_error(gone_after: int) -> None:
    reads = await reader(TwoAccounts(gone={"a"}, gone_after=gone_after)).read(["a", "b"], set(), "EUR")
    assert (reads.errors, reads.absent, list(reads.accounts)) == ([], ["a"], ["b"])


async def test_a_transaction_that_the_ledger_does_not_know_is_absent_even_while_other_reads_fail() -> None:
    ledger = TwoAccounts(gone={"t9"})
    reads = await reader(ledger).read(["a", "b"], {"t9", "t1"}, "EUR")
    assert (reads.errors, reads.transactions) == ([], {"t9": None})


@pytest.mark.parametrize("decided", ["Passed", "Failed"])
async def test_a_proof_that_could_not_decide_is_asked_for_again_and_the_first_that_decides_counts(decided: str) -> None:
    ledger = TwoAccounts(proofs=["Inconclusive", "Inconclusive", decided, "Passed"])
    reads = await reader(ledger).read(["a", "b"], set(), "EUR")
    assert reads.proof == {"result": decided}


async def test_where_no_proof_decides_the_last_one_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final, "PROOF_SECONDS", 0.05)
    reads = await reader(TwoAccounts(proofs=["Inconclusive"])).read(["a", "b"], set(), "EUR")
    assert reads.proof == {"result": "Inconclusive"}


async def test_a_proof_that_is_made_for_somebody_else_is_waited_for() -> None:
    reads = await reader(TwoAccounts(busy=2)).read(["a", "b"], set(), "EUR")
    assert (reads.proof, reads.proof_error) == ({"result": "Passed"}, None)


async def test_where_others_ask_for_proofs_all_the_time_it_is_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(final, "PROOF_SECONDS", 0.05)
    reads = await reader(TwoAccounts(busy=1000)).read(["a", "b"], set(), "EUR")
    assert (reads.proof, reads.proof_error) == (None, "others ask for proofs all the time")
