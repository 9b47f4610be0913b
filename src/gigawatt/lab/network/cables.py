"""Namespaces of the network and the cables between them; everything else starts from here.

| interface | where |
|---|---|
| fab0.. | on a leaf and on the gateway: to each spine |
| down0.. | on a spine: to each leaf, the last to the gateway |
| p<node>s<slot> | on a leaf: to a slot of a node; switched off until somebody holds it |
| c<node>r<rail> | on a leaf: to a NIC of a RoCE fabric; switched off until somebody holds it |
| wan0 | on the gateway: to ``outside`` |
| eth0, rdma<rail> | in ``node<node>``: the other ends, where the node is bare metal |
| v<node>s<slot> | in the room, in bridge h<node>s<slot>: the other end where it runs guests |
| x<node>r<rail> | in the room: the other end of a NIC of a RoCE fabric of such a node |
"""

from collections.abc import Iterator
from pathlib import Path

from gigawatt.drivers.evpn.segments import opened
from gigawatt.fleet.model import FabricKind
from gigawatt.lab.layout import GATEWAY_UPLINK, OUTSIDE, UPLINK_NETWORK, Layout
from gigawatt.lab.running import Running

GATEWAY, WORLD, UPLINK = "gateway", "outside", "wan0"
UNDERLAY_MTU = 9_000
"""Room for VXLAN's 50 bytes around a host's 1,500 (RFC 7348, section 5)."""
INSIDE = "10.0.0.0/8"
"""Networks of clusters, as seen from the world: whoever may come in comes by the gateway."""
BRIDGES_ARE_NOBODY = """
add table bridge gigawatt_lab
flush table bridge gigawatt_lab
add chain bridge gigawatt_lab to_room { type filter hook input priority 0; policy accept; }
add rule bridge gigawatt_lab to_room iifname { "vnet*", "v*s*" } drop
"""


def node_space(node: int) -> str:
    """Namespace of a bare-metal node."""
    return f"node{node}"


def tenant_switches(layout: Layout) -> tuple[str, ...]:
    """Switches that know clusters' networks; spines only carry them."""
    return (*layout.leaves, GATEWAY)


def compute_port(node: int, rail: int) -> str:
    """Interface of the leaf that a NIC of a RoCE fabric hangs on."""
    return f"c{node}r{rail}"


def compute_mac(node: int, rail: int) -> str:
    """MAC of a NIC of a RoCE fabric; locally administered."""
    return f"02:67:78:{node >> 8:02x}:{node & 255:02x}:{rail:02x}"


def compute_nics(layout: Layout) -> Iterator[tuple[int, int, int]]:
    """Node, rail and GUID of every NIC on a RoCE fabric."""
    fleet = layout.fleet
    for node in range(len(fleet.nodes)):
        kind = fleet.fabrics.kind[int(fleet.fabric_of_node[node])]
        if kind is FabricKind.ROCE:
            first = int(fleet.first_nic_of_node[node])
            for rail in range(fleet.node_type(node).nic_count):
                yield node, rail, int(fleet.nics.guid[first + rail])


def lay_cables(lab: Running) -> None:
    """Make all namespaces and interfaces, with underlay addresses; ports of nodes stay off.

    Raises:
        InputError: the kernel refuses one.
    """
    layout = lab.layout
    switches = (*layout.spines, *tenant_switches(layout))
    bare = [n for n in range(len(lab.fleet.nodes)) if not layout.is_hypervisor(n)]
    for name in (*switches, WORLD, *map(node_space, bare)):
        if not (Path("/run/netns") / name).exists():
            lab.add_namespace(name)
    lines = [*_underlay(layout), *_ports(layout, bare), *_compute(layout)]
    lab.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
    for name in switches:
        ends = layout.spines if name not in layout.spines else tenant_switches(layout)
        prefix = "fab" if name not in layout.spines else "down"
        own = [f"address add {layout.loopback_of(name)}/32 dev lo"]
        own += [
            f"link set dev {prefix}{number} mtu {UNDERLAY_MTU} up" for number in range(len(ends))
        ]
        lab.run(["ip", "-batch", "-"], namespace=name, stdin="\n".join(own) + "\n")
        lab.run(["sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"], namespace=name)
    _world(lab)
    _hypervisors(lab)


def _underlay(layout: Layout) -> Iterator[str]:
    for column, below in enumerate(tenant_switches(layout)):
        for row, spine in enumerate(layout.spines):
            near, far = f"fab{row} netns {below}", f"down{column} netns {spine}"
            yield f"link add {near} type veth peer name {far}"


def _ports(layout: Layout, bare: list[int]) -> Iterator[str]:
    for node in range(len(layout.fleet.nodes)):
        for slot in layout.slots_of(node):
            port = f"{layout.leaf_port(node, slot)} netns {layout.leaf_of(node)}"
            mac = layout.mac_of(node, slot)
            far = f"eth0 address {mac} netns {node_space(node)}"
            if node not in bare:
                far = guest_side(node, slot)
            yield f"link add {port} type veth peer name {far}"


def _compute(layout: Layout) -> Iterator[str]:
    for node, rail, _ in compute_nics(layout):
        port = f"{compute_port(node, rail)} netns {layout.leaf_of(node)}"
        far = f"rdma{rail} address {compute_mac(node, rail)} netns {node_space(node)}"
        if layout.is_hypervisor(node):
            far = f"x{node}r{rail} address {compute_mac(node, rail)}"
        yield f"link add {port} type veth peer name {far}"


def guest_side(node: int, slot: int) -> str:
    """Interface of the room between a guest's bridge and its leaf port."""
    return f"v{node}s{slot}"


def _world(lab: Running) -> None:
    prefix = UPLINK_NETWORK.partition("/")[2]
    lines = [
        f"link add {UPLINK} netns {GATEWAY} type veth peer name eth0 netns {WORLD}",
        f"-n {GATEWAY} address add {GATEWAY_UPLINK}/{prefix} dev {UPLINK}",
        f"-n {WORLD} address add {OUTSIDE}/{prefix} dev eth0",
        f"-n {WORLD} link set eth0 up",
        f"-n {GATEWAY} link set dev {UPLINK} up",
        f"-n {WORLD} route add {INSIDE} via {GATEWAY_UPLINK}",
        f"-n {GATEWAY} route add default via {OUTSIDE}",
    ]
    for line in lines:
        lab.run(["ip", *line.split()])


def _hypervisors(lab: Running) -> None:
    """Bridges of the room for guests; the room itself has no part in them."""
    layout, lines = lab.layout, list[str]()
    for node in filter(layout.is_hypervisor, range(len(lab.fleet.nodes))):
        for slot in layout.slots_of(node):
            bridge, side = layout.host_bridge(node, slot), guest_side(node, slot)
            lines += [
                f"link add {bridge} type bridge mcast_snooping 0",
                *opened(side, bridge),
                *opened(bridge),
            ]
    if lines:
        lab.run(["nft", "-f", "-"], stdin=BRIDGES_ARE_NOBODY)
        lab.run(["ip", "-batch", "-"], stdin="\n".join(lines) + "\n")
