"""What a contract is tried on: fleet, drivers, and entries that its devices can hold."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import pytest

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
from gigawatt.boundary.plane import Plane
from gigawatt.fleet.model import FabricKind, Fleet
from gigawatt.ids import ClusterId, DeviceId, NodeId
from gigawatt.interfaces.driver import OPERATOR, Driver, Fence

EMPTYING_GENERATION = 10**15
"""Newer than any fence of a test, so that the operator's hand may take everything away."""

_NUMBERS = count(1)


def _cluster_id() -> ClusterId:
    return ClusterId(f"clu_{next(_NUMBERS):06d}")


@dataclass(frozen=True)
class Sample:
    """Entries for one device: two that go together, and the first with other content.

    ``second`` is None where a device has one key only, ``first_changed`` where the entry is its
    key.
    """

    first: Entry
    second: Entry | None
    first_changed: Entry | None

    @property
    def device(self) -> DeviceId:
        return self.first.device

    @property
    def entries(self) -> tuple[Entry, ...]:
        return (self.first,) if self.second is None else (self.first, self.second)

    @property
    def rest(self) -> frozenset[Entry]:
        """What is left when the first is gone."""
        return frozenset(self.entries[1:])


@dataclass(frozen=True)
class Subject:
    """Drivers under test, and what their devices can hold.

    Fields:
        guest_nodes, bare_nodes: rows of nodes that run guests, and that are given away as a
            whole; all nodes are both if None.
        image, ssh_public_keys: what slices boot with.
        file_bytes: a quota of which the first storage pool holds five; a tenth of it if None.
        accounts_max: accounts that one BMC can hold.
        probed: planes whose driver can probe with what this set holds; all five need each other.
    """

    fleet: Fleet
    drivers: Mapping[Plane, Driver]
    guest_nodes: Sequence[int] | None = None
    bare_nodes: Sequence[int] | None = None
    image: str = "debian-12-gpu"
    ssh_public_keys: tuple[str, ...] = ()
    file_bytes: int | None = None
    accounts_max: int = 50
    probed: Collection[Plane] | None = None
    a: ClusterId = field(default_factory=_cluster_id)
    b: ClusterId = field(default_factory=_cluster_id)

    @property
    def guests(self) -> Sequence[int]:
        return range(len(self.fleet.nodes)) if self.guest_nodes is None else self.guest_nodes

    @property
    def bare(self) -> Sequence[int]:
        return range(len(self.fleet.nodes)) if self.bare_nodes is None else self.bare_nodes

    @property
    def pool(self) -> str:
        return self.fleet.storage_pools.ids[0]

    @property
    def bytes_each(self) -> int:
        return self.file_bytes or int(self.fleet.storage_pools.capacity_bytes[0]) // 10

    def site_of(self, node: int) -> str:
        return self.fleet.sites.ids[int(self.fleet.site_of_node[node])]

    def fabric_of(self, node: int) -> str:
        return self.fleet.fabrics.ids[int(self.fleet.fabric_of_node[node])]

    def node_id(self, node: int) -> NodeId:
        return NodeId(self.fleet.nodes.ids[node])

    def guids(self, node: int) -> list[int]:
        first = int(self.fleet.first_nic_of_node[node])
        nics = self.fleet.node_type(node).nic_count
        return [int(guid) for guid in self.fleet.nics.guid[first : first + nics]]

    def node_on(self, kind: FabricKind) -> int:
        """The first node on a fabric of this kind."""
        fabrics = self.fleet.fabrics
        for node in range(len(self.fleet.nodes)):
            if fabrics.kind[int(self.fleet.fabric_of_node[node])] is kind:
                return node
        pytest.skip(f"the fleet has no {kind.value} fabric")

    def sample(self, kind: str) -> Sample:
        """The sample of ``SAMPLES`` with this name; skips what nobody here serves."""
        return SAMPLES[kind](self)

    def driver(self, plane: Plane) -> Driver:
        if plane not in self.drivers:
            pytest.skip(f"this set does not serve {plane}")
        return self.drivers[plane]


def _partition_member(on: Subject) -> Sample:
    node = on.node_on(FabricKind.INFINIBAND)
    fabric, (a, b, *_) = on.fabric_of(node), on.guids(node)
    return Sample(
        PartitionMember(fabric, 0x10, a, "limited"),
        PartitionMember(fabric, 0x11, b, "full"),
        PartitionMember(fabric, 0x10, a, "full"),
    )


def _compute_port(on: Subject) -> Sample:
    node = on.node_on(FabricKind.ROCE)
    fabric, (a, b, *_) = on.fabric_of(node), on.guids(node)
    return Sample(
        ComputePort(fabric, 70, a), ComputePort(fabric, 70, b), ComputePort(fabric, 71, a)
    )


def _first(nodes: Sequence[int], what: str) -> int:
    if not nodes:
        pytest.skip(f"no node {what}")
    return nodes[0]


def _guest_port(on: Subject) -> Sample:
    node = _first(on.guests, "runs guests")
    half = on.fleet.node_type(node).gpu_count // 2
    first = NetworkPort(on.node_id(node), 0, 900, "10.0.0.2/20")
    return Sample(
        first, replace(first, slot=half, ipv4="10.0.0.3/20"), replace(first, ipv4="10.0.0.9/20")
    )


def _whole_port(on: Subject) -> Sample:
    first = NetworkPort(on.node_id(_first(on.bare, "is bare metal")), 0, 900, "10.0.0.2/20")
    return Sample(first, None, replace(first, vni=901))


