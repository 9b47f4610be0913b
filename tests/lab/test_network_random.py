"""Goal: what our model and our proof say of who reaches whom is what the real network says.

Method: nodes and their compute NICs are dealt to random clusters, some put into a wrong network on
purpose, some left out; ways out are random. ``boundary.reachability`` says which cluster reaches
which, ``boundary.proof`` what is broken. Frames between all pairs of interfaces of both planes,
arping between some of them, ping to the world, and the driver's own probes are asked as well. All
must agree, leaks included. Lies are told to the comparison, and it must find each of them.
"""

import asyncio
import random
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import permutations, product

import numpy as np
import pytest
from arp_matrix import ArpMatrix, Nic
from hearing import hears
from numpy.typing import NDArray
from running_network import (
    GATEWAY_DEVICE,
    SITE,
    Cluster,
    RunningNetwork,
    fleet_of,
    running_network,
)

from gigawatt.boundary.entries import ComputePort, Entry, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.proof import prove
from gigawatt.boundary.reachability import reachability
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.ids import DeviceId, NodeId
from gigawatt.interfaces.driver import OPERATOR, Driver, Endpoint, Fence
from gigawatt.lab.layout import OUTSIDE, LabSpec
from gigawatt.lab.network.cables import compute_mac
from gigawatt.lab.network.part import Mode

pytestmark = pytest.mark.lab

BIG = LabSpec(name="net", node_count=13, spine_count=2, leaf_count=4, hypervisor_count=1)
FLEET = fleet_of(BIG.node_count)
BARE = range(BIG.hypervisor_count, BIG.node_count)
RAILS = range(8)
NUMBERS = range(1, 5)
"""Clusters of a deal."""
FABRIC = DeviceId("fabric/eth0")
PLANES = (Plane.IN_BAND, Plane.FABRIC)
CALM, STRAY, ABSENT, STAYS = 0.25, 0.1, 0.08, 0.6
"""Share of deals in which nobody strays; of ports that stray, and that are left out, in others; of
nodes that stay from deal to deal."""
SURE_S_MAX = 20.0
"""How long what must be heard is asked for: BGP has to tell all switches."""
ARPINGS, PROBED_EVERY = 12, 10
DEALS, DEALS_STATIC, DEALS_FRR = 4, 200, 80
WAYS_OUT = ((), (f"{OUTSIDE}/32",), ("203.0.113.0/24",), ("0.0.0.0/0",))
ANSWERS_FOR_ITSELF = """
cd /proc/sys/net/ipv4/conf/all
echo 1 > arp_ignore
echo 2 > arp_announce
"""
"""An interface answers for its own address only, as NICs of a RoCE fabric are set."""

Port = tuple[int, int]
"""Node and rail; rail -1 is the in-band port."""
IN_BAND_RAIL = -1


@dataclass(frozen=True)
class Deal:
    """Fields: holder by node; the network that each port is put into, None for none."""

    holder: dict[int, int]
    network: dict[Port, int | None]
    ways_out: dict[int, tuple[str, ...]]

    def ports(self, plane: Plane) -> list[Port]:
        return [port for port in self.network if (port[1] == IN_BAND_RAIL) is (plane == PLANES[0])]

    @property
    def sure(self) -> set[tuple[Port, Port]]:
        """Pairs of ports in one network."""
        found = set()
        for plane in PLANES:
            ports = [port for port in self.ports(plane) if self.network[port] is not None]
            found |= {
                (a, b)
                for a in ports
                for b in ports
                if a[0] != b[0] and self.network[a] == self.network[b]
            }
        return found


def deal(dice: random.Random, before: Deal | None = None) -> Deal:
    """Random clusters; from one deal to the next some nodes stay where they are."""
    is_calm = dice.random() < CALM
    holder, network, ways_out = dict[int, int](), dict[Port, int | None](), {}
    for node in BARE:
        stays = before is not None and dice.random() < STAYS
        own = before.holder[node] if before and stays else dice.choice(NUMBERS)
        holder[node] = own
        for rail in (IN_BAND_RAIL, *RAILS):
            lot = 1.0 if is_calm else dice.random()
            if before and stays and not is_calm:
                network[node, rail] = before.network[node, rail]
            elif lot < ABSENT:
                network[node, rail] = None
            else:
                network[node, rail] = dice.choice(NUMBERS) if lot < ABSENT + STRAY else own
    for number in NUMBERS:
        is_kept = before is not None and dice.random() < STAYS
        ways_out[number] = before.ways_out[number] if before and is_kept else dice.choice(WAYS_OUT)
    return Deal(holder, network, ways_out)


