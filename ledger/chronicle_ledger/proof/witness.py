"""What the stream and the outbox hold, indexed by transaction on disk: a stream of any length in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.events.event import Unreadable, decode
from chronicle_ledger.scratch import Scratch
from chronicle_ledger.store.guarded import Moment, Unfit


def digest(payload: bytes) -> bytes:
    """What stands for a message: half of its SHA-256 (a collision would need 2^64 messages)."""
    return hashlib.sha256(payload).digest()[:16]


def stamp(payload: bytes, created_at: Moment) -> bytes:
    """What stands for a row of the outbox: its payload and the time beside it."""
    try:
        at = str(created_at) if isinstance(created_at, Unfit) else timestamp(created_at)
    except OverflowError:
        at = str(created_at)
    return digest(payload + b"\n" + at.encode())


class Waiting(NamedTuple):
    """A row of the outbox. `event` is the digest of its payload where that is an event of the transaction."""

    shard: int
    stamp: bytes
    event: bytes | None


@dataclass(frozen=True, slots=True)
class Testimony:
    """What is known of one transaction outside the ledger: `digest` and `sequence` of its first message in the stream
    (None where it has none), and its rows in the outbox, each with its shard."""

    id: UUID
    digest: bytes | None
    sequence: int | None
    copies: int
    same: bool
    """Whether all its messages are equal."""
    waiting: tuple[Waiting, ...] = ()
    """Its rows in the outbox: one, unless somebody wrote there."""


def _speaks_of(data: bytes, transaction: UUID) -> bool:
    try:
        return decode(data).id == transaction
    except Unreadable:
        return False


class Witness(Scratch):
    """The index; use as a context manager."""

    def __init__(self) -> None:
        super().__init__(
            "message (id BLOB PRIMARY KEY, digest BLOB, sequence INTEGER, copies INTEGER NOT NULL,"
            " same INTEGER NOT NULL) WITHOUT ROWID",
            "again (id BLOB, sequence INTEGER, digest BLOB, PRIMARY KEY (id, sequence))",
            "waiting (id BLOB, shard INTEGER, stamp BLOB, event BLOB, PRIMARY KEY (id, shard))",
            "unreadable (sequence INTEGER PRIMARY KEY, reason TEXT NOT NULL)",
        )
        self.messages = 0
        self.last_sequence = 0

    def hear_outbox(self, batch: Iterable[tuple[int, UUID, str, Moment]]) -> None:
        """Take rows of the outbox (shard, transaction id, payload, time), before any message of the stream.

        What a row says is compared whole, so it need not be readable: it is the event of its key's id or it is not. One
        that is readable is a witness, though.
        """
        self._db.execute("BEGIN")
        for shard, transaction, payload, created_at in batch:
            self._db.execute("INSERT OR IGNORE INTO message VALUES (?, NULL, NULL, 0, 1)", (transaction.bytes,))
            data = payload.encode()
            event = digest(data) if _speaks_of(data, transaction) else None
            self._db.execute(
                "INSERT INTO waiting VALUES (?, ?, ?, ?)", (transaction.bytes, shard, stamp(data, created_at), event)
            )
        self._db.execute("COMMIT")

    def hear(self, batch: Iterable[tuple[int, bytes]]) -> None:
        """Take messages of the stream (sequence, payload)."""
        self._db.execute("BEGIN")
        for sequence, payload in batch:
            self.messages += 1
            self.last_sequence = max(self.last_sequence, sequence)
            try:
                event = decode(payload)
            except Unreadable as reason:
                self._db.execute("INSERT INTO unreadable VALUES (?, ?)", (sequence, str(reason)))
                continue
            known = self._db.execute("SELECT sequence FROM message WHERE id = ?", (event.id.bytes,)).fetchone()
            said = digest(payload)
            if known is None or known[0] is None:
                # An event may be in the outbox and in the stream: published, and its row not deleted yet.
                self._db.execute(
                    "INSERT OR REPLACE INTO message VALUES (?, ?, ?, 1, 1)", (event.id.bytes, said, sequence)
                )
                continue
            self._db.execute(
                "UPDATE message SET copies = copies + 1, same = same AND digest = ? WHERE id = ?",
                (said, event.id.bytes),
            )
            self._db.execute("INSERT OR IGNORE INTO again VALUES (?, ?, ?)", (event.id.bytes, sequence, said))
        self._db.execute("COMMIT")

    def between(self, after: UUID | None, last: UUID | None) -> Iterator[Testimony]:
        """What is known of transactions with ids in (after, last], in order; None is no bound."""
        first = b"" if after is None else after.bytes
        bound = last.bytes if last is not None else b"\xff" * 17
        waiting: dict[bytes, list[Waiting]] = {}
        for id_, *row in self._db.execute(
            "SELECT id, shard, stamp, event FROM waiting WHERE id > ? AND id <= ? ORDER BY id, shard", (first, bound)
        ):
            waiting.setdefault(id_, []).append(Waiting(*row))
        for row in self._db.execute(
            "SELECT id, digest, sequence, copies, same FROM message WHERE id > ? AND id <= ? ORDER BY id",
            (first, bound),
        ):
            yield Testimony(UUID(bytes=row[0]), row[1], row[2], row[3], bool(row[4]), tuple(waiting.get(row[0], ())))

    def disagreeing(self, testimony: Testimony, truth: bytes | None) -> list[int]:
        """The stream sequences of the messages on a transaction whose digest is not `truth` (None: all of them)."""
        copies = list(self._db.execute("SELECT sequence, digest FROM again WHERE id = ?", (testimony.id.bytes,)))
        if testimony.sequence is not None:
            copies.append((testimony.sequence, testimony.digest))
        return sorted(sequence for sequence, said in copies if said != truth)

    def agreeing(self, testimony: Testimony, truth: bytes) -> bool:
        """Whether any message on a transaction has the digest `truth`."""
        if testimony.digest == truth:
            return True
        found = self._db.execute(
            "SELECT 1 FROM again WHERE id = ? AND digest = ? LIMIT 1", (testimony.id.bytes, truth)
        ).fetchone()
        return found is not None

    def sequence_of(self, transaction: UUID) -> int | None:
        """Where in the stream a transaction is, if it is."""
        row = self._db.execute("SELECT sequence FROM message WHERE id = ?", (transaction.bytes,)).fetchone()
        return None if row is None else row[0]

    def unreadable(self) -> Iterator[tuple[int, str]]:
        """The messages that are no events: (sequence, reason)."""
        yield from self._db.execute("SELECT sequence, reason FROM unreadable ORDER BY sequence")

    def counts(self) -> dict[str, int]:
        """How many transactions are in the stream, how many only in the outbox, how many messages repeat others."""
        row = self._db.execute(
            "SELECT COUNT(sequence), COUNT(*) - COUNT(sequence), COALESCE(SUM(MAX(copies - 1, 0)), 0) FROM message"
        ).fetchone()
        return {"in_stream": row[0], "only_in_outbox": row[1], "repeated": row[2]}
