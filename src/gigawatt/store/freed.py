"""Rows of freed GPUs: what the expected time of a waiting request is computed from."""

from collections.abc import Sequence

from sqlalchemy import Connection, delete, func, insert, select

from gigawatt.boundary.target import ClusterTarget
from gigawatt.intent.forecast import Freed
from gigawatt.interfaces.store import OperationRecord
from gigawatt.planner.plan import OperationKind
from gigawatt.store.queue_schema import freed_gpus
from gigawatt.store.schema import operations

_FREEING = frozenset({OperationKind.RELEASE, OperationKind.SHRINK})
"""Kinds that give back what somebody has used. An undone launch gives back what it just took."""


def note_freed(connection: Connection, operation: OperationRecord, now_s: float) -> None:
    """Note what an operation that is done has given back, if it is of a kind that does."""
    plan = operation.plan
    gpu_count = _gpus_of(plan.before) - _gpus_of(plan.after)
    if operation.kind not in _FREEING or gpu_count <= 0:
        return
    row = {
        "operation_id": operation.operation_id,
        "at_s": now_s,
        "gpu_type": plan.report.gpu_type,
        "gpu_count": gpu_count,
    }
    connection.execute(insert(freed_gpus), row)


def _gpus_of(target: ClusterTarget | None) -> int:
    return sum(member.gpu_mask.bit_count() for member in target.members) if target else 0


def read_freed(connection: Connection, since_s: float) -> tuple[Sequence[Freed], float]:
    """What was freed since then, and when the record began: at the first operation of all."""
    columns = freed_gpus.c
    query = select(columns.at_s, columns.gpu_type, columns.gpu_count).where(columns.at_s >= since_s)
    rows = connection.execute(query.order_by(columns.at_s, columns.operation_id))
    began_s = connection.execute(select(func.min(operations.c.started_s))).scalar_one()
    return [Freed(*row) for row in rows], float(began_s or since_s)


def drop_freed(connection: Connection, before_s: float) -> int:
    """Drop what was freed before then; how many rows."""
    return connection.execute(delete(freed_gpus).where(freed_gpus.c.at_s < before_s)).rowcount
