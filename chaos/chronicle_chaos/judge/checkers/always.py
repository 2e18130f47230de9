"""The checks of every scenario: what must hold whatever breaks."""

from __future__ import annotations

from chronicle_chaos.judge.checkers.agreement import Agreement
from chronicle_chaos.judge.checkers.base import Checker
from chronicle_chaos.judge.checkers.conservation import Conservation
from chronicle_chaos.judge.checkers.durability import Durability
from chronicle_chaos.judge.checkers.exactly_once import ExactlyOnce
from chronicle_chaos.judge.checkers.floor import Floor
from chronicle_chaos.judge.checkers.linearizability import Linearizability

ALWAYS: tuple[Checker, ...] = (
    Conservation(), Floor(), Durability(), ExactlyOnce(), Linearizability(), Agreement()
)  # fmt: skip
