"""Tombstones: entries that shall be absent and were not yet observed gone."""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from sqlalchemy import Connection, bindparam, delete, exists, insert, select

from gigawatt.boundary.entries import (
    BmcAccount,
    BmcRoute,
    ComputePort,
    Entry,
    Export,
    FileSystem,
    Gateway,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.codec import entry_from_json, entry_to_json
from gigawatt.interfaces.store import Tombstone
from gigawatt.store.schema import tombstones

_decoded = lru_cache(maxsize=1 << 14)(entry_from_json)


def _named(entry: Entry) -> tuple[NodeId | None, bool]:
    """The node that an entry names, and whether it names a NIC, which is of a node unknown here."""
    match entry:
        case NetworkPort() | BmcAccount() | BmcRoute() | HostSlice():
            return entry.node_id, False
        case PartitionMember() | ComputePort():
            return None, True
        case Gateway() | FileSystem() | Export():
            return None, False


def bury(
    connection: Connection, cluster_id: ClusterId, entries: Sequence[Entry], generation: int
) -> None:
    """Write tombstones; one that is there already gets the new content and generation."""
    rows = {}
    for entry in entries:
        node_id, names_nic = _named(entry)
        rows[entry.device, entry.key] = {
            "cluster_id": cluster_id,
            "device_id": entry.device,
            "entry_key": entry.key,
            "node_id": node_id,
            "names_nic": names_nic,
            "entry": entry_to_json(entry),
            "generation": generation,
        }
    if rows and has_any(connection, cluster_id):
        mine = delete(tombstones).where(tombstones.c.cluster_id == cluster_id, *_ONE_ENTRY)
        connection.execute(mine, _entry_rows(rows))
    if rows:
        connection.execute(insert(tombstones), list(rows.values()))


def drop(connection: Connection, keys: Sequence[tuple[DeviceId, str]]) -> None:
    """Remove the tombstones of (device, entry key) pairs, of every cluster."""
    if keys:
        connection.execute(delete(tombstones).where(*_ONE_ENTRY), _entry_rows(keys))


_ONE_ENTRY = (
    tombstones.c.device_id == bindparam("on_device"),
    tombstones.c.entry_key == bindparam("with_key"),
)


def _entry_rows(keys: Iterable[tuple[DeviceId, str]]) -> list[dict[str, str]]:
    return [{"on_device": device, "with_key": key} for device, key in keys]


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
        for row in connection.execute(query).all()
    )
