"""GPU time held by clusters, as an integral that every change of holdings carries on."""

from sqlalchemy import Connection, case, func, insert, literal, select, update

from gigawatt.ids import ClusterId
from gigawatt.store.schema import allocations
from gigawatt.store.usage_schema import gpu_usages


def settle(connection: Connection, cluster_id: ClusterId, gpu_type: str, now_s: float) -> None:
    """Close the time since the last change of what a cluster holds, and go on with what it holds.

    Called in each transaction that reserves GPUs or lets them go, after it did.
    """
    held = select(func.count()).where(
        allocations.c.cluster_id == cluster_id, allocations.c.state == "held"
    )
    gpu_count, now_ms = int(connection.execute(held).scalar_one()), round(now_s * 1000)
    mine = gpu_usages.c.cluster_id == cluster_id
    row = connection.execute(select(gpu_usages).where(mine)).one_or_none()
    if row is None and gpu_count == 0:
        return  # a file system holds none
    if row is None:
        first = {"cluster_id": cluster_id, "gpu_type": gpu_type, "gpu_ms": 0}
        first |= {"gpu_count": gpu_count, "since_ms": now_ms}
        connection.execute(insert(gpu_usages), first)
        return
    # A clock that is behind another server's must not take back what was counted.
    passed_ms = max(0, now_ms - row.since_ms)
    connection.execute(
        update(gpu_usages)
        .where(mine)
        .values(
            gpu_count=gpu_count,
            since_ms=row.since_ms + passed_ms,
            gpu_ms=row.gpu_ms + row.gpu_count * passed_ms,
        )
    )


def gpu_seconds(connection: Connection, now_s: float) -> dict[str, float]:
    """GPU-seconds that clusters held until ``now_s``, by GPU type."""
    columns, now_ms = gpu_usages.c, round(now_s * 1000)
    passed_ms = literal(now_ms) - columns.since_ms
    under_way = columns.gpu_count * case((passed_ms > 0, passed_ms), else_=0)
    query = select(columns.gpu_type, func.sum(columns.gpu_ms + under_way))
    rows = connection.execute(query.group_by(columns.gpu_type))
    return {gpu_type: int(gpu_ms) / 1000 for gpu_type, gpu_ms in rows}
