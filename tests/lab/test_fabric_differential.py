"""Goal: what our model says of who reaches whom is what a real subnet manager says.

Method: random partitions over 64 ports of one subnet: random clusters of slices, P_Keys within
and across them, full and limited members, ports that are full in the default partition. One file
has 60 of them, so one sweep settles 60. Then OpenSM is asked for the PathRecord of every ordered
pair of ports, 4,032 in one request to one process, and its verdict is compared with
``boundary.reachability`` port by port and cluster by cluster, and with the proof. The long run
settles thousands of partitions; the short one some of every kind.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations
from random import Random

import pytest

from gigawatt.boundary.entries import DEFAULT_P_KEY, Membership, PartitionMember
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.proof import prove
from gigawatt.boundary.reachability import reachability
from gigawatt.boundary.target import ClusterTarget, Keys, Member
from gigawatt.drivers.opensm.partitions_conf import IbPartition, IbPartitions
from gigawatt.fleet.slices import aligned_masks, gpus_in_mask
from gigawatt.ids import ClusterId, FabricId, SiteId, TenantId
from gigawatt.lab.fabric import missing_tools
from running_fabric import RunningFabric, one_subnet_fleet

pytestmark = [
    pytest.mark.ibsim,
    pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed"),
]

FLEET = one_subnet_fleet("differential", 8)
FABRIC = FabricId("ib0")
GUIDS = [int(guid) for guid in FLEET.nics.guid]
PAIRS = list(permutations(range(len(GUIDS)), 2))
PARTITION_COUNT = 60
P_KEYS_ON_PORT_MAX = 31


@pytest.fixture(scope="module")
def fabric() -> Iterator[RunningFabric]:
    running = RunningFabric(FLEET)
    try:
        running.emptied()
        assert len(running.lab.subnets) == 1, "every port is to be able to reach every other"
        yield running
    finally:
        running.close()


def target(name: str, slices: list[tuple[int, int]], p_key: int | None) -> ClusterTarget:
    """A cluster that holds (node, mask of GPUs); GPU n of a node has NIC n."""
    return ClusterTarget(
        ClusterId(f"clu_{name}"), TenantId("ten_1"), name, SiteId("s"), FABRIC, None,
        tuple(Member(FLEET.node_id(n), mask, "member", i) for i, (n, mask) in enumerate(slices)),
        Keys(p_key, None, None, None, None), 0, "", (), (),
    )  # fmt: skip


def ports_of(cluster: ClusterTarget) -> list[int]:
    return [
        FLEET.nodes.index_of[member.node_id] * 8 + gpu
        for member in cluster.members
        for gpu in gpus_in_mask(member.gpu_mask)
    ]


ONE_BY_ONE = [
    target(f"{port:02d}", [(port // 8, 1 << port % 8)], None) for port in range(len(GUIDS))
]
"""Each port a cluster of its own, so that the matrix of clusters is the one of ports."""


def random_clusters(random: Random) -> list[ClusterTarget]:
    slices = []
    for node in range(8):
        size = random.choice([1, 2, 4, 8])
        slices += [(node, mask) for mask in aligned_masks(8, size)]
    random.shuffle(slices)
    slices = slices[: random.randint(2, len(slices))]
    clusters = []
    while slices:
        count = min(random.randint(1, 6), len(slices))
        taken, slices = slices[:count], slices[count:]
        clusters.append(target(str(len(clusters)), taken, 0x100 + len(clusters)))
    return clusters


@dataclass
class Carving:
    """Clusters, memberships by P_Key and port, and ports that are full in the default one."""

    clusters: list[ClusterTarget]
    by_p_key: dict[int, dict[int, Membership]]
    open_ports: list[int]

    def entries(self) -> list[PartitionMember]:
        found = [
            PartitionMember(FABRIC, p_key, GUIDS[port], how)
            for p_key, members in self.by_p_key.items()
            for port, how in members.items()
        ]
        found += [PartitionMember(FABRIC, DEFAULT_P_KEY, GUIDS[p], "full") for p in self.open_ports]
        return found

    def conf(self, empty: IbPartitions) -> IbPartitions:
        by_p_key = {
            p_key: IbPartition(ClusterId("clu"), {GUIDS[p]: how for p, how in members.items()})
            for p_key, members in self.by_p_key.items()
        }
        managers = empty.managers | {GUIDS[port] for port in self.open_ports}
        return IbPartitions(FABRIC, by_p_key, managers=managers)


def random_carving(random: Random, number: int) -> Carving:
    """Every fourth is what we render, with one stranger or none; the others are wild."""
    clusters = random_clusters(random)
    by_p_key: dict[int, dict[int, Membership]] = {}
    open_ports: list[int] = []
    if number % 4 == 0:
        for cluster in clusters:
            by_p_key[cluster.keys.p_key or 0] = dict.fromkeys(ports_of(cluster), "full")
        if number % 8 == 0:
            members = by_p_key[random.choice(list(by_p_key))]
            members[random.randrange(64)] = random.choice(["full", "limited"])
        return Carving(clusters, by_p_key, open_ports)
    used: Counter[int] = Counter()
    for p_key in random.sample(range(1, DEFAULT_P_KEY), PARTITION_COUNT):
        pool = ports_of(random.choice(clusters)) if random.random() < 0.3 else range(64)
        ports = random.sample(list(pool), min(len(pool), random.randint(1, 4)))
        share_full = random.choice([0.0, 0.2, 0.5, 1.0])
        members = {
            port: "full" if random.random() < share_full else "limited"
            for port in ports
            if used[port] < P_KEYS_ON_PORT_MAX
        }
        used.update(members.keys())
        if members:
            by_p_key[p_key] = members
    if random.random() < 0.2:
        open_ports.append(random.randrange(64))
    return Carving(clusters, by_p_key, open_ports)


def settle(fabric: RunningFabric, carving: Carving) -> None:
    """Have the manager make it so, as both tables of every port say."""
    conf = carving.conf(fabric.empty)
    fabric.file.write(conf)
    fabric.reread()
    tables = conf.tables()
    opened = {GUIDS[port] for port in carving.open_ports}

    def wanted(guid: int) -> frozenset[int]:
        table = tables.get(guid, frozenset({DEFAULT_P_KEY}))
        return table - {DEFAULT_P_KEY} | {0xFFFF} if guid in opened else table

    reader = fabric.readers[0]
    fabric.until(
        lambda: (
            all(p.host == p.leaf == wanted(p.guid) for p in reader.tables(GUIDS))
            and len(reader.tables(GUIDS)) == len(GUIDS)
        )
    )


def compare(fabric: RunningFabric, carving: Carving) -> int:
    """Hold the model to the manager's verdict for every pair; how many pairs have a path."""
    settle(fabric, carving)
    asked = [(GUIDS[a], GUIDS[b]) for a, b in PAIRS]
    said = dict(zip(PAIRS, fabric.readers[0].paths(asked), strict=True))
    entries = carving.entries()
    ports = reachability(FLEET, ONE_BY_ONE, entries).matrix[Plane.FABRIC]
    wrong = [(a, b, said[a, b]) for a, b in PAIRS if bool(ports[a, b]) != said[a, b]]
    assert not wrong, f"(from, to, OpenSM says a path): {wrong[:5]} of {carving.by_p_key}"
    held = [ports_of(cluster) for cluster in carving.clusters]
    matrix = reachability(FLEET, carving.clusters, entries).matrix[Plane.FABRIC]
    proof = prove(FLEET, carving.clusters, entries, scope="read_back")
    blamed = {c for v in proof.violations if v.plane is Plane.FABRIC for c in v.cluster_ids}
    for a, b in permutations(range(len(held)), 2):
        is_path = any(said[p, q] for p in held[a] for q in held[b])
        assert bool(matrix[a, b]) == is_path, (a, b, is_path)
        if is_path:
            pair = {carving.clusters[a].cluster_id, carving.clusters[b].cluster_id}
            assert pair & blamed, f"{pair} reach each other and the proof is silent"
    return sum(said.values())


