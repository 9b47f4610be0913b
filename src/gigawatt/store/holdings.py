"""What clusters hold: GPUs of nodes, and keys.

A holding is "held" while its cluster's target names it. When the target lets it go it is free
(a key cools first), unless a tombstone may still name it: then it waits in state "tombstone"
until that tombstone is observed gone.
"""

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.boundary.keys import COOL_DOWN_S, keys_of
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import ConflictError
from gigawatt.fleet.slices import gpus_in_mask
from gigawatt.ids import ClusterId, KeyPoolId, NodeId
from gigawatt.interfaces.store import HeldKey
from gigawatt.store import tombstones
from gigawatt.store.nodes import unavailable_nodes
from gigawatt.store.schema import allocations, held_keys

KeyState = Literal["held", "tombstone", "cooling"]
Gpu = tuple[str, int]
Key = tuple[str, int]


def _gpus_of(target: ClusterTarget | None) -> set[Gpu]:
    members = () if target is None else target.members
    return {(m.node_id, gpu) for m in members for gpu in gpus_in_mask(m.gpu_mask)}


def _keys_of(target: ClusterTarget | None) -> set[Key]:
    return set() if target is None else set(keys_of(target))


def _held_gpus(connection: Connection, cluster_id: ClusterId, state: str) -> set[Gpu]:
    query = select(allocations.c.node_id, allocations.c.gpu).where(
        allocations.c.cluster_id == cluster_id, allocations.c.state == state
    )
    return {(row.node_id, row.gpu) for row in connection.execute(query)}


def _held_keys(connection: Connection, cluster_id: ClusterId) -> set[Key]:
    query = select(held_keys.c.pool_id, held_keys.c.value).where(
        held_keys.c.cluster_id == cluster_id, held_keys.c.state == "held"
    )
    return {(row.pool_id, row.value) for row in connection.execute(query)}


def reserve(
    connection: Connection, cluster_id: ClusterId, target: ClusterTarget | None, now_s: float
) -> None:
    """Take for a cluster what its target needs and it does not hold; nothing is let go.

    Raises:
        ConflictError: a node, GPU or key of it is not free.
    """
    gpus = sorted(_gpus_of(target) - _held_gpus(connection, cluster_id, "held"))
    keys = sorted(_keys_of(target) - _held_keys(connection, cluster_id))
    blocked = unavailable_nodes(connection, {node_id for node_id, _ in gpus})
    if blocked:
        node_id, (state, reason) = next(iter(blocked.items()))
        raise ConflictError(
            f"node {node_id!r} is {state} ({reason}), one of {len(blocked)} that the plan needs"
        )
    cooled = held_keys.c.state == "cooling", held_keys.c.free_at_s <= now_s
    connection.execute(delete(held_keys).where(*cooled))
    try:
        _insert(connection, cluster_id, gpus, keys)
    except IntegrityError as error:
        raise ConflictError(
            f"a GPU or key that the plan of cluster {cluster_id!r} needs is not free"
        ) from error


def _insert(
    connection: Connection, cluster_id: ClusterId, gpus: list[Gpu], keys: list[Key]
) -> None:
    common = {"cluster_id": cluster_id, "state": "held"}
    if gpus:
        rows = [{"node_id": node_id, "gpu": gpu, **common} for node_id, gpu in gpus]
        connection.execute(insert(allocations), rows)
    if keys:
        rows = [{"pool_id": pool_id, "value": value, **common} for pool_id, value in keys]
        connection.execute(insert(held_keys), rows)


def let_go(
    connection: Connection, cluster_id: ClusterId, target: ClusterTarget | None, now_s: float
) -> None:
    """Let go of what a cluster holds and its target, now true, does not name."""
    gpus = _held_gpus(connection, cluster_id, "held") - _gpus_of(target)
    if gpus:
        named = tombstones.named_nodes(connection, cluster_id)
        waiting = {gpu for gpu in gpus if named is None or gpu[0] in named}
        _set_waiting(connection, waiting)
        _free_gpus(connection, gpus - waiting)
    keys = _held_keys(connection, cluster_id) - _keys_of(target)
    if keys:
        is_waiting = tombstones.has_any(connection, cluster_id)
        _move_keys(connection, keys, None if is_waiting else now_s + COOL_DOWN_S)


