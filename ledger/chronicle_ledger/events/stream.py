"""The streams and the durable consumer, as declarations; set-up makes what is missing and never takes anything away."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    AckPolicy,
    ConsumerConfig,
    DeliverPolicy,
    DiscardPolicy,
    PeerInfo,
    RetentionPolicy,
    StorageType,
    StreamConfig,
    StreamInfo,
)
from nats.js.errors import BadRequestError, NotFoundError

from chronicle_ledger import logs
from chronicle_ledger.domain.payload import SHARDS
from chronicle_ledger.events.bus import BusUnavailable

log = logs.get(__name__)

STREAM = "CHRONICLE"
SUBJECTS = "chronicle.txn.*"
DEAD_STREAM = "CHRONICLE_DEAD"
DEAD_SUBJECT = "chronicle.dead"
CONSUMER = "projector"

MAX_MESSAGE = 1 << 20
"""Bytes of one message, headers included, that a stream of ours takes."""

ACK_WAIT_SECONDS = 10.0
"""After this a message that was delivered and not acknowledged (its projector died) is delivered again."""

SILENT_SECONDS = 10.0
"""A copy of which its leader has heard nothing for so long is not kept; one that lives answers each second."""

STREAM_NAME_IN_USE = 10058
SUBJECTS_OVERLAP = 10065


class StreamWouldShrink(Exception):
    """The stream that exists promises more than the declared one. Nothing was changed."""


class SubjectsTaken(BusUnavailable):
    """Another stream takes the subjects of ours, so ours cannot be made. Events wait in the outbox."""


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """What a stream must be. Durations are seconds, sizes bytes; -1 is no limit, `max_age` 0 for ever.

    When a limit is reached the stream refuses new messages instead of dropping old ones: they wait in the outbox.
    The duplicate window bounds how long a message published again (its acknowledgement was lost) is recognised;
    later duplicates are stored and mean nothing, since the projector goes by versions.
    """

    name: str
    subjects: tuple[str, ...]
    replicas: int
    duplicate_window: float = 120.0
    max_bytes: int = -1
    max_age: float = 0.0
    max_message_bytes: int = MAX_MESSAGE

    def config(self) -> StreamConfig:
        """The declaration in JetStream's terms."""
        return StreamConfig(
            name=self.name,
            subjects=list(self.subjects),
            storage=StorageType.FILE,
            retention=RetentionPolicy.LIMITS,
            discard=DiscardPolicy.NEW,
            num_replicas=self.replicas,
            duplicate_window=self.duplicate_window,
            max_bytes=self.max_bytes,
            max_age=self.max_age,
            max_msgs=-1,
            max_msg_size=self.max_message_bytes,
            allow_direct=True,
        )


def transactions(replicas: int) -> StreamSpec:
    """The stream of transactions, with `replicas` copies on file."""
    return StreamSpec(STREAM, (SUBJECTS,), replicas)


def dead_letters(replicas: int) -> StreamSpec:
    """The stream of messages that the projector could not use."""
    return StreamSpec(DEAD_STREAM, (DEAD_SUBJECT,), replicas)


def subject(shard: int) -> str:
    """Where events of an outbox shard go."""
    return f"chronicle.txn.{shard % SHARDS}"


def shrinkage(existing: StreamConfig, spec: StreamSpec) -> list[str]:
    """What `spec` would take away from an existing stream: one line a field, empty when nothing."""
    lost = []
    if existing.storage is not None and existing.storage != StorageType.FILE:
        lost.append(f"storage is {existing.storage}, which cannot be changed to file")
    if (existing.num_replicas or 1) > spec.replicas:
        lost.append(f"replicas: {existing.num_replicas} -> {spec.replicas}")
    if missing := sorted(set(existing.subjects or ()) - set(spec.subjects)):
        lost.append(f"subjects: {', '.join(missing)} would be removed")
    if (existing.duplicate_window or 0) > spec.duplicate_window:
        lost.append(f"duplicate window: {existing.duplicate_window:g} s -> {spec.duplicate_window:g} s")
    limits = (
        ("max_bytes", existing.max_bytes, spec.max_bytes),
        ("max_age", existing.max_age, spec.max_age),
        ("max_msg_size", existing.max_msg_size, spec.max_message_bytes),
    )
    for name, has, wanted in limits:
        # 0 and below mean: no limit.
        if wanted > 0 and (has is None or has <= 0 or has > wanted):
            lost.append(f"{name}: {'unlimited' if not has or has <= 0 else f'{has:g}'} -> {wanted:g}")
    return lost


async def ensure(js: JetStreamContext, spec: StreamSpec) -> StreamInfo:
    """Make the stream, or let an existing one grow to `spec`; running it again changes nothing.

    Raises StreamWouldShrink where an existing stream promises more, SubjectsTaken, and nats-py's errors where JetStream
    cannot answer.
    """
    try:
        info = await js.stream_info(spec.name)
    except NotFoundError:
        try:
            made = await js.add_stream(spec.config())
        except BadRequestError as error:
            if error.err_code == SUBJECTS_OVERLAP:
                raise SubjectsTaken(taken(spec, await takers(js, spec))) from error
            if error.err_code != STREAM_NAME_IN_USE:
                raise
            made = await js.stream_info(spec.name)  # another process was faster
        log.info("stream made", stream=spec.name, replicas=spec.replicas)
        return made
    if lost := shrinkage(info.config, spec):
        raise StreamWouldShrink(
            f"stream {spec.name} exists and would shrink ({'; '.join(lost)}). Nothing was changed: raise"
            " CHRONICLE_NATS_REPLICAS to what the stream has, or change the stream yourself with `nats stream edit`."
        )
    if grows(info.config, spec):
        info = await js.update_stream(spec.config())
        log.info("stream grown", stream=spec.name, replicas=spec.replicas)
    return info


