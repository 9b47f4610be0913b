"""Entries: the atoms of configuration that a device of a plane holds.

An entry lives on one device under one key; writing an entry replaces what the key held. Target,
step, read-back and difference are all sets of entries. Entries do not say who owns them, because
devices do not know: ownership is derived from which node, GUID or key they name.

| plane | device | entry | key |
|---|---|---|---|
| fabric | fabric/FABRIC | PartitionMember | PKEY/GUID |
| fabric (RoCE) | fabric/FABRIC | ComputePort | GUID |
| in_band | port/NODE | NetworkPort | slot/FIRST_GPU |
| in_band | gateway/SITE | Gateway | vni/VNI |
| out_of_band | bmc/NODE | BmcAccount | account/NAME |
| out_of_band | oob/SITE | BmcRoute | SOURCE->BMC |
| storage | pool/POOL | FileSystem | filesystem/ID |
| storage | pool/POOL | Export | export/ID/CLIENT |
| host | host/NODE | HostSlice | slot/FIRST_GPU |
"""

from dataclasses import dataclass
from typing import ClassVar, Literal

from gigawatt.boundary.plane import Plane
from gigawatt.ids import DeviceId, FabricId, NodeId, SiteId, StoragePoolId, SwitchId
from gigawatt.intent.firewall import InboundRule

DEFAULT_P_KEY = 0x7FFF
"""The default partition: every port must be a limited member (IBA vol. 1, section 10.9)."""

Membership = Literal["full", "limited"]
Power = Literal["off", "on"]


@dataclass(frozen=True, slots=True)
class PartitionMember:
    """One port GUID in one InfiniBand partition; p_key 0x0001 to 0x7FFF, 15 bit."""

    plane: ClassVar[Plane] = Plane.FABRIC
    fabric_id: FabricId
    p_key: int
    guid: int
    membership: Membership
    kind: Literal["partition_member"] = "partition_member"

    @property
    def device(self) -> DeviceId:
        """The subnet manager of the fabric."""
        return DeviceId(f"fabric/{self.fabric_id}")

    @property
    def key(self) -> str:
        """Partition and port."""
        return f"{self.p_key:#06x}/{self.guid:#018x}"


@dataclass(frozen=True, slots=True)
class ComputePort:
    """One RoCE NIC's switch port in one VNI (24 bit) of an Ethernet compute fabric."""

    plane: ClassVar[Plane] = Plane.FABRIC
    fabric_id: FabricId
    vni: int
    guid: int
    kind: Literal["compute_port"] = "compute_port"

    @property
    def device(self) -> DeviceId:
        """The EVPN domain of the fabric."""
        return DeviceId(f"fabric/{self.fabric_id}")

    @property
    def key(self) -> str:
        """The NIC: an access port is in one VNI only."""
        return f"port/{self.guid:#018x}"


@dataclass(frozen=True, slots=True)
class NetworkPort:
    """A host's (or guest's) in-band port in one VNI, with its address.

    Fields: slot is the lowest GPU number of the slice (0 for a whole node); ipv4 is
    ``a.b.c.d/len``.
    """

    plane: ClassVar[Plane] = Plane.IN_BAND
    node_id: NodeId
    slot: int
    vni: int
    ipv4: str
    kind: Literal["network_port"] = "network_port"

    @property
    def device(self) -> DeviceId:
        """The DPU or leaf port of the node."""
        return DeviceId(f"port/{self.node_id}")

    @property
    def key(self) -> str:
        """The slot."""
        return f"slot/{self.slot}"


@dataclass(frozen=True, slots=True)
class Gateway:
    """The way out of one in-band network, and into it.

    Out to nothing but ``egress_cidrs``, and answers to that; in by nothing but ``inbound_rules``.
    """

    plane: ClassVar[Plane] = Plane.IN_BAND
    site_id: SiteId
    vni: int
    subnet: str
    egress_cidrs: tuple[str, ...]
    inbound_rules: tuple[InboundRule, ...] = ()
    kind: Literal["gateway"] = "gateway"

    @property
    def device(self) -> DeviceId:
        """The gateway of the site."""
        return DeviceId(f"gateway/{self.site_id}")

    @property
    def key(self) -> str:
        """The network."""
        return f"vni/{self.vni}"


