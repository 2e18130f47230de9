"""What each process may say to NATS: as in `chronicle_ledger.events.permissions`, against which a test holds this.

The stream is the second witness beside the ledger. So whoever serves requests, publishes or projects cannot take a
message away: `reconcile` alone can. The names are those of NATS' JetStream API (`$JS.API.…`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

STREAM, DEAD_STREAM, CONSUMER = "CHRONICLE", "CHRONICLE_DEAD", "projector"
SUBJECTS, DEAD_SUBJECT = "chronicle.txn.*", "chronicle.dead"

API = "$JS.API"

PEOPLE = "chronicle"


def inbox(role: str) -> str:
    """Where answers to `role` come; no other role may listen there."""
    return f"_INBOX.{role}"


@dataclass(frozen=True, slots=True)
class Permissions:
    """Subjects that a user may publish to (without those of `deny`) and subscribe to."""

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    deny: tuple[str, ...] = ()


_LOOK = (f"{API}.STREAM.INFO.{STREAM}", f"{API}.STREAM.NAMES")

USERS: Mapping[str, Permissions] = {
    # Reads the stream by consumers of its own, which live in memory and go with it.
    "api": Permissions(
        publish=(
            *_LOOK,
            f"{API}.STREAM.MSG.GET.{STREAM}",
            f"{API}.CONSUMER.CREATE.{STREAM}",
            f"{API}.CONSUMER.INFO.{STREAM}.*",
            f"{API}.CONSUMER.MSG.NEXT.{STREAM}.*",
            f"{API}.CONSUMER.DELETE.{STREAM}.*",
        ),
        subscribe=(f"{inbox('api')}.>",),
        deny=(f"{API}.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}", f"{API}.CONSUMER.DELETE.{STREAM}.{CONSUMER}"),
    ),
    # Makes both streams and lets them grow, hence UPDATE.
    "relay": Permissions(
        publish=(
            SUBJECTS,
            DEAD_SUBJECT,
            *_LOOK,
            f"{API}.STREAM.INFO.{DEAD_STREAM}",
            *(f"{API}.STREAM.{verb}.{stream}" for verb in ("CREATE", "UPDATE") for stream in (STREAM, DEAD_STREAM)),
        ),
        subscribe=(f"{inbox('relay')}.>",),
    ),
    # Its durable consumer, and the letters about what it could not use.
    "projector": Permissions(
        publish=(
            DEAD_SUBJECT,
            *_LOOK,
            f"{API}.CONSUMER.INFO.{STREAM}.{CONSUMER}",
            f"{API}.CONSUMER.DURABLE.CREATE.{STREAM}.{CONSUMER}",
            f"{API}.CONSUMER.MSG.NEXT.{STREAM}.{CONSUMER}",
            f"$JS.ACK.{STREAM}.{CONSUMER}.>",
        ),
        subscribe=(f"{inbox('projector')}.>",),
    ),
    # For people: proof, reconcile, events. It may delete what does not belong.
    PEOPLE: Permissions(
        publish=("chronicle.>", f"{API}.>", "$JS.ACK.>", "$JS.FC.>", "_INBOX.>"),
        subscribe=("chronicle.>", "_INBOX.>"),
    ),
}
