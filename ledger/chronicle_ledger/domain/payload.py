"""The message of a transaction: what the outbox stores and the stream carries, byte for byte."""

from __future__ import annotations

from chronicle_ledger.domain.canonical import canonical_json, json_string, timestamp
from chronicle_ledger.domain.transaction import Transaction

SCHEMA = 1
SHARDS = 16
"""The outbox and its subjects are cut into this many shards."""


def shard_of(transaction: Transaction) -> int:
    """The outbox shard, 0 to 15, that a transaction's id decides."""
    return transaction.id.int % SHARDS


def payload_of(transaction: Transaction) -> str:
    """The message as JSON. Made again from stored rows it is the same text, so a lost one can be sent again."""
    entries = ",".join(
        [
            f'{{"account_id":"{e.account_id}","currency":{json_string(e.currency)},"version":{e.version},'
            f'"amount":{e.amount},"held":{e.held},"balance_after":{e.balance_after},"held_after":{e.held_after}}}'
            for e in transaction.entries
        ]
    )
    reverses = "null" if transaction.reverses is None else f'"{transaction.reverses}"'
    # Left out of what was posted before subjects were recorded: made again, that message must be the same text.
    subject = "" if transaction.posted_by is None else f'"posted_by":{json_string(transaction.posted_by)},'
    hold_id = "null" if transaction.hold_id is None else f'"{transaction.hold_id}"'
    return (
        f'{{"schema":{SCHEMA},"id":"{transaction.id}","kind":"{transaction.kind.value}",'
        f'"posted_at":"{timestamp(transaction.posted_at)}","effective_at":"{timestamp(transaction.effective_at)}",'
        f'{subject}"metadata":{canonical_json(transaction.metadata)},"details":{canonical_json(transaction.details)},'
        f'"reverses":{reverses},"hold_id":{hold_id},"hash":"{transaction.hash.hex()}",'
        f'"fingerprint":"{transaction.fingerprint.hex()}","entries":[{entries}]}}'
    )