def run(fabric: RunningFabric, seed: int, rounds: int) -> tuple[int, int, int]:
    """Partitions compared, pairs with a path, pairs without one."""
    random = Random(seed)  # noqa: S311 - a reproducible choice, no secret
    partitions, reaching = 0, 0
    for number in range(rounds):
        carving = random_carving(random, number)
        reaching += compare(fabric, carving)
        partitions += len(carving.by_p_key)
    return partitions, reaching, rounds * len(PAIRS) - reaching


def test_the_model_is_what_the_manager_says(fabric):
    partitions, reaching, apart = run(fabric, seed=1, rounds=6)
    assert partitions > 200
    assert reaching > 1_000
    assert apart > 1_000


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_model_is_what_the_manager_says_of_thousands(fabric):
    partitions, reaching, apart = run(fabric, seed=2, rounds=80)
    assert partitions > 3_000
    assert reaching > 10_000
    assert apart > 10_000


def test_a_model_that_is_wrong_is_found(fabric):
    carving = Carving(ONE_BY_ONE[:3], {0x10: {0: "full", 1: "limited", 2: "limited"}}, [])
    compare(fabric, carving)

    class Lying(Carving):
        def entries(self) -> list[PartitionMember]:
            return [
                PartitionMember(e.fabric_id, e.p_key, e.guid, "full") for e in super().entries()
            ]

    with pytest.raises(AssertionError, match="OpenSM says"):
        compare(fabric, Lying(carving.clusters, carving.by_p_key, []))