async def trouble(js: JetStreamContext) -> str | None:
    """What stands in the way of the stream of transactions, as JetStream says it; None where it is there and has a
    leader, copies enough and room. Raises BusUnavailable."""
    try:
        info = await js.stream_info(STREAM)
    except NotFoundError:
        return await _missing(js)
    except (NatsError, TimeoutError) as error:
        return (
            f"JetStream does not answer for stream {STREAM} ({_words(error)}): too few of its servers have its data, or"
            " they elect a leader. Where this lasts: `chronicle events restore-stream`"
        )
    if info.cluster is None:
        return None
    copies = info.cluster.replicas or ()
    if not info.cluster.leader:
        away = [peer for peer in copies if not peer.current]
        return f"stream {STREAM} has no leader: too few of its servers are there. {_silent(away)}"
    if away := [peer for peer in copies if peer.offline]:
        return f"stream {STREAM} lacks its copies on {_names(away)}"
    if away := [peer for peer in copies if (peer.active or 0) > SILENT_SECONDS * 1e9]:
        return f"stream {STREAM} lacks its copies on {_names(away)}. {_silent(away)}"
    return None


def _names(peers: Sequence[PeerInfo]) -> str:
    return ", ".join(peer.name or "?" for peer in peers)


def _silent(away: Sequence[PeerInfo]) -> str:
    """A server turns JetStream off when its disk is full, and goes on answering clients; nothing turns it on again."""
    if not away:
        return "Where this lasts: `chronicle events restore-stream`"
    return (
        f"Of {_names(away)} JetStream hears nothing: where that server runs, JetStream is off in it, since its disk was"
        " full. Make room, then restart that server"
    )


async def _missing(js: JetStreamContext) -> str:
    spec = transactions(1)
    with contextlib.suppress(NatsError, TimeoutError):
        if names := await takers(js, spec):
            return taken(spec, names)
    return (
        f"stream {STREAM} does not exist: `chronicle serve relay` makes it within seconds where JetStream can. What it"
        " held before is brought back by `chronicle reconcile`"
    )


def _words(error: BaseException) -> str:
    return str(error).strip() or type(error).__name__


async def takers(js: JetStreamContext, spec: StreamSpec) -> list[str]:
    """The other streams that take one of the subjects of `spec`."""
    found = set()
    for subject_ in spec.subjects:
        request = json.dumps({"subject": subject_}).encode()
        answer = await js._api_request(f"{js._prefix}.STREAM.NAMES", request, timeout=js._timeout)  # noqa: SLF001
        found |= set(answer.get("streams") or ())
    return sorted(found - {spec.name})


def taken(spec: StreamSpec, names: Sequence[str]) -> str:
    """What to say where `names` stand in the place of the stream `spec`."""
    return (
        f"the subjects {', '.join(spec.subjects)} of stream {spec.name} belong to another stream now"
        f" ({', '.join(names) or 'its name is not known'}), so no event can be published: delete that stream, or take"
        f" these subjects from it. Events wait in the outbox, and go on by themselves then"
    )


def grows(existing: StreamConfig, spec: StreamSpec) -> bool:
    """Whether `spec` asks for more than an existing stream has."""
    wanted = spec.config()
    fields = ("num_replicas", "duplicate_window", "max_bytes", "max_msg_size", "discard")
    same = all(_plain(getattr(existing, f)) == _plain(getattr(wanted, f)) for f in fields)
    return not same or set(existing.subjects or ()) != set(spec.subjects) or (existing.max_age or 0) != spec.max_age


def _plain(value: Any) -> Any:
    return getattr(value, "value", value)


async def ensure_all(js: JetStreamContext, replicas: int) -> StreamInfo:
    """Make both streams; return the stream of transactions."""
    await ensure(js, dead_letters(replicas))
    return await ensure(js, transactions(replicas))


class StreamMissing(BusUnavailable):
    """The stream of transactions is not there (yet)."""


async def require(js: JetStreamContext) -> None:
    """Raise StreamMissing or SubjectsTaken where the stream of transactions is not there. The relay makes it."""
    try:
        await js.stream_info(STREAM)
    except NotFoundError:
        if names := await takers(js, transactions(1)):
            raise SubjectsTaken(taken(transactions(1), names)) from None
        raise StreamMissing(f"stream {STREAM} is not there yet; `chronicle serve relay` makes it") from None


async def ensure_consumer(js: JetStreamContext, ack_wait: float = ACK_WAIT_SECONDS, unacknowledged: int = 4000) -> None:
    """Make the projector's durable pull consumer where it is missing; its position is never moved."""
    try:
        await js.consumer_info(STREAM, CONSUMER)
    except NotFoundError:
        config = ConsumerConfig(
            durable_name=CONSUMER,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=ack_wait,
            max_deliver=-1,
            max_ack_pending=unacknowledged,
            filter_subject=SUBJECTS,
        )
        await js.add_consumer(STREAM, config)
        log.info("consumer made", stream=STREAM, consumer=CONSUMER)
