"""The target of one cluster: who holds which nodes with which keys. Complete and immutable.

``boundary.render`` turns it into entries; everything a cluster is follows from this value and
the fleet, so it is what is stored, compared and proven.
"""

from dataclasses import dataclass
from typing import Literal

from gigawatt.ids import ClusterId, FabricId, NodeId, SiteId, StoragePoolId, TenantId

Role = Literal["member", "spare"]


@dataclass(frozen=True, slots=True)
class Member:
    """One node (or slice of one) of a cluster.

    Fields:
        node_id: the node.
        gpu_mask: GPUs held, bit i for GPU i; the full mask for a whole node.
        role: "spare" nodes are held, fenced and powered off, ready to replace a member.
        host_index: 0-based, unique in the cluster and kept for life: address and host name.
    """

    node_id: NodeId
    gpu_mask: int
    role: Role
    host_index: int


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys taken from the pools for one cluster; a key is None where the plane needs none.

    Fields:
        p_key: InfiniBand partition, 0x0001 to 0x7FFE.
        compute_vni: VNI on an Ethernet compute fabric.
        vni: VNI of the in-band network, 1 to 2**24 - 1.
        subnet: index of the in-band /20 in 10.0.0.0/8, 0 to 4095.
        filesystem: number of the file system in its pool, >= 1.
    """

    p_key: int | None
    compute_vni: int | None
    vni: int
    subnet: int
    filesystem: int | None


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """One cluster as it shall be.

    Fields: members are in rank order (spares last); site, fabric and pool are where it lives;
    storage_bytes is the quota; the rest is carried over from the request.
    """

    cluster_id: ClusterId
    tenant_id: TenantId
    name: str
    site_id: SiteId
    fabric_id: FabricId
    pool_id: StoragePoolId | None
    members: tuple[Member, ...]
    keys: Keys
    storage_bytes: int
    image: str
    ssh_public_keys: tuple[str, ...]
    egress_cidrs: tuple[str, ...]

    @property
    def active_members(self) -> tuple[Member, ...]:
        """Members in rank order without the spares."""
        return tuple(m for m in self.members if m.role == "member")