def cluster(dealt: Deal, number: int) -> Cluster:
    nodes = [node for node, own in dealt.holder.items() if own == number]
    return Cluster(number, nodes).letting(dealt.ways_out[number])


def target(dealt: Deal, number: int) -> ClusterTarget:
    one = cluster(dealt, number)
    keys = Keys(None, 0x800000 + number, one.vni, number * 16, None)
    members = tuple(Member(NodeId(FLEET.nodes.ids[n]), 0xFF, "member", n) for n in one.nodes)
    return ClusterTarget(
        one.fence.cluster_id, "ten", one.fence.cluster_id, SITE, "eth0", None, members, keys,
        0, "image", (), dealt.ways_out[number],
    )  # fmt: skip


def entries(dealt: Deal) -> dict[Port, Entry]:
    """What the deal puts where."""
    found: dict[Port, Entry] = {}
    for (node, rail), number in dealt.network.items():
        if number is None:
            continue
        if rail == IN_BAND_RAIL:
            address = f"{cluster(dealt, dealt.holder[node]).address(node)}/20"
            node_id = NodeId(FLEET.nodes.ids[node])
            found[node, rail] = NetworkPort(node_id, 0, 0x1000 + number, address)
        else:
            guid = int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])
            found[node, rail] = ComputePort("eth0", 0x800000 + number, guid)
    return found


def key_of(port: Port) -> tuple[DeviceId, str]:
    """Device and key of what a port holds."""
    node, rail = port
    if rail == IN_BAND_RAIL:
        return DeviceId(f"port/{FLEET.nodes.ids[node]}"), "slot/0"
    guid = int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])
    return FABRIC, f"port/{guid:#018x}"


NIC_KEYS = {(node, rail): key_of((node, rail)) for node in BARE for rail in (IN_BAND_RAIL, *RAILS)}


def nic_of(port: Port) -> Nic:
    node, rail = port
    if rail == IN_BAND_RAIL:
        return Nic(f"node{node}", "eth0", f"02:67:77:{node >> 8:02x}:{node & 255:02x}:00")
    return Nic(f"node{node}", f"rdma{rail}", compute_mac(node, rail))


def address_of(dealt: Deal, port: Port) -> str:
    node, rail = port
    if rail == IN_BAND_RAIL:
        return cluster(dealt, dealt.holder[node]).address(node)
    return f"172.16.{rail}.{node}"


@dataclass
class Tally:
    """What was compared."""

    deals: int = 0
    pairs: int = 0
    heard: int = 0
    leaks: int = 0
    clean: int = 0
    probes: int = 0
    lies: int = 0
    disagreements: list[str] = field(default_factory=list)


async def cleared(driver: Driver, device: DeviceId) -> None:
    """Take from a device whatever it holds, by the operator's hand."""
    seen = (await driver.observe([device])).entries[device]
    if seen:
        await driver.remove(device, list(seen), Fence(OPERATOR, 10**9))