@dataclass(frozen=True, slots=True)
class BmcAccount:
    """An account on one BMC; the secret is named, never held (``secret_ref``)."""

    plane: ClassVar[Plane] = Plane.OUT_OF_BAND
    node_id: NodeId
    username: str
    secret_ref: str
    kind: Literal["bmc_account"] = "bmc_account"

    @property
    def device(self) -> DeviceId:
        """The BMC."""
        return DeviceId(f"bmc/{self.node_id}")

    @property
    def key(self) -> str:
        """The account."""
        return f"account/{self.username}"


@dataclass(frozen=True, slots=True)
class BmcRoute:
    """Leave to reach one BMC from ``source``: ``cluster:CLU`` (a tenant's proxy) or ``bmc:NODE``.

    The operator's own management path is not an entry. A ``bmc:`` source is never a target.
    """

    plane: ClassVar[Plane] = Plane.OUT_OF_BAND
    site_id: SiteId
    source: str
    node_id: NodeId
    kind: Literal["bmc_route"] = "bmc_route"

    @property
    def device(self) -> DeviceId:
        """The out-of-band switch of the site."""
        return DeviceId(f"oob/{self.site_id}")

    @property
    def key(self) -> str:
        """From whom to which BMC."""
        return f"{self.source}->{self.node_id}"


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One file system (subvolume) in a pool, with its hard quota in bytes (> 0)."""

    plane: ClassVar[Plane] = Plane.STORAGE
    pool_id: StoragePoolId
    filesystem: int
    path: str
    quota_bytes: int
    kind: Literal["filesystem"] = "filesystem"

    @property
    def device(self) -> DeviceId:
        """The pool."""
        return DeviceId(f"pool/{self.pool_id}")

    @property
    def key(self) -> str:
        """The file system."""
        return f"filesystem/{self.filesystem}"


@dataclass(frozen=True, slots=True)
class Export:
    """Leave for the hosts of one in-band network to mount one file system."""

    plane: ClassVar[Plane] = Plane.STORAGE
    pool_id: StoragePoolId
    filesystem: int
    vni: int
    kind: Literal["export"] = "export"

    @property
    def device(self) -> DeviceId:
        """The pool."""
        return DeviceId(f"pool/{self.pool_id}")

    @property
    def key(self) -> str:
        """Which file system to which network."""
        return f"export/{self.filesystem}/{self.vni}"


@dataclass(frozen=True, slots=True)
class HostSlice:
    """A whole host, or a guest on it, in the hands of one cluster.

    Power "off" holds the slice clean and silent; "on" runs the tenant's image. Removing the
    entry powers the slice off and cleans it.

    Fields: gpu_mask names the GPUs; guest tells a guest from bare metal; hostname is the name
    the tenant sees; image and ssh_public_keys are what it boots with.
    """

    plane: ClassVar[Plane] = Plane.HOST
    node_id: NodeId
    gpu_mask: int
    guest: bool
    hostname: str
    image: str
    ssh_public_keys: tuple[str, ...]
    power: Power
    kind: Literal["host_slice"] = "host_slice"

    @property
    def slot(self) -> int:
        """Lowest GPU number of the slice."""
        return (self.gpu_mask & -self.gpu_mask).bit_length() - 1

    @property
    def device(self) -> DeviceId:
        """The host."""
        return DeviceId(f"host/{self.node_id}")

    @property
    def key(self) -> str:
        """The slot."""
        return f"slot/{self.slot}"


Entry = (
    PartitionMember
    | ComputePort
    | NetworkPort
    | Gateway
    | BmcAccount
    | BmcRoute
    | FileSystem
    | Export
    | HostSlice
)


@dataclass(frozen=True, slots=True)
class PortLocation:
    """Where a fabric says that a NIC's GUID is plugged in; read-back only."""

    fabric_id: FabricId
    guid: int
    switch_id: SwitchId
    switch_port: int


@dataclass(frozen=True, slots=True)
class FileUsage:
    """How many bytes a file system holds, as its storage pool counts them; read-back only."""

    pool_id: StoragePoolId
    filesystem: int
    used_bytes: int
