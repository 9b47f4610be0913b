"""Tombstones: entries that shall be absent and were not yet observed gone."""

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import Connection, bindparam, delete, exists, insert, select

from gigawatt.boundary.entries import (
    BmcAccount,
    BmcRoute,
    ComputePort,
    Entry,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.codec import entry_from_json, entry_to_json
from gigawatt.interfaces.store import Tombstone
from gigawatt.store.schema import tombstones

_decoded = lru_cache(maxsize=1 << 14)(entry_from_json)


def _node_of(entry: Entry) -> NodeId | None:
    """The node that an entry names; None if it names none, or only a NIC of one."""
    match entry:
        case NetworkPort() | BmcAccount() | BmcRoute() | HostSlice():
            return entry.node_id
        case _:
            return None


def bury(
    connection: Connection, cluster_id: ClusterId, entries: Sequence[Entry], generation: int
) -> None:
    """Write tombstones; one that is there already gets the new content and generation."""
    rows = {
        (entry.device, entry.key): {
            "cluster_id": cluster_id,
            "device_id": entry.device,
            "entry_key": entry.key,
            "node_id": _node_of(entry),
            "names_nic": isinstance(entry, PartitionMember | ComputePort),
            "entry": entry_to_json(entry),
            "generation": generation,
        }
        for entry in entries
    }
    query = select(tombstones.c.device_id, tombstones.c.entry_key)
    found = connection.execute(query.where(tombstones.c.cluster_id == cluster_id)).all()
    _delete(connection, [(cluster_id, *key) for key in map(tuple, found) if key in rows])
    if rows:
        connection.execute(insert(tombstones), list(rows.values()))


def drop(connection: Connection, keys: Sequence[tuple[DeviceId, str]]) -> None:
    """Remove the tombstones of (device, entry key) pairs, whoever's they are."""
    wanted = set(keys)
    found = connection.execute(
        select(tombstones.c.cluster_id, tombstones.c.device_id, tombstones.c.entry_key)
    )
    _delete(connection, [(c, device, key) for c, device, key in found if (device, key) in wanted])


def _delete(connection: Connection, keys: Sequence[tuple[str, str, str]]) -> None:
    if not keys:
        return
    statement = delete(tombstones).where(
        tombstones.c.cluster_id == bindparam("of_cluster"),
        tombstones.c.device_id == bindparam("on_device"),
        tombstones.c.entry_key == bindparam("with_key"),
    )
    names = ("of_cluster", "on_device", "with_key")
    connection.execute(statement, [dict(zip(names, key, strict=True)) for key in keys])


def has_any(connection: Connection, cluster_id: ClusterId) -> bool:
    """Whether a cluster has a tombstone."""
    query = select(exists().where(tombstones.c.cluster_id == cluster_id))
    return bool(connection.execute(query).scalar_one())


def named_nodes(connection: Connection, cluster_id: ClusterId) -> frozenset[NodeId] | None:
    """Nodes that a cluster's tombstones name; None if one names a NIC, so any node may be meant.

    A store does not know the fleet, so it cannot tell whose NIC a GUID is. A GUID that is left in
    an InfiniBand partition would let the node's next owner into it: all nodes wait then.
    """
    query = select(tombstones.c.node_id, tombstones.c.names_nic).distinct()
    rows = connection.execute(query.where(tombstones.c.cluster_id == cluster_id)).all()
    if any(row.names_nic for row in rows):
        return None
    return frozenset(NodeId(row.node_id) for row in rows if row.node_id is not None)


def all_tombstones(connection: Connection) -> tuple[Tombstone, ...]:
    """Every tombstone, by cluster, device and key."""
    query = select(tombstones).order_by(
        tombstones.c.cluster_id, tombstones.c.device_id, tombstones.c.entry_key
    )
    return tuple(
        Tombstone(ClusterId(row.cluster_id), _decoded(row.entry), row.generation)
        for row in connection.execute(query)
    )