class Table:
    """The network at which is played."""

    def __init__(self, network: RunningNetwork) -> None:
        self.network = network
        self.ports = [(node, rail) for node in BARE for rail in (IN_BAND_RAIL, *RAILS)]
        for node in BARE:
            lines = [f"address add 172.16.{r}.{node}/32 dev rdma{r}" for r in RAILS]
            lines += [f"link set dev rdma{r} up" for r in RAILS]
            network.run(f"node{node}", "ip", "-batch", "-", stdin="\n".join(lines))
            network.run(f"node{node}", "sh", "-s", stdin=ANSWERS_FOR_ITSELF)
        self.matrix = ArpMatrix(nic_of(port) for port in self.ports)
        self.laid: Deal | None = None

    def lay(self, dealt: Deal) -> frozenset[Entry]:
        """Make the network hold a deal, whatever it held; what it then says that it holds."""
        held = asyncio.run(self._lay(dealt))
        moved = [n for n in BARE if self.laid is None or self.laid.holder[n] != dealt.holder[n]]
        with ThreadPoolExecutor(4) as threads:
            homes = [cluster(dealt, dealt.holder[node]) for node in moved]
            list(threads.map(self.network.settle, homes, moved))
        self.laid = dealt
        return held

    async def _lay(self, dealt: Deal) -> frozenset[Entry]:
        in_band, compute = self.network.in_band, self.network.compute
        old = {} if self.laid is None else self._owned(self.laid)
        new = self._owned(dealt)
        going = {port: found for port, found in old.items() if new.get(port) != found}
        coming = {port: found for port, found in new.items() if old.get(port) != found}

        async def fabric() -> None:
            for call, some in ((compute.remove, going), (compute.ensure, coming)):
                for number in NUMBERS:
                    entries_of = [e for p, (own, e) in some.items() if p[1] >= 0 and own == number]
                    if entries_of:
                        await call(FABRIC, entries_of, cluster(dealt, number).fence)

        async def host(port: Port) -> None:
            for call, some in ((in_band.remove, going), (in_band.ensure, coming)):
                if port in some:
                    own, entry = some[port]
                    await call(entry.device, [entry], cluster(dealt, own).fence)

        async def ways_out() -> None:
            for number, way in dealt.ways_out.items():
                if self.laid is None or self.laid.ways_out[number] != way:
                    one = cluster(dealt, number)
                    await in_band.ensure(GATEWAY_DEVICE, [one.gateway], one.fence)

        hosts = [host((node, IN_BAND_RAIL)) for node in BARE]
        await asyncio.gather(fabric(), ways_out(), *hosts)
        devices = [DeviceId(f"port/{FLEET.nodes.ids[node]}") for node in BARE]
        seen, also = await asyncio.gather(
            in_band.observe([*devices, GATEWAY_DEVICE]), compute.observe([FABRIC])
        )
        assert not seen.unreachable | also.unreachable
        return frozenset().union(*seen.entries.values(), *also.entries.values())

    def _owned(self, dealt: Deal) -> dict[Port, tuple[int, Entry]]:
        """By port its holder and what it is given."""
        return {port: (dealt.holder[port[0]], entry) for port, entry in entries(dealt).items()}

    def clear(self) -> None:
        asyncio.run(cleared(self.network.compute, FABRIC))
        self.network.everything_free()

    def heard(self, dealt: Deal) -> set[tuple[Port, Port]]:
        """Pairs of ports of two nodes, on any plane, of which the second hears the first."""
        port_of = {nic_of(port): port for port in self.ports}
        address = {nic_of(port): address_of(dealt, port) for port in self.ports}
        sure = {(nic_of(a), nic_of(b)) for a, b in dealt.sure}
        found = self.matrix.heard(address, sure, SURE_S_MAX)
        pairs = {(port_of[a], port_of[b]) for a, b in found}
        # A host with two ports in a network is no question of clusters.
        return {(a, b) for a, b in pairs if a[0] != b[0]}

    def reaches_world(self, nodes) -> dict[int, bool]:
        with ThreadPoolExecutor(len(BARE)) as threads:
            said = threads.map(lambda node: self.network.pings(f"node{node}", OUTSIDE, 2.0), nodes)
            return dict(zip(nodes, said, strict=True))

    def arpings(self, dealt: Deal, pairs) -> dict[tuple[Port, Port], bool]:
        def ask(pair: tuple[Port, Port]) -> bool:
            (node, rail), other = pair
            device = "eth0" if rail == IN_BAND_RAIL else f"rdma{rail}"
            script = hears(address_of(dealt, other), wait_s=1, interface=device)
            return self.network.does(f"node{node}", "sh", "-c", script)

        with ThreadPoolExecutor(len(BARE)) as threads:
            return dict(zip(pairs, threads.map(ask, pairs), strict=True))

    def probes(self) -> dict[tuple[int, int], bool]:
        """What the driver's own probe says of each pair of nodes, in-band."""
        pairs = [(a, b) for a in BARE for b in BARE if a != b]
        ends = {node: Endpoint(NodeId(FLEET.nodes.ids[node]), 0) for node in BARE}
        asked = [(ends[a], ends[b]) for a, b in pairs]
        return dict(zip(pairs, asyncio.run(self.network.in_band.probe(asked)), strict=True))


