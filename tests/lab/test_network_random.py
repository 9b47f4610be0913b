"""Goal: what our model says of who reaches whom in-band is what the real network says.

Method: nodes are dealt to random clusters, some put into a wrong network on purpose, some left
out; ways out are random. ``boundary.reachability`` says which cluster reaches which; arping between
all pairs of hosts, and ping to the world, are asked as well. Both must agree, leaks included.
"""

import asyncio
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hearing import hears
from running_network import (
    FLEET,
    GATEWAY_DEVICE,
    SITE,
    Cluster,
    RunningNetwork,
    node_id,
    port_device,
    running_network,
)

from gigawatt.boundary.entries import Entry, NetworkPort
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.reachability import reachability
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.lab.layout import OUTSIDE

pytestmark = pytest.mark.lab

BARE = range(1, 8)
CLUSTER_COUNT = 3
STRAY, ABSENT = 0.15, 0.1
ROUND_COUNT, ROUND_COUNT_LONG = 5, 150
WAYS_OUT = ((), (f"{OUTSIDE}/32",), ("203.0.113.0/24",), ("0.0.0.0/0",))


@dataclass(frozen=True)
class Deal:
    """Fields: holder by node; the network that each node is put into, None for none."""

    holder: dict[int, int]
    network: dict[int, int | None]
    ways_out: dict[int, tuple[str, ...]]


def deal(dice: random.Random) -> Deal:
    holder = {node: dice.randint(1, CLUSTER_COUNT) for node in BARE}
    network: dict[int, int | None] = {}
    for node, own in holder.items():
        lot = dice.random()
        network[node] = None if lot < ABSENT else own
        if ABSENT <= lot < ABSENT + STRAY:
            network[node] = dice.randint(1, CLUSTER_COUNT)
    ways_out = {number: dice.choice(WAYS_OUT) for number in range(1, CLUSTER_COUNT + 1)}
    return Deal(holder, network, ways_out)


def cluster(dealt: Deal, number: int) -> Cluster:
    nodes = [node for node, own in dealt.holder.items() if own == number]
    return Cluster(number, nodes).letting(dealt.ways_out[number])


def target(dealt: Deal, number: int) -> ClusterTarget:
    one = cluster(dealt, number)
    keys = Keys(None, 0x800000 + number, one.vni, number * 16, None)
    members = tuple(Member(node_id(node), 0xFF, "member", node) for node in one.nodes)
    return ClusterTarget(
        one.fence.cluster_id, "ten", one.fence.cluster_id, SITE, "eth0", None, members, keys,
        0, "image", (), dealt.ways_out[number],
    )  # fmt: skip


def entries(dealt: Deal) -> list[NetworkPort]:
    found = []
    for node, number in dealt.network.items():
        if number is not None:
            home = cluster(dealt, dealt.holder[node])
            found.append(NetworkPort(node_id(node), 0, 0x1000 + number, home.port(node).ipv4))
    return found


def lay(network: RunningNetwork, dealt: Deal, before: Deal | None) -> frozenset[Entry]:
    """Make the network hold a deal, from another; what it then says that it holds."""
    clusters = [cluster(dealt, number) for number in range(1, CLUSTER_COUNT + 1)]
    wanted = entries(dealt)

    async def run() -> frozenset[Entry]:
        if before is not None:
            for entry in entries(before):
                number = before.holder[FLEET.nodes.index_of[entry.node_id]]
                fence = cluster(before, number).fence
                await network.in_band.remove(entry.device, [entry], fence)
        for one in clusters:
            await network.in_band.ensure(GATEWAY_DEVICE, [one.gateway], one.fence)
        for entry in wanted:
            number = dealt.holder[FLEET.nodes.index_of[entry.node_id]]
            await network.in_band.ensure(entry.device, [entry], cluster(dealt, number).fence)
        devices = [*map(port_device, BARE), GATEWAY_DEVICE]
        seen = await network.in_band.observe(devices)
        assert not seen.unreachable
        return frozenset().union(*seen.entries.values())

    held = asyncio.run(run())
    for node, number in dealt.holder.items():
        network.settle(cluster(dealt, number), node)
    return held


def answers(network: RunningNetwork, dealt: Deal) -> set[tuple[int, int]]:
    """Pairs of nodes of which the first hears the second, as arping says."""
    addresses = {node: cluster(dealt, own).address(node) for node, own in dealt.holder.items()}

    def ask(node: int) -> set[tuple[int, int]]:
        others = {address: other for other, address in addresses.items() if other != node}
        script = "".join(
            f"{{ {hears(address, call_count=3)} && echo {address}; }} &\n" for address in others
        )
        said = network.run(f"node{node}", "sh", "-s", stdin=f"{script}wait\n")
        return {(node, others[address]) for address in said.split()}

    with ThreadPoolExecutor(len(addresses)) as threads:
        return set().union(*threads.map(ask, addresses))


def compare(network: RunningNetwork, dealt: Deal, held: frozenset[Entry]) -> int:
    """Hold the model to what is heard; how many pairs of different clusters reach each other."""
    assert {entry for entry in held if isinstance(entry, NetworkPort)} == set(entries(dealt))
    numbers = range(1, CLUSTER_COUNT + 1)
    said = reachability(FLEET, [target(dealt, number) for number in numbers], held)
    heard = answers(network, dealt)
    for a in numbers:
        for b in numbers:
            pairs = {(x, y) for x, y in heard if (dealt.holder[x], dealt.holder[y]) == (a, b)}
            if a != b:
                assert bool(pairs) == bool(said.matrix[Plane.IN_BAND][a - 1, b - 1]), (a, b, dealt)
    for node, own in dealt.holder.items():
        at_home = dealt.network[node] == own
        is_let = dealt.ways_out[own] in (WAYS_OUT[1], WAYS_OUT[3])
        assert network.pings(f"node{node}", OUTSIDE, 2.0) == (at_home and is_let), (node, dealt)
    return len(said.pairs)


@pytest.fixture(scope="module")
def network() -> Iterator[RunningNetwork]:
    with running_network("static") as running:
        yield running


def play(network: RunningNetwork, seed: int, count: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - a game
    before, leaks = None, 0
    for _ in range(count):
        dealt = deal(dice)
        leaks += compare(network, dealt, lay(network, dealt, before))
        before = dealt
    network.everything_free()
    assert leaks > 0, "the control: some of the deals leak"
    assert network.leftovers() == []


def test_the_model_and_the_network_agree_on_random_deals(network):
    play(network, 1, ROUND_COUNT)


@pytest.mark.slow
@pytest.mark.timeout(3_600)
def test_the_model_and_the_network_agree_on_very_many_deals(network):
    play(network, 2, ROUND_COUNT_LONG)
