"""Holdings: who holds which GPU, NIC, slot and key, from the targets and the fleet alone.

Entries say nothing about ownership and are never asked; that is what makes a planted entry
stand out.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.boundary.keys import keys_of
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import nics_of_mask
from gigawatt.ids import FabricId, KeyPoolId, NodeId, SiteId, StoragePoolId

FREE = -1
"""Cluster number of what no target holds."""


@dataclass(frozen=True, slots=True, eq=False)
class Holdings:
    """Ownership, with clusters as positions in ``targets``.

    Fields:
        fleet, targets: what it was derived from.
        nic_of_guid: row of every NIC of the fleet, by GUID.
        cluster_of_nic: cluster that holds each NIC, ``FREE`` for none.
        nics_of_slot: NIC rows of every held slice, by (node, slot).
        slot_holders: (cluster, member) of every held slice, by (node, slot).
        node_holders: (cluster, member) of every held slice of a node.
        whole_holder: cluster that holds all GPUs of a node.
        key_holders: clusters that hold a key, by (key pool, key); more than one is a fault.
    """

    fleet: Fleet
    targets: tuple[ClusterTarget, ...]
    nic_of_guid: dict[int, int]
    cluster_of_nic: list[int]
    nics_of_slot: dict[tuple[NodeId, int], tuple[int, ...]]
    slot_holders: dict[tuple[NodeId, int], tuple[int, Member]]
    node_holders: dict[NodeId, list[tuple[int, Member]]]
    whole_holder: dict[NodeId, int]
    key_holders: dict[tuple[KeyPoolId, int], list[int]]

    def cluster_of_guid(self, guid: int) -> int:
        """Cluster that holds a NIC, ``FREE`` for none or an unknown NIC."""
        nic = self.nic_of_guid.get(guid)
        return FREE if nic is None else self.cluster_of_nic[nic]

    def node_of_guid(self, guid: int) -> NodeId | None:
        """Node that a NIC sits in, None if the fleet does not know the GUID."""
        nic = self.nic_of_guid.get(guid)
        return None if nic is None else self.fleet.node_id(int(self.fleet.nics.node[nic]))

    def clusters_on(self, node_id: NodeId) -> tuple[int, ...]:
        """Clusters that hold any GPU of a node."""
        return tuple(dict.fromkeys(c for c, _ in self.node_holders.get(node_id, ())))

    def of_key(self, pool_class: str, scope: str, key: int) -> list[int]:
        """Clusters that hold a key of the pool ``pool_class/scope``."""
        return self.key_holders.get((KeyPoolId(f"{pool_class}/{scope}"), key), [])

    def of_p_key(self, fabric_id: FabricId, p_key: int) -> list[int]:
        """Clusters that hold a partition."""
        return self.of_key("p_key", fabric_id, p_key)

    def of_vni(self, site_id: SiteId, vni: int) -> list[int]:
        """Clusters that hold an in-band network."""
        return self.of_key("vni", site_id, vni)

    def of_filesystem(self, pool_id: StoragePoolId, filesystem: int) -> list[int]:
        """Clusters that hold a file system."""
        return self.of_key("filesystem", pool_id, filesystem)

    def site_of_node(self, node_id: NodeId) -> SiteId | None:
        """Site of a node, None if the fleet does not know the node."""
        node = self.fleet.nodes.index_of.get(node_id)
        if node is None:
            return None
        return SiteId(self.fleet.sites.ids[int(self.fleet.site_of_node[node])])

    def site_of_storage_pool(self, pool_id: StoragePoolId) -> SiteId | None:
        """Site of a storage pool, None if the fleet does not know the pool."""
        row = self.fleet.storage_pools.index_of.get(pool_id)
        if row is None:
            return None
        return SiteId(self.fleet.sites.ids[int(self.fleet.storage_pools.site[row])])


def slot_of(gpu_mask: int) -> int:
    """Lowest GPU number of a mask (> 0)."""
    return (gpu_mask & -gpu_mask).bit_length() - 1


def hold(fleet: Fleet, targets: Sequence[ClusterTarget]) -> Holdings:
    """Holdings of all targets together.

    Raises:
        UnknownIdError: a target names a node that the fleet does not have.
    """
    holdings = Holdings(
        fleet=fleet,
        targets=tuple(targets),
        nic_of_guid={guid: nic for nic, guid in enumerate(fleet.nics.guid.tolist())},
        cluster_of_nic=[FREE] * len(fleet.nics),
        nics_of_slot={},
        slot_holders={},
        node_holders={},
        whole_holder={},
        key_holders={},
    )
    first_nic = fleet.first_nic_of_node.tolist()
    full_mask = fleet.full_gpu_mask_of_node.tolist()
    for cluster, target in enumerate(holdings.targets):
        for pool_key in keys_of(target):
            holdings.key_holders.setdefault(pool_key, []).append(cluster)
        for member in target.members:
            node = fleet.node_index(member.node_id)
            _hold_member(holdings, cluster, member, node, first_nic[node])
            if member.gpu_mask == full_mask[node]:
                holdings.whole_holder[member.node_id] = cluster
    return holdings


def _hold_member(
    holdings: Holdings, cluster: int, member: Member, node: int, first_nic: int
) -> None:
    """Enter one slice with its NICs."""
    key = (member.node_id, slot_of(member.gpu_mask))
    numbers = nics_of_mask(holdings.fleet.node_type(node), member.gpu_mask)
    rows = tuple(first_nic + number for number in numbers)
    for row in rows:
        holdings.cluster_of_nic[row] = cluster
    holdings.nics_of_slot[key] = rows
    holdings.slot_holders[key] = (cluster, member)
    holdings.node_holders.setdefault(member.node_id, []).append((cluster, member))