def in_one_network(held: frozenset[Entry]) -> set[tuple[Port, Port]]:
    """Pairs of ports of two nodes that are in one network by what the network says."""
    port_of = {nic: port for port, nic in NIC_KEYS.items()}
    members: dict[int, list[Port]] = {}
    for entry in held:
        if isinstance(entry, NetworkPort | ComputePort):
            members.setdefault(entry.vni, []).append(port_of[entry.device, entry.key])
    return {(a, b) for some in members.values() for a in some for b in some if a[0] != b[0]}


def differences(
    dealt: Deal,
    held: frozenset[Entry],
    heard: set[tuple[Port, Port]],
    said: Mapping[Plane, NDArray[np.bool_]],
) -> list[str]:
    """Where model, proof and network disagree on who reaches whom, one sentence each."""
    found = [f"{pair} are in one network, unheard" for pair in in_one_network(held) - heard]
    found += [f"{pair} are in two networks, heard" for pair in heard - in_one_network(held)]
    proof = prove(FLEET, [target(dealt, n) for n in NUMBERS], held, scope="read_back")
    for plane in PLANES:
        ports = set(dealt.ports(plane))
        here = {(a, b) for a, b in heard if a in ports and b in ports}
        across = {(dealt.holder[a[0]], dealt.holder[b[0]]) for a, b in here}
        for a, b in permutations(NUMBERS, 2):
            is_said = bool(said[plane][a - 1, b - 1])
            if is_said != ((a, b) in across):
                found.append(f"{plane}: the model says {is_said} of cluster {a} to {b}")
        broken = {one.breaks for one in proof.violations if one.plane == plane}
        own = {(a, b) for a, b in pairs_of(ports) if dealt.holder[a[0]] == dealt.holder[b[0]]}
        if "isolation" not in broken and any(a != b for a, b in across):
            found.append(f"{plane}: proven, and it leaks")
        if not broken and own - here:
            found.append(f"{plane}: proven, and {len(own - here)} pairs do not hear each other")
    return found


def pairs_of(ports: Iterable[Port]) -> list[tuple[Port, Port]]:
    """Ordered pairs of ports of two nodes."""
    return [(a, b) for a, b in permutations(sorted(ports), 2) if a[0] != b[0]]


def believed_lies(dealt: Deal, held: frozenset[Entry], heard: set[tuple[Port, Port]]) -> list[str]:
    """Tell lies, one at a time: those that are not found; the first says how many were told.

    A network that keeps a stray silent which is heard, and a model that errs in one cell.
    """
    believed, count = [], 0
    said = matrix_of(dealt, held)
    for port, entry in entries(dealt).items():
        if dealt.network[port] != dealt.holder[port[0]] and any(port in pair for pair in heard):
            lie = held - {entry}
            count += 1
            if not differences(dealt, lie, heard, matrix_of(dealt, lie)):
                believed.append(f"{entry} was kept silent")
    for plane, (a, b) in product(PLANES, permutations(range(len(NUMBERS)), 2)):
        lying = {one: matrix.copy() for one, matrix in said.items()}
        lying[plane][a, b] ^= True
        count += 1
        if not differences(dealt, held, heard, lying):
            believed.append(f"{plane}: cell {a}, {b}")
    return [str(count), *believed]


def matrix_of(dealt: Deal, held: frozenset[Entry]) -> dict[Plane, NDArray[np.bool_]]:
    return reachability(FLEET, [target(dealt, number) for number in NUMBERS], held).matrix


def worldly(dealt: Deal, world: Mapping[int, bool]) -> list[str]:
    """Nodes that reach the world, or do not, against the rules of their gateways."""
    found = list[str]()
    for node, own in dealt.holder.items():
        at_home = dealt.network[node, IN_BAND_RAIL] == own
        is_let = dealt.ways_out[own] in (WAYS_OUT[1], WAYS_OUT[3])
        if world[node] != (at_home and is_let):
            found.append(f"node {node} reaches the world: {world[node]}")
    return found


