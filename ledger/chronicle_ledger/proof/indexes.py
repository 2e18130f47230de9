"""What the posting engine looks up instead of reading history: which hold is open, and what has been reversed.

A row changed there is how a hold could be captured, or a transaction reversed, a second time.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from chronicle_ledger.domain.canonical import timestamp
from chronicle_ledger.domain.transaction import HoldState, TransactionKind
from chronicle_ledger.proof.check import Check
from chronicle_ledger.proof.merge import Source, each, in_order
from chronicle_ledger.proof.said import Reversing, Said, Step
from chronicle_ledger.store import audit_indexes
from chronicle_ledger.store.audit_indexes import HoldRow, ReversalRow
from chronicle_ledger.store.guarded import Moment, Unfit
from chronicle_ledger.store.pool import Connection
from chronicle_ledger.store.write import EXPIRY_SHARDS

ENDS = {
    TransactionKind.CAPTURE: HoldState.CAPTURED,
    TransactionKind.RELEASE: HoldState.RELEASED,
    TransactionKind.EXPIRY: HoldState.EXPIRED,
}


class IndexesAudit:
    """Runs the checks of `hold` and `reversal` against what all transactions have `said`."""

    def __init__(self, said: Said) -> None:
        self.holds = Check("holds", "holds", "each hold is as its transactions left it, and ended at most once")
        self.reversals = Check("reversals", "reversals", "what was reversed was reversed once, and is known to be")
        self._said = said

    @property
    def checks(self) -> list[Check]:
        """In the order in which they are shown."""
        return [self.holds, self.reversals]

    async def run(self, conn: Connection) -> None:
        """Walk through both tables, after all transactions were heard."""
        holds = Source(audit_indexes.holds(conn), lambda row: row.id)
        steps = Source(each(self._said.steps()), lambda step: step.hold)
        async for id_ in in_order(holds, steps):
            self._hold(id_, await holds.one(id_), [step async for step in steps.of(id_)])
        rows = Source(audit_indexes.reversals(conn), lambda row: row.reverses)
        reversings = Source(each(self._said.reversings()), lambda reversing: reversing.reverses)
        async for id_ in in_order(rows, reversings):
            self._reversal(id_, await rows.one(id_), [reversing async for reversing in reversings.of(id_)])

    def _hold(self, id_: UUID, row: HoldRow | None, steps: list[Step]) -> None:
        self.holds.compared += 1
        placed = next((step for step in steps if step.kind is TransactionKind.HOLD), None)
        ended = [step for step in steps if step.kind in ENDS]
        if len(ended) > 1:
            self.holds.differ(
                f"hold {id_} was ended {len(ended)} times: by {' and '.join(str(step.transaction) for step in ended)}",
                table="hold", hold_id=id_, transaction_id=ended[-1].transaction,
            )  # fmt: skip
        elif placed is None:
            self.holds.differ(f"hold {id_}: no transaction placed it", table="hold", hold_id=id_)
        elif row is None:
            self.holds.differ(
                f"hold {id_}, placed by the transaction of that id, has no row in the table hold",
                table="hold",
                hold_id=id_,
            )
        else:
            self._compare(row, placed, ended[0] if ended else None)

    def _compare(self, row: HoldRow, placed: Step, ended: Step | None) -> None:
        if ended is not None and ended.held != -placed.held:
            self.holds.differ(
                f"hold {row.id} was placed with {placed.held} and ended by {ended.transaction} with {-ended.held}",
                table="hold", hold_id=row.id, transaction_id=ended.transaction, placed=placed.held, ended=-ended.held,
            )  # fmt: skip
        state = HoldState.PENDING if ended is None else ENDS[ended.kind]
        fields: tuple[tuple[str, Any, Any], ...] = (
            ("state", row.state, state.value),
            ("captured", row.captured, 0 if ended is None else -ended.amount),
            ("amount", row.amount, placed.held),
            ("account_id", row.account_id, placed.account_id),
            ("destination_id", None if row.destination_id is None else str(row.destination_id), placed.destination_id),
            ("expires_at", _time(row.expires_at), placed.expires_at),
            ("expiry_shard", row.expiry_shard, row.id.int % EXPIRY_SHARDS),
        )
        for name, said, truth in fields:
            if said != truth:
                self.holds.differ(
                    f"hold {row.id}: {name} is {said}, its transactions say {truth}",
                    table="hold",
                    hold_id=row.id,
                    field=name,
                )

    def _reversal(self, id_: UUID, row: ReversalRow | None, said: list[Reversing]) -> None:
        self.reversals.compared += 1
        if len(said) > 1:
            self.reversals.differ(
                f"transaction {id_} was reversed {len(said)} times: by"
                f" {' and '.join(str(reversing.transaction) for reversing in said)}",
                table="reversal", transaction_id=id_, reversal=said[-1].transaction,
            )  # fmt: skip
        elif row is None:
            self.reversals.differ(
                f"transaction {said[0].transaction} reverses {id_}, which has no row in the table reversal and so could"
                " be reversed again",
                table="reversal", transaction_id=id_, reversal=said[0].transaction,
            )  # fmt: skip
        elif not said or said[0].transaction != row.txn_id:
            truth = f"{said[0].transaction} did" if said else "no transaction did"
            self.reversals.differ(
                f"the table reversal says that {row.txn_id} reversed transaction {id_}; {truth}",
                table="reversal", transaction_id=id_, reversal=row.txn_id,
            )  # fmt: skip


def _time(moment: Moment | None) -> str | None:
    try:
        if moment is None:
            return None
        return str(moment) if isinstance(moment, Unfit) else timestamp(moment)
    except OverflowError:
        return str(moment)
