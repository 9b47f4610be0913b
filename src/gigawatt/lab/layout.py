"""Names and addresses of a lab: pure, so that its parts agree without asking each other.

The room itself (no network namespace by name) is the management node: control plane, subnet
managers, libvirt, storage servers. It reaches the BMCs by the interface ``oob0``.

| network namespace | what |
|---|---|
| spine0.. leaf0.. | switches of the in-band network |
| gateway | the site's way out; each cluster's gateway is a namespace ``gw-VNI`` beside it |
| outside | the world: what a tenant may or may not reach, and who may reach a tenant |
| oob | the out-of-band switch |
| bmc0.. | one BMC for each node, by the node's row in the fleet |
| node0.. | the in-band side of a bare-metal node, its interface is ``eth0`` |
"""

from dataclasses import dataclass
from typing import Literal

from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.units import GIB

LAB_NODES_MAX = 64
"""Nodes of a whole lab. Ours: the sizes that were seen."""
FABRIC_NODES_MAX = 1_250
"""Nodes of a compute fabric alone, 10,000 ports; what one ibsim and OpenSM were measured with."""

OOB_INTERFACE = "oob0"
"""The management node's interface on the out-of-band network."""
OOB_PREFIX_LENGTH = 10
"""100.64.0.0/10, of which the fleet gives each BMC its address (``nodes.bmc_ipv4``)."""
MANAGEMENT_BMC_SIDE = "100.64.0.2"
"""Address of the management node among the BMCs."""
PROXY_NETWORK = "100.127.0.0/20"
"""Of it each cluster's proxy on the management node gets an address; the last of the /10, so that
no fleet of a lab has a BMC there."""
MEDIA_PORT = 8070
"""TCP port of the management node where BMCs fetch virtual media; the only one they reach."""
UPLINK_NETWORK = "198.51.100.0/24"
"""Between gateway (.1) and outside (.2); RFC 5737, documentation."""
GATEWAY_UPLINK, OUTSIDE = "198.51.100.1", "198.51.100.2"


GuestImage = Literal["small", "debian"]


@dataclass(frozen=True, slots=True)
class LabSpec:
    """What a lab shall have.

    Fields:
        name: tells it from other labs of this machine.
        node_count: nodes, 2 to 64; a fabric alone has up to 1,250.
        spine_count, leaf_count: switches of the in-band network, >= 1.
        hypervisor_count: the first nodes of the fleet run guests (libvirt, QEMU); the others are
            bare metal, stood in for by namespaces.
        storage: engine of the storage plane.
        storage_bytes: what the storage pool holds; the machine must have the room.
        has_s3: file systems can have a door for objects; of CephFS only.
        is_fabric_only: the compute fabric and a control plane, nothing else.
        has_standby: a second subnet manager on each subnet.
        fabric: who is asked for partitions: OpenSM's own file, or our emulator of UFM over it.
        guest_image: what guests boot: busybox in seconds, or a whole Debian in minutes.
    """

    name: str = "lab"
    node_count: int = 16
    spine_count: int = 2
    leaf_count: int = 4
    hypervisor_count: int = 2
    storage: Literal["btrfs", "cephfs"] = "btrfs"
    storage_bytes: int = 4 * GIB
    has_s3: bool = False
    is_fabric_only: bool = False
    has_standby: bool = False
    fabric: Literal["opensm", "ufm"] = "opensm"
    guest_image: GuestImage = "small"

    @property
    def nodes_max(self) -> int:
        """The most nodes that such a lab may have."""
        return FABRIC_NODES_MAX if self.is_fabric_only else LAB_NODES_MAX


@dataclass(frozen=True)
class Layout:
    """Where everything of a lab is, by row of the node in the fleet."""

    spec: LabSpec
    fleet: Fleet

    def __post_init__(self) -> None:
        """Refuse what no lab can be.

        Raises:
            InputError: too many nodes, or no switches.
        """
        if not 2 <= len(self.fleet.nodes) <= self.spec.nodes_max:
            raise InputError(
                f"a lab has 2 to {self.spec.nodes_max} nodes, wanted {len(self.fleet.nodes)}",
                next_step=f"For up to {FABRIC_NODES_MAX:,}, run the fabric alone: --fabric-only.",
            )
        if self.spec.has_s3 and self.spec.storage != "cephfs":
            raise InputError(
                f"storage on {self.spec.storage} has no door for objects",
                next_step="Add --storage cephfs.",
            )
        if self.spec.spine_count < 1 or self.spec.leaf_count < 1:
            raise InputError("a lab's in-band network has at least one spine and one leaf")

    @property
    def leaves(self) -> tuple[str, ...]:
        """Leaf switches of the in-band network."""
        return tuple(f"leaf{number}" for number in range(self.spec.leaf_count))

    @property
    def spines(self) -> tuple[str, ...]:
        """Spine switches of the in-band network."""
        return tuple(f"spine{number}" for number in range(self.spec.spine_count))

    def is_hypervisor(self, node: int) -> bool:
        """Whether a node runs guests."""
        return node < self.spec.hypervisor_count

    def leaf_of(self, node: int) -> str:
        """The leaf that a node hangs on: as many neighbours on each."""
        per_leaf = -(-len(self.fleet.nodes) // self.spec.leaf_count)
        return self.leaves[node // per_leaf]

    def slots_of(self, node: int) -> tuple[int, ...]:
        """Slots that have an in-band port: one for each GPU of a hypervisor, else the whole."""
        return tuple(range(self.fleet.node_type(node).gpu_count if self.is_hypervisor(node) else 1))

    def leaf_port(self, node: int, slot: int) -> str:
        """Interface of the leaf that a slot hangs on, at most 15 characters (Linux)."""
        return f"p{node}s{slot}"

    def host_bridge(self, node: int, slot: int) -> str:
        """Bridge of the room to which a guest in this slot of a hypervisor is plugged."""
        return f"h{node}s{slot}"

    def mac_of(self, node: int, slot: int) -> str:
        """MAC of the host side of an in-band port; locally administered."""
        return f"02:67:77:{node >> 8:02x}:{node & 255:02x}:{slot:02x}"

    def loopback_of(self, switch: str) -> str:
        """Address of a switch or of the gateway in the underlay; RFC 5737, documentation."""
        order = [*self.spines, *self.leaves, "gateway"]
        return f"192.0.2.{1 + order.index(switch)}"

    def bmc_namespace(self, node: int) -> str:
        """Network namespace of a node's BMC; its port of the out-of-band switch has this name."""
        return f"bmc{node}"

    def bmc_address(self, node: int) -> str:
        """Address of a node's BMC."""
        number = int(self.fleet.nodes.bmc_ipv4[node])
        return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
