"""The seam between the engine and whatever breaks things: what an injector promises."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from chronicle_chaos.faults.fault import Choreography

Fidelity = Literal["process", "container", "cluster"]


class InjectionError(Exception):
    """An injector could not do its work; `next_step` tells a person what to do about it."""

    def __init__(self, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.next_step = next_step

    @property
    def passing(self) -> bool:
        """Whether asking again may help."""
        return False


class PreflightError(InjectionError):
    """The fault cannot be injected here and now; nothing was touched."""


class NotApplicable(InjectionError):
    """This cluster has nothing that the fault could hit; `next_step` says what to install to get it."""


class CleanupFailed(InjectionError):
    """A fault could not be undone; `next_step` is the command that a person should run."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One fact about a fault: what was looked at, what was seen, and whether it shows the fault at work."""

    subject: str
    before: str
    after: str
    shows_fault: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """What proves that a fault took effect. No observations, or one that shows nothing, is no proof."""

    observations: tuple[Observation, ...]

    @property
    def proven(self) -> bool:
        """Whether there is at least one observation and every one shows the fault."""
        return bool(self.observations) and all(o.shows_fault for o in self.observations)


@dataclass(frozen=True, slots=True)
class Injection:
    """A fault under way. `targets` are the instances hit; `state` belongs to the fault's module; `experiments` names
    objects that were made elsewhere (Chaos Mesh: kind, name, uid), and grows where the window asks for more of them."""

    fault: Choreography[Any]
    targets: tuple[str, ...]
    state: Mapping[str, Any] = field(default_factory=dict)
    experiments: Sequence[Mapping[str, str]] = ()


class UndoLog(Protocol):
    """Where an injector writes how to undo a step, before it takes the step."""

    def record(self, description: str, undo: Mapping[str, Any]) -> None:
        """Append durably; raises OSError where that is impossible, and then nothing may be injected."""


class Injector(Protocol):
    """How one kind of cluster breaks things. Every method is bounded by the phase's deadline, set by the engine."""

    name: str
    fidelity: Fidelity

    async def preflight(self, fault: Choreography[Any]) -> None:
        """Check that the fault can be done, and sweep what dead runs left.

        Raises NotApplicable where this cluster can never have the fault, PreflightError where it cannot now.
        """

    async def inject(self, fault: Choreography[Any], undo: UndoLog, rng: Random) -> Injection:
        """Begin the fault, after recording its undo. Returns once it was asked for, not once it is proven."""

    async def evidence(self, injection: Injection) -> Evidence:
        """Look for proof that the fault is at work now. Called again until proven or the phase's deadline."""

    async def during(self, injection: Injection, seconds: float) -> Sequence[Observation]:
        """Stay for the fault window (seconds): repeat what must be repeated (crashes, kills), and observe."""

    async def heal(self, injection: Injection) -> None:
        """Undo; safe to call twice, and from a signal handler's task. Raises CleanupFailed with the command to run."""

    async def healed(self, injection: Injection) -> Evidence:
        """Look for proof that nothing of the fault is left (the first probe succeeds again, pods are back)."""