def _gateway(on: Subject) -> Sample:
    site = on.fleet.sites.ids[0]
    first = Gateway(site, 900, "10.0.0.0/20", ())
    return Sample(
        first,
        Gateway(site, 901, "10.0.16.0/20", ("192.0.2.0/24",)),
        replace(first, egress_cidrs=("198.51.100.0/24",)),
    )


def _bmc_account(on: Subject) -> Sample:
    first = BmcAccount(on.node_id(0), "ten-a", "secret/1")
    return Sample(
        first,
        BmcAccount(on.node_id(0), "ten-a-2", "secret/2"),
        BmcAccount(on.node_id(0), "ten-a", "secret/3"),
    )


def _bmc_route(on: Subject) -> Sample:
    first = BmcRoute(on.site_of(0), f"cluster:{on.a}", on.node_id(0))
    return Sample(first, replace(first, node_id=on.node_id(1)), None)


def _filesystem(on: Subject) -> Sample:
    first = FileSystem(on.pool, 1, "/clusters/a", on.bytes_each)
    return Sample(
        first,
        FileSystem(on.pool, 2, "/clusters/a2", on.bytes_each),
        replace(first, quota_bytes=2 * on.bytes_each),
    )


def _guest_slice(on: Subject) -> Sample:
    node = _first(on.guests, "runs guests")
    gpus = on.fleet.node_type(node).gpu_count
    low = (1 << gpus // 2) - 1
    first = HostSlice(on.node_id(node), low, True, "h0", on.image, on.ssh_public_keys, "off")
    high = replace(first, gpu_mask=low << gpus // 2, hostname="h1")
    return Sample(first, high, replace(first, power="on"))


def whole_slice(on: Subject, node: int, hostname: str, power: Any = "on") -> HostSlice:
    mask = int(on.fleet.full_gpu_mask_of_node[node])
    node_id = on.node_id(node)
    return HostSlice(node_id, mask, False, hostname, on.image, on.ssh_public_keys, power)


def _whole_slice(on: Subject) -> Sample:
    first = whole_slice(on, _first(on.bare, "is bare metal"), "h0", "off")
    return Sample(first, None, replace(first, power="on"))


SAMPLES: Mapping[str, Callable[[Subject], Sample]] = {
    "partition_member": _partition_member,
    "compute_port": _compute_port,
    "guest_port": _guest_port,
    "whole_port": _whole_port,
    "gateway": _gateway,
    "bmc_account": _bmc_account,
    "bmc_route": _bmc_route,
    "filesystem": _filesystem,
    "guest_slice": _guest_slice,
    "whole_slice": _whole_slice,
}
"""By name: what a device of each class may be asked to hold, for the fleet under test."""

PLANE_OF_KIND: Mapping[str, Plane] = {
    "partition_member": Plane.FABRIC,
    "compute_port": Plane.FABRIC,
    "guest_port": Plane.IN_BAND,
    "whole_port": Plane.IN_BAND,
    "gateway": Plane.IN_BAND,
    "bmc_account": Plane.OUT_OF_BAND,
    "bmc_route": Plane.OUT_OF_BAND,
    "filesystem": Plane.STORAGE,
    "guest_slice": Plane.HOST,
    "whole_slice": Plane.HOST,
}


def devices_of(fleet: Fleet, plane: Plane) -> list[DeviceId]:
    """Every device that a fleet has on a plane."""
    names: Mapping[Plane, Mapping[str, Sequence[str]]] = {
        Plane.FABRIC: {"fabric": fleet.fabrics.ids},
        Plane.IN_BAND: {"port": fleet.nodes.ids, "gateway": fleet.sites.ids},
        Plane.OUT_OF_BAND: {"bmc": fleet.nodes.ids, "oob": fleet.sites.ids},
        Plane.STORAGE: {"pool": fleet.storage_pools.ids},
        Plane.HOST: {"host": fleet.nodes.ids},
    }
    return [DeviceId(f"{kind}/{name}") for kind, ids in names[plane].items() for name in ids]


def empty(on: Subject) -> None:
    """Take away everything that the devices hold, by the operator's hand."""

    async def run() -> None:
        for plane, driver in on.drivers.items():
            seen = await driver.observe(devices_of(on.fleet, plane))
            for device, entries in seen.entries.items():
                if entries:
                    fence = Fence(OPERATOR, EMPTYING_GENERATION)
                    await driver.remove(device, sorted(entries, key=lambda e: e.key), fence)

    asyncio.run(run())


def cluster_entries(on: Subject, cluster: ClusterId, nodes: Sequence[int], key: int) -> list[Entry]:
    """What a cluster on whole nodes holds on all planes; ``key`` serves every key pool."""
    entries: list[Entry] = [
        FileSystem(on.pool, key, f"/{cluster}", on.bytes_each),
        Export(on.pool, key, key),
        Gateway(on.site_of(nodes[0]), key, f"10.{key}.0.0/20", ()),
    ]
    for n in nodes:
        kind = on.fleet.fabrics.kind[int(on.fleet.fabric_of_node[n])]
        is_infiniband = kind is FabricKind.INFINIBAND
        entries += [
            PartitionMember(on.fabric_of(n), key, guid, "full")
            if is_infiniband
            else ComputePort(on.fabric_of(n), key, guid)
            for guid in on.guids(n)
        ]
        entries += [
            NetworkPort(on.node_id(n), 0, key, f"10.{key}.0.{n + 2}/20"),
            BmcAccount(on.node_id(n), str(cluster), f"{cluster}/bmc"),
            BmcRoute(on.site_of(n), f"cluster:{cluster}", on.node_id(n)),
            whole_slice(on, n, f"{cluster.replace('_', '-')}-{n}"),
        ]
    return entries
