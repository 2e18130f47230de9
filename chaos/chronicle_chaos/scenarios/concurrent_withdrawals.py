"""100 concurrent withdrawals of 10 on a balance of 100, over every API instance at once, round after round."""

from __future__ import annotations

from chronicle_chaos.faults.contention import WithdrawalRounds
from chronicle_chaos.judge.checkers.always import ALWAYS
from chronicle_chaos.judge.checkers.availability import Availability
from chronicle_chaos.judge.checkers.health import HealthSays
from chronicle_chaos.judge.checkers.withdrawals import TenOfHundred
from chronicle_chaos.scenarios.scenario import Scenario

ROUNDS = WithdrawalRounds(rounds=6, clients=100, amount=10, balance=100)

SCENARIO = Scenario(
    name="concurrent-withdrawals",
    title="100 concurrent withdrawals of 10 on a balance of 100",
    claim="exactly 10 succeed, exactly 90 get 409 insufficient_funds, the balance ends at 0 and never was below",
    fault=ROUNDS,
    window=10.0,
    least_window_seconds=3.0,
    least_window_reason="/health is sampled once a second, and is judged while the rounds go on",
    recovery=60.0,
    checks=(
        TenOfHundred(clients=100, accepted=10, rounds=ROUNDS.rounds),
        *ALWAYS,
        Availability(share=0.99, gap=10.0, accepted=1),
        HealthSays(during=frozenset({"ok"}), within=0.0),
    ),
)
