"""The target of one cluster: who holds which nodes with which keys. Complete and immutable.

``boundary.render`` turns it into entries; everything a cluster is follows from this value and
the fleet, so it is what is stored, compared and proven.

A file system that outlives clusters is a target too: one that holds a file system key and no
node, no network and no fabric (ADR-0025).
"""

from dataclasses import dataclass
from typing import Literal

from gigawatt.ids import (
    ClusterId,
    FabricId,
    FileSystemId,
    FirewallRulesetId,
    NodeId,
    ReservationId,
    SiteId,
    StoragePoolId,
    TenantId,
)
from gigawatt.intent.firewall import InboundRule
from gigawatt.intent.term import Term

Role = Literal["member", "spare"]


@dataclass(frozen=True, slots=True)
class Member:
    """One node (or slice of one) of a cluster.

    Fields:
        node_id: the node.
        gpu_mask: GPUs held, bit i for GPU i; the full mask for a whole node.
        role: "spare" nodes are held, fenced and powered off, ready to replace a member.
        host_index: 0-based, unique in the cluster and kept for life: address and host name.
        term: how its GPUs are held.
        price_micro_usd_per_gpu_hour: what each of them costs for as long as the member stays;
            None for one that joined before prices were bound: the fleet's list price.
    """

    node_id: NodeId
    gpu_mask: int
    role: Role
    host_index: int
    term: Term = Term.ON_DEMAND
    price_micro_usd_per_gpu_hour: int | None = None


@dataclass(frozen=True, slots=True)
class Keys:
    """Keys taken from the pools for one cluster; a key is None where the plane needs none.

    Fields:
        p_key: InfiniBand partition, 0x0001 to 0x7FFE.
        compute_vni: VNI on an Ethernet compute fabric.
        vni: VNI of the in-band network, 1 to 2**24 - 1; None for a file system.
        subnet: index of the in-band /20 in 10.0.0.0/8, 0 to 4095; None for a file system.
        filesystem: number of the file system in its pool, >= 1.
    """

    p_key: int | None
    compute_vni: int | None
    vni: int | None
    subnet: int | None
    filesystem: int | None


@dataclass(frozen=True, slots=True)
class Mount:
    """A file system of the same tenant that a cluster mounts for life.

    Fields:
        file_system_id: the holder of the file system.
        pool_id, filesystem: the storage pool that it is in, and its key there.
        mount_point: path on every host.
    """

    file_system_id: FileSystemId
    pool_id: StoragePoolId
    filesystem: int
    mount_point: str


@dataclass(frozen=True, slots=True)
class ClusterTarget:
    """One cluster as it shall be, or one file system.

    Fields: members are in rank order (spares last); site, fabric and pool are where it lives;
    storage_bytes is the quota; the rest is carried over from the request. A file system has its
    own id as ``cluster_id``, an empty fabric, no members, and nothing of what hosts need.
    Members may have joined on other terms than ``term``, which is what the cluster was launched on.
    ``is_lent``: its tenant was told that its nodes are asked back when who they are promised to
    wants them; ``gpu_count_min``: GPUs without which it is of no use to its tenant.
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
    mounts: tuple[Mount, ...] = ()
    firewall_ruleset_ids: tuple[FirewallRulesetId, ...] = ()
    inbound_rules: tuple[InboundRule, ...] = ()
    term: Term = Term.ON_DEMAND
    price_micro_usd_per_gpu_hour_max: int | None = None
    reservation_id: ReservationId | None = None
    is_lent: bool = False
    gpu_count_min: int = 0

    @property
    def is_file_system(self) -> bool:
        """Whether it is a file system that stands alone: it has no network for hosts to be in."""
        return self.keys.vni is None

    @property
    def active_members(self) -> tuple[Member, ...]:
        """Members in rank order without the spares."""
        return tuple(m for m in self.members if m.role == "member")
