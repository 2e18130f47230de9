"""When what happened in one scenario, read from the nemesis' own operations in the history."""

from __future__ import annotations

from dataclasses import dataclass

from chronicle_chaos.record.history import EventType, History

LOAD, STEADY, INJECT, PROVE, HEAL, RECOVERED = "load", "steady", "inject", "prove", "heal", "recovered"
"""The nemesis' operations. `steady` and `recovered` say that steady state was found, and since when it had been."""


@dataclass(frozen=True, slots=True)
class Timeline:
    """Nanoseconds since the run began; None for what never came. `baseline_from` is the end of the warm-up."""

    load_on: int | None
    baseline_from: int | None
    steady: int | None
    inject_asked: int | None
    injected: int | None
    proven: int | None
    heal_asked: int | None
    healed: int | None
    recovered: int | None
    load_off: int | None

    @property
    def recovery_ns(self) -> int | None:
        """From the moment healing was asked for to steady state: what a user waits for after the operator acts."""
        if self.heal_asked is None or self.recovered is None:
            return None
        return self.recovered - self.heal_asked

    def under_fault(self, t_ns: int) -> bool:
        """Whether the fault was shown to be at work and healing had not begun."""
        return self.proven is not None and self.proven <= t_ns and (self.heal_asked is None or t_ns < self.heal_asked)


def timeline(history: History) -> Timeline:
    """Read the moments from the history."""

    def moment(f: str, type: EventType) -> int | None:  # noqa: A002
        event = history.nemesis(f, type)
        return None if event is None else event.t_ns

    steady, recovered = history.nemesis(STEADY), history.nemesis(RECOVERED)
    return Timeline(
        load_on=moment(LOAD, "invoke"),
        baseline_from=None if steady is None else steady.value.get("since_ns"),
        steady=None if steady is None else steady.t_ns,
        inject_asked=moment(INJECT, "invoke"),
        injected=moment(INJECT, "ok"),
        proven=moment(PROVE, "ok"),
        heal_asked=moment(HEAL, "invoke"),
        healed=moment(HEAL, "ok"),
        recovered=None if recovered is None else recovered.value.get("since_ns"),
        load_off=moment(LOAD, "ok"),
    )