def release_observed(connection: Connection, now_s: float) -> None:
    """Let go of holdings whose tombstones are gone."""
    waiting = select(allocations.c.cluster_id).where(allocations.c.state == "tombstone")
    for cluster_id in connection.execute(waiting.distinct()).scalars().all():
        gpus = _held_gpus(connection, cluster_id, "tombstone")
        named = tombstones.named_nodes(connection, cluster_id)
        if named is not None:
            _free_gpus(connection, {gpu for gpu in gpus if gpu[0] not in named})
    waiting = select(held_keys.c.cluster_id).where(held_keys.c.state == "tombstone")
    for cluster_id in connection.execute(waiting.distinct()).scalars().all():
        if not tombstones.has_any(connection, cluster_id):
            connection.execute(
                update(held_keys)
                .where(held_keys.c.cluster_id == cluster_id, held_keys.c.state == "tombstone")
                .values(state="cooling", free_at_s=now_s + COOL_DOWN_S)
            )


_ONE_GPU = allocations.c.node_id == bindparam("of_node"), allocations.c.gpu == bindparam("one_gpu")
_ONE_KEY = held_keys.c.pool_id == bindparam("of_pool"), held_keys.c.value == bindparam("one_value")


def _gpu_rows(gpus: Iterable[Gpu]) -> list[dict[str, str | int]]:
    return [{"of_node": node_id, "one_gpu": gpu} for node_id, gpu in sorted(gpus)]


def _free_gpus(connection: Connection, gpus: set[Gpu]) -> None:
    if gpus:
        connection.execute(delete(allocations).where(*_ONE_GPU), _gpu_rows(gpus))


def _set_waiting(connection: Connection, gpus: set[Gpu]) -> None:
    if gpus:
        statement = update(allocations).where(*_ONE_GPU).values(state="tombstone")
        connection.execute(statement, _gpu_rows(gpus))


def _move_keys(connection: Connection, keys: set[Key], free_at_s: float | None) -> None:
    """Put keys under a tombstone, or to cool until ``free_at_s``."""
    state = "tombstone" if free_at_s is None else "cooling"
    rows = [{"of_pool": pool_id, "one_value": value} for pool_id, value in sorted(keys)]
    statement = update(held_keys).where(*_ONE_KEY).values(state=state, free_at_s=free_at_s)
    connection.execute(statement, rows)


def masks(connection: Connection) -> Mapping[tuple[NodeId, ClusterId], int]:
    """GPU mask held, by node and cluster, tombstones included."""
    mask = func.sum(literal(1).op("<<")(allocations.c.gpu))
    query = select(allocations.c.node_id, allocations.c.cluster_id, mask).group_by(
        allocations.c.node_id, allocations.c.cluster_id
    )
    return {
        (NodeId(node_id), ClusterId(cluster_id)): int(bits)
        for node_id, cluster_id, bits in connection.execute(query).all()
    }


def keys_not_free(connection: Connection, now_s: float) -> tuple[HeldKey, ...]:
    """Keys that are held, under a tombstone or still cooling at ``now_s``, by pool and value."""
    columns = held_keys.c
    query = (
        select(columns.pool_id, columns.value, columns.cluster_id, columns.state, columns.free_at_s)
        .where((columns.state != "cooling") | (columns.free_at_s > now_s))
        .order_by(columns.pool_id, columns.value)
    )
    return tuple(_held_key(*row) for row in connection.execute(query).all())


@lru_cache(maxsize=1 << 14)
def _held_key(
    pool_id: str, value: int, cluster_id: str, state: KeyState, free_at_s: float | None
) -> HeldKey:
    """Values that never change may be shared: most keys are the same in the next snapshot."""
    return HeldKey(KeyPoolId(pool_id), value, ClusterId(cluster_id), state, free_at_s)
