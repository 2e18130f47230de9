"""What clients ask for: a seeded stream of transfers, deposits, withdrawals, holds, captures, reads and replays."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

CURRENCY = "XTS"
"""ISO 4217 reserves it for testing."""


@dataclass(frozen=True, slots=True)
class Request:
    """One thing to ask for. `value` is what the history keeps of it; `key` None marks a read."""

    f: str
    method: str
    path: str
    key: str | None
    body: Mapping[str, Any] | None
    value: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Mix:
    """Relative frequencies. Defaults: four of five requests write, as a busy ledger's do."""

    transfer: int = 36
    conditional: int = 6
    deposit: int = 10
    withdrawal: int = 14
    hold: int = 6
    settle: int = 6
    replay: int = 4
    read: int = 18

    def names(self) -> tuple[str, ...]:
        """The operations with their weights spelled out, for a uniform choice."""
        weights = {name: getattr(self, name) for name in self.__slots__}
        return tuple(name for name, weight in weights.items() for _ in range(weight))


@dataclass(slots=True)
class Operations:
    """Draws requests from `rng`, over `accounts`. What it learns from answers (versions, pending holds, finished
    requests to repeat) steers later draws, so a run repeats by seed as far as the answers do."""

    rng: Random
    accounts: tuple[str, ...]
    namespace: str
    mix: Mix = field(default_factory=Mix)
    versions: dict[str, int] = field(default_factory=dict)
    pending_holds: deque[str] = field(default_factory=lambda: deque(maxlen=64))
    finished: deque[Request] = field(default_factory=lambda: deque(maxlen=64))
    _names: tuple[str, ...] = ()
    _count: int = 0

    def __post_init__(self) -> None:
        self._names = self.mix.names()

    def draw(self) -> Request:
        """The next request."""
        name = self.rng.choice(self._names)
        if name == "settle" and not self.pending_holds:
            name = "hold"
        if name == "replay" and not self.finished:
            name = "transfer"
        self._count += 1
        request: Request = getattr(self, f"_{name}")(f"{self.namespace}/{self._count}")
        return request

    def learn(self, request: Request, answer: Mapping[str, Any]) -> None:
        """Take in a successful answer, in the form that the history keeps."""
        for entry in answer.get("entries", ()):
            seen = self.versions.get(entry["account_id"], 0)
            self.versions[entry["account_id"]] = max(seen, entry["version"])
        if request.f == "hold" and (hold := answer.get("hold_id")):
            self.pending_holds.append(hold)
        if request.f in {"transfer", "deposit", "withdrawal"}:
            self.finished.append(request)

    def _amount(self) -> int:
        return self.rng.randint(1, 100)

    def _write(self, f: str, path: str, key: str, body: dict[str, Any], **value: Any) -> Request:
        # The key travels in the metadata too: it is how final reads tell which request made a transaction,
        # without trusting the ledger's own derivation of ids.
        return Request(f, "POST", path, key, {**body, "metadata": {"key": key}}, {**body, **value})

    def _transfer(self, key: str) -> Request:
        source, destination = self.rng.sample(self.accounts, 2)
        body = {"source": source, "destination": destination, "amount": self._amount()}
        return self._write("transfer", "/v1/transfers", key, body)

    def _conditional(self, key: str) -> Request:
        """A transfer that must happen at one version of its source: half of them one that has already passed."""
        source, destination = self.rng.sample(self.accounts, 2)
        stale = self.rng.random() < 0.5
        expected = max(1, self.versions.get(source, 1) - int(stale))
        body = {
            "source": source, "destination": destination, "amount": self._amount(), "expected_version": expected
        }  # fmt: skip
        return self._write("transfer", "/v1/transfers", key, body)

    def _deposit(self, key: str) -> Request:
        account = self.rng.choice(self.accounts)
        return self._write("deposit", f"/v1/accounts/{account}/deposits", key, {"amount": self._amount()},
                           account_id=account)  # fmt: skip

    def _withdrawal(self, key: str) -> Request:
        account = self.rng.choice(self.accounts)
        return self._write("withdrawal", f"/v1/accounts/{account}/withdrawals", key, {"amount": self._amount()},
                           account_id=account)  # fmt: skip

    def _hold(self, key: str) -> Request:
        source, destination = self.rng.sample(self.accounts, 2)
        body = {"account_id": source, "destination_id": destination, "amount": self._amount()}
        return self._write("hold", "/v1/holds", key, body)

    def _settle(self, key: str) -> Request:
        hold = self.pending_holds.popleft()
        if self.rng.random() < 0.6:
            return self._write("capture", f"/v1/holds/{hold}/capture", key, {}, hold_id=hold)
        return self._write("release", f"/v1/holds/{hold}/release", key, {}, hold_id=hold)

    def _replay(self, _: str) -> Request:
        """The same request again, key and all, as a client does that lost the answer."""
        again = self.rng.choice(self.finished)
        return Request("replay", again.method, again.path, again.key, again.body, {**again.value, "of": again.f})

    def _read(self, _: str) -> Request:
        account = self.rng.choice(self.accounts)
        return Request("read", "GET", f"/v1/accounts/{account}", None, None, {"account_id": account})
