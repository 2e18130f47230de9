"""The history of a run: what every client and the injector did and saw, from which every verdict derives.

The form is Jepsen's: an operation is invoked, and completes `ok` (it happened), `fail` (it definitely did not happen)
or `info` (nobody knows). An operation that never completed is `info` too. Counting `info` as `ok` would report losses
that are none, counting it as `fail` would report surprises that are none.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

import msgspec

from chronicle_chaos.errors import UnreadableRun
from chronicle_chaos.record.clock import RunClock

EventType = Literal["invoke", "ok", "fail", "info"]
Outcome = Literal["ok", "fail", "info"]

NEMESIS = "nemesis"
"""The process that breaks things, as Jepsen calls it."""

WRITES = frozenset({"transfer", "deposit", "withdrawal", "hold", "capture", "release"})
"""The operations that post a transaction. A `replay` repeats one of them and must post nothing."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of `history.jsonl`. `t_ns` and `intended_ns` are nanoseconds since the run began."""

    i: int
    t_ns: int
    scenario: str
    process: str
    type: EventType
    f: str
    key: str | None = None
    value: dict[str, Any] = field(default_factory=dict)
    target: str | None = None
    status: int | None = None
    code: str | None = None
    intended_ns: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Operation:
    """An invocation with its completion.

    `ended_ns` is when the client had an answer or gave up, None where the run ended before. `completed_ns` is the same
    where the outcome is known, and None where it is not: such an operation may take effect at any later time.
    """

    process: str
    f: str
    key: str | None
    target: str | None
    intended_ns: int
    invoked_ns: int
    completed_ns: int | None
    ended_ns: int | None
    outcome: Outcome
    asked: dict[str, Any]
    answered: dict[str, Any]
    status: int | None = None
    code: str | None = None
    error: str | None = None

    @property
    def latency_ns(self) -> int | None:
        """From the intended start, so that a stalled server cannot hide by stalling its clients too."""
        return None if self.ended_ns is None else self.ended_ns - self.intended_ns

    @property
    def sent_again(self) -> bool:
        """Whether it took more than one attempt, by its client or by the load balancer."""
        return bool(self.answered.get("attempts", 1) > 1 or self.answered.get("forwarded_attempts", 1) > 1)

    @property
    def answered_for_good(self) -> bool:
        """Whether the client got an answer that ends its trying: done, or refused with a business reason.

        A refusal after a doubtful attempt is one too, although the outcome stays unknown (`info`).
        """
        if self.outcome == "ok":
            return True
        refused = self.status is not None and 400 <= self.status < 500 and self.status not in {408, 425, 429}
        return refused and self.code != "request_in_progress"


class Recorder:
    """Appends events to a file as they happen, and keeps them. One writer a run; not for several threads."""

    def __init__(self, path: Path | None, clock: RunClock, scenario: str = "") -> None:
        self.clock = clock
        self.scenario = scenario
        self.events: list[Event] = []
        self._file = path.open("ab") if path is not None else None
        self._encoder = msgspec.json.Encoder()
        self._count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; what was recorded stays readable here."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def begin(self, scenario: str) -> None:
        """Start the history of the next scenario; the previous one's events are in the file, no longer in memory."""
        self.scenario = scenario
        self.events = []

    def record(
        self,
        process: str,
        type: EventType,  # noqa: A002 - the name of the field in the file
        f: str,
        *,
        key: str | None = None,
        value: dict[str, Any] | None = None,
        target: str | None = None,
        status: int | None = None,
        code: str | None = None,
        intended_ns: int | None = None,
        error: str | None = None,
    ) -> Event:
        """Append one event, stamped now."""
        event = Event(
            self._count, self.clock.ns(), self.scenario, process, type, f, key, value or {}, target, status, code,
            intended_ns, error,
        )  # fmt: skip
        self._count += 1
        self.events.append(event)
        if self._file is not None:
            self._file.write(self._encoder.encode(event) + b"\n")
            # Nobody else sees the buffer of a process that is killed; the nemesis' lines are few and tell most.
            if process == NEMESIS or self._count % 64 == 0:
                self._file.flush()
        return event

    def history(self) -> History:
        """The events of the current scenario so far."""
        return History(tuple(self.events))


@dataclass(frozen=True)
class History:
    """The events of one scenario in the order of `i`, and what follows from them."""

    events: tuple[Event, ...]

    @cached_property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation of every process, in the order of invocation."""
        return tuple(pair(self.events))

    @cached_property
    def clients(self) -> tuple[Operation, ...]:
        """What clients asked of the ledger: neither the nemesis nor the samples of its health."""
        return tuple(o for o in self.operations if o.process != NEMESIS and o.f not in {"health", "proof"})

    @cached_property
    def writes(self) -> tuple[Operation, ...]:
        """The operations that post a transaction."""
        return tuple(o for o in self.operations if o.f in WRITES)

    @cached_property
    def health(self) -> tuple[Operation, ...]:
        """The samples of `GET /health`, through the load balancer (target `lb`) and of each instance."""
        return tuple(o for o in self.operations if o.f == "health")

    def nemesis(self, f: str, type: EventType = "ok") -> Event | None:  # noqa: A002
        """The last event of the nemesis with this `f` and type, or None."""
        found = [e for e in self.events if e.process == NEMESIS and e.f == f and e.type == type]
        return found[-1] if found else None


def pair(events: Iterable[Event]) -> Iterator[Operation]:
    """Match invocations with completions: a process does one thing at a time, a key tells several apart."""
    pending: dict[tuple[str, str, str | None], Event] = {}
    finished: list[tuple[Event, Event | None]] = []
    for event in events:
        where = (event.process, event.f, event.key)
        if event.type == "invoke":
            pending[where] = event
        elif (invoked := pending.pop(where, None)) is not None:
            finished.append((invoked, event))
    finished.extend((event, None) for event in pending.values())
    for invoked, completed in sorted(finished, key=lambda both: both[0].i):
        yield Operation(
            process=invoked.process,
            f=invoked.f,
            key=invoked.key,
            target=(completed.target if completed else None) or invoked.target,
            intended_ns=invoked.t_ns if invoked.intended_ns is None else invoked.intended_ns,
            invoked_ns=invoked.t_ns,
            completed_ns=completed.t_ns if completed and completed.type != "info" else None,
            ended_ns=completed.t_ns if completed and completed.type != "invoke" else None,
            outcome="info" if completed is None or completed.type == "invoke" else completed.type,
            asked=invoked.value,
            answered=completed.value if completed else {},
            status=completed.status if completed else None,
            code=completed.code if completed else None,
            error=completed.error if completed else "no completion was recorded",
        )


def read_histories(path: Path) -> dict[str, History]:
    """Read `history.jsonl`, by scenario. Raises UnreadableRun where the file is missing or a line is broken.

    A last line without its end is what a killed process leaves; it is dropped.
    """
    decoder = msgspec.json.Decoder(Event)
    by_scenario: dict[str, list[Event]] = {}
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except OSError as error:
        raise UnreadableRun(f"{path} cannot be read ({error.strerror}); is this the folder of a run?") from error
    for number, line in enumerate(lines, 1):
        if not line.endswith(b"\n") and number == len(lines):
            continue
        try:
            event = decoder.decode(line)
        except msgspec.MsgspecError as error:
            raise UnreadableRun(f"{path}, line {number}: {error}; the history was changed or cut") from error
        by_scenario.setdefault(event.scenario, []).append(event)
    return {name: History(tuple(events)) for name, events in by_scenario.items()}