def round_of(table: Table, dealt: Deal, dice: random.Random, tally: Tally) -> None:
    """Lay one deal and compare everything."""
    held = table.lay(dealt)
    found = list[str]()
    if {e for e in held if isinstance(e, NetworkPort | ComputePort)} != set(
        entries(dealt).values()
    ):
        found.append(f"the network does not hold {dealt}")
    with ThreadPoolExecutor(1) as beside:
        world = beside.submit(table.reaches_world, BARE)
        heard = table.heard(dealt)
    found += differences(dealt, held, heard, matrix_of(dealt, held))
    found += worldly(dealt, world.result())
    pairs = pairs_of(table.ports)
    silent = [pair for pair in pairs if pair not in heard]
    alike = [(a, b) for a, b in silent if (a[1] < 0) is (b[1] < 0)]
    some = dice.sample(alike, min(ARPINGS, len(alike)))
    some += dice.sample(sorted(heard), min(ARPINGS, len(heard)))
    for pair, is_heard in table.arpings(dealt, some).items():
        if is_heard != (pair in heard):
            found.append(f"arping says {is_heard} of {pair}")
    if tally.deals % PROBED_EVERY == 0:
        for (a, b), is_reached in table.probes().items():
            tally.probes += 1
            if is_reached != (((a, IN_BAND_RAIL), (b, IN_BAND_RAIL)) in heard):
                found.append(f"the driver's probe says {is_reached} of {a} to {b}")
    count, *believed = believed_lies(dealt, held, heard)
    leaks = sum(dealt.holder[a[0]] != dealt.holder[b[0]] for a, b in heard)
    tally.lies += int(count)
    tally.deals += 1
    tally.pairs += len(pairs)
    tally.heard += len(heard)
    tally.leaks += leaks
    tally.clean += not leaks
    found += [f"a lie was believed: {text}" for text in believed]
    tally.disagreements += [f"deal {tally.deals}: {text}" for text in found]


@contextmanager
def table_of(mode: Mode) -> Iterator[Table]:
    with running_network(mode, BIG, FLEET) as network:
        table = Table(network)
        try:
            yield table
        finally:
            table.matrix.close()


def play(mode: Mode, seed: int, count: int) -> Tally:
    dice = random.Random(seed)  # noqa: S311 - a game
    tally, began_s = Tally(), time.monotonic()
    with table_of(mode) as table:
        dealt = None
        for _ in range(count):
            dealt = deal(dice, dealt)
            round_of(table, dealt, dice, tally)
        table.clear()
        assert table.network.leftovers() == []
    sys.stderr.write(f"{mode}: {tally} in {time.monotonic() - began_s:.0f} s\n")
    assert not tally.disagreements, tally.disagreements
    assert tally.leaks > 0, "the control: some of the deals leak"
    assert tally.clean > 0, "and some do not"
    assert tally.lies > 0, "the control: lies were told"


def test_the_model_and_the_network_agree_on_random_deals():
    play("static", 1, DEALS)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
@pytest.mark.parametrize(("mode", "count"), [("static", DEALS_STATIC), ("frr", DEALS_FRR)])
def test_the_model_and_the_network_agree_on_very_many_deals(mode, count):
    play(mode, 2, count)


def test_a_leak_behind_the_networks_back_is_heard():
    """The control of the ear: a port is moved by another hand, and what was read is kept."""
    holder = {node: 1 + node % 2 for node in BARE}
    dealt = Deal(
        holder,
        {(node, rail): holder[node] for node in BARE for rail in (IN_BAND_RAIL, *RAILS)},
        dict.fromkeys(NUMBERS, ()),
    )
    with table_of("static") as table:
        held = table.lay(dealt)
        assert differences(dealt, held, table.heard(dealt), matrix_of(dealt, held)) == []
        port = table.network.settings.access_ports[f"port/{FLEET.nodes.ids[1]}"]["slot/0"]
        other = f"br{0x1000 + 1}"
        table.network.run(port.switch, "ip", "link", "set", port.interface, "master", other)
        found = differences(dealt, held, table.heard(dealt), matrix_of(dealt, held))
        assert "in_band: proven, and it leaks" in found
        assert not any(text.startswith("fabric") for text in found)
