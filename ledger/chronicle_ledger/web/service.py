"""What handlers work with, put together once at start and passed along with each request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from chronicle_ledger.health.health import Health
from chronicle_ledger.health.readiness import Readiness
from chronicle_ledger.posting.service import PostingService
from chronicle_ledger.process import Lifecycle
from chronicle_ledger.proof.reader import EventsReader
from chronicle_ledger.settings import Settings
from chronicle_ledger.store.pool import Database
from chronicle_ledger.web.access import Keyring
from chronicle_ledger.web.stream import Streams


@dataclass(frozen=True, slots=True)
class Service:
    """The parts of a running API. `now` gives the current time in UTC; `keyring` is None where access is open."""

    settings: Settings
    database: Database
    posting: PostingService
    health: Health
    lifecycle: Lifecycle
    readiness: Readiness
    keyring: Keyring | None
    now: Callable[[], datetime]
    events: EventsReader
    streams: Streams
