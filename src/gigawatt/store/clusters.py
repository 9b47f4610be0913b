"""Rows of clusters: read, found by name, and moved from phase to phase."""

from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Row, Select, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.ids import ClusterId, TenantId
from gigawatt.interfaces.codec import target_from_json, target_to_json
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner.phases import ENDED, Phase, next_phase
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.store.schema import allocations, clusters, held_keys, tombstones

_decoded = lru_cache(maxsize=1 << 10)(target_from_json)
"""Targets are immutable, so equal text may share one value."""


@lru_cache(maxsize=1 << 12)
def record_of(row: Row[Any]) -> ClusterRecord:
    """The record of a row of the table."""
    return ClusterRecord(
        cluster_id=ClusterId(row.cluster_id),
        tenant_id=TenantId(row.tenant_id),
        name=row.name,
        phase=Phase(row.phase),
        phase_reason=row.phase_reason,
        phase_since_s=row.phase_since_s,
        version=row.version,
        target=None if row.target is None else _decoded(row.target),
        created_s=row.created_s,
        is_file_system=row.is_file_system,
    )


def _newest_first() -> Select[tuple[object, ...]]:
    return select(clusters).order_by(clusters.c.created_generation.desc())


def all_clusters(connection: Connection) -> tuple[ClusterRecord, ...]:
    """All clusters, newest first, without file systems."""
    query = _newest_first().where(~clusters.c.is_file_system)
    return tuple(record_of(row) for row in connection.execute(query))


def holders(connection: Connection) -> tuple[ClusterRecord, ...]:
    """Clusters and file systems that hold anything: live ones, and those that tombstones bind."""
    bound = (
        select(allocations.c.cluster_id)
        .union(
            select(held_keys.c.cluster_id).where(held_keys.c.state != "cooling"),
            select(tombstones.c.cluster_id),
        )
        .scalar_subquery()
    )
    query = _newest_first().where(~clusters.c.is_ended | clusters.c.cluster_id.in_(bound))
    return tuple(record_of(row) for row in connection.execute(query).all())


def get(connection: Connection, cluster_id: ClusterId) -> ClusterRecord:
    """One cluster or file system.

    Raises:
        UnknownIdError: no such cluster.
    """
    query = select(clusters).where(clusters.c.cluster_id == cluster_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no cluster {cluster_id!r}")
    return record_of(row)


def find(connection: Connection, tenant_id: TenantId | None, name: str) -> ClusterRecord:
    """The live cluster of a name, else the newest ended one; see ``Store.find_cluster``.

    Raises:
        UnknownIdError: no such cluster, or several tenants have one and none was named.
    """
    query = _newest_first().where(clusters.c.name == name, ~clusters.c.is_file_system)
    if tenant_id is not None:
        query = query.where(clusters.c.tenant_id == tenant_id)
    found = [record_of(row) for row in connection.execute(query)]
    candidates = [cluster for cluster in found if cluster.phase not in ENDED] or found
    tenants = sorted({cluster.tenant_id for cluster in candidates})
    if not candidates:
        whose = "" if tenant_id is None else f" of tenant {tenant_id!r}"
        raise UnknownIdError(f"no cluster {name!r}{whose}")
    if len(tenants) > 1:
        raise UnknownIdError(
            f"{len(tenants)} tenants have a cluster {name!r}: {', '.join(tenants)}",
            next_step=f"Name the tenant: --tenant {tenants[0]}.",
        )
    return candidates[0]


def open_for(connection: Connection, plan: Plan, generation: int, now_s: float) -> None:
    """Write what committing a plan does to its cluster's row.

    Raises:
        ConflictError: the cluster is not as the plan found it, or the name is taken.
        UnknownIdError: the plan changes a cluster that never was.
    """
    if plan.kind is OperationKind.LAUNCH:
        _create(connection, plan, generation, now_s)
        return
    cluster = get(connection, plan.cluster_id)
    if cluster.target != plan.before:
        raise ConflictError(f"cluster {plan.cluster_id!r} is not what the plan was made from")
    target = plan.before if plan.kind is OperationKind.RELEASE else plan.after
    move(connection, cluster, (plan.kind, "committed", ""), target, now_s)


def _create(connection: Connection, plan: Plan, generation: int, now_s: float) -> None:
    phase = next_phase(None, plan.kind, "committed")
    assert phase is not None, "a launch opens a cluster"
    assert plan.after is not None, "a launch has a target"
    row = {
        "cluster_id": plan.cluster_id,
        "tenant_id": plan.tenant_id,
        "name": plan.after.name,
        "phase": phase.value,
        "phase_reason": "launch committed",
        "phase_since_s": now_s,
        "is_ended": False,
        "version": 1,
        "target": target_to_json(plan.after),
        "created_s": now_s,
        "created_generation": generation,
        "is_file_system": plan.after.is_file_system,
    }
    what = "file system" if plan.after.is_file_system else "cluster"
    try:
        connection.execute(insert(clusters), row)
    except IntegrityError as error:
        raise ConflictError(
            f"tenant {plan.tenant_id!r} has a {what} {plan.after.name!r} already,"
            f" or {what} {plan.cluster_id!r} was launched before",
            next_step=f"Choose another name, or release that {what} first.",
        ) from error


def move(
    connection: Connection,
    cluster: ClusterRecord,
    event: tuple[OperationKind, str, str],
    target: ClusterTarget | None,
    now_s: float,
) -> None:
    """Write target and phase of a cluster after an event (kind, event, reason).

    Raises:
        ConflictError: the phases do not allow it.
    """
    kind, happened, reason = event
    phase = next_phase(cluster.phase, kind, happened)
    said = f"{kind.value} {happened}"
    if phase is None:
        raise ConflictError(
            f"cluster {cluster.cluster_id!r} is {cluster.phase.value}: {said!r} cannot follow"
        )
    connection.execute(
        update(clusters)
        .where(clusters.c.cluster_id == cluster.cluster_id)
        .values(
            phase=phase.value,
            phase_reason=f"{said}: {reason}" if reason else said,
            phase_since_s=cluster.phase_since_s if phase is cluster.phase else now_s,
            is_ended=phase in ENDED,
            version=cluster.version + 1,
            target=None if target is None else target_to_json(target),
        )
    )


def retarget(connection: Connection, cluster_id: ClusterId, target: ClusterTarget) -> None:
    """Write a new target of a cluster whose phase stays."""
    connection.execute(
        update(clusters)
        .where(clusters.c.cluster_id == cluster_id)
        .values(target=target_to_json(target), version=clusters.c.version + 1)
    )
