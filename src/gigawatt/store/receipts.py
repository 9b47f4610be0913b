"""``SqlReceipts``: the receipts of cleaning on the store's own database."""

from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING

from pydantic import TypeAdapter
from sqlalchemy import insert, select

from gigawatt.ids import ClusterId, NodeId
from gigawatt.interfaces.receipts import CleaningReceipt, CleaningStep, Receipts
from gigawatt.store.database import Database
from gigawatt.store.receipts_schema import cleaning_receipts
from gigawatt.store.store import SqlStore


@cache
def _steps() -> TypeAdapter[tuple[CleaningStep, ...]]:
    return TypeAdapter(tuple[CleaningStep, ...])


class SqlReceipts:
    """Receipts; every method is what ``Receipts`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the table."""
        self._database = database

    def keep(self, receipt: CleaningReceipt) -> None:
        """Keep one; nothing to do if it is there."""
        row = {
            "receipt_id": receipt.receipt_id,
            "node_id": receipt.node_id,
            "gpu_mask": receipt.gpu_mask,
            "cluster_id": receipt.cluster_id,
            "ended_s": max((step.ended_s for step in receipt.steps), default=0.0),
            "is_passed": receipt.is_passed,
            "steps": _steps().dump_json(receipt.steps).decode().replace("\\u0000", ""),
        }
        mine = select(cleaning_receipts.c.receipt_id).where(
            cleaning_receipts.c.receipt_id == receipt.receipt_id
        )
        with self._database.write() as connection:
            if connection.execute(mine).one_or_none() is None:
                connection.execute(insert(cleaning_receipts), row)

    def of_node(self, node_id: NodeId, limit: int = 100) -> Sequence[CleaningReceipt]:
        """The newest receipts of a node, the last one first; at most ``limit``."""
        columns = cleaning_receipts.c
        query = (
            select(cleaning_receipts)
            .where(columns.node_id == node_id)
            .order_by(columns.ended_s.desc(), columns.receipt_id.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return tuple(
            CleaningReceipt(
                row.receipt_id,
                NodeId(row.node_id),
                row.gpu_mask,
                ClusterId(row.cluster_id),
                _steps().validate_json(row.steps),
            )
            for row in rows
        )


def open_receipts(store: SqlStore) -> SqlReceipts:
    """The receipts in a store's database."""
    return SqlReceipts(store.database)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Receipts] = SqlReceipts
