"""The case that rules judge, and what a rule finds."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
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
    PortLocation,
)
from gigawatt.boundary.holdings import FREE, Holdings
from gigawatt.boundary.plane import Plane
from gigawatt.ids import DeviceId, FabricId, KeyPoolId, NodeId, SiteId

Scope = Literal["targets", "read_back"]
Breaks = Literal["isolation", "connection"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One fault found: clusters involved (positions in the targets), device, node, sentence."""

    clusters: tuple[int, ...]
    device: DeviceId | None
    node_id: NodeId | None
    sentence: str


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """What a proof is about: holdings, entries by kind, and what must be gone.

    Fields:
        holdings: who holds what.
        entries: all entries, in the order given.
        ib_partitions: members by (fabric, P_Key without its membership bit).
        compute_networks: compute ports by (fabric, VNI).
        networks: in-band ports of known nodes by (site, VNI).
        gateways, accounts, routes, filesystems, exports, hosts: entries of that kind.
        lost_ports: in-band ports of nodes that the fleet does not know.
        port_locations: where the fabrics see NICs.
        buried: (device, key) of entries under a tombstone.
        buried_keys: keys that no cluster may hold yet.
        scope: "targets" for entries that shall be, "read_back" for entries that are.
        closed_nics: 1 for each NIC row with an entry that fences it into its own cluster.
        closed_slots: held slots with an in-band port in their own network.
    """

    holdings: Holdings
    entries: tuple[Entry, ...]
    port_locations: Sequence[PortLocation]
    buried: Collection[tuple[DeviceId, str]]
    buried_keys: Collection[tuple[KeyPoolId, int]]
    scope: Scope
    ib_partitions: dict[tuple[FabricId, int], list[PartitionMember]]
    compute_networks: dict[tuple[FabricId, int], list[ComputePort]]
    networks: dict[tuple[SiteId, int], list[NetworkPort]]
    lost_ports: list[NetworkPort]
    gateways: list[Gateway]
    accounts: list[BmcAccount]
    routes: list[BmcRoute]
    filesystems: list[FileSystem]
    exports: list[Export]
    hosts: list[HostSlice]
    closed_nics: bytearray = field(default_factory=bytearray)
    closed_slots: set[tuple[NodeId, int]] = field(default_factory=set)

    def name(self, cluster: int) -> str:
        """A cluster as people read it: id and tenant."""
        if cluster == FREE:
            return "nobody"
        target = self.holdings.targets[cluster]
        return f"cluster {target.cluster_id} of tenant {target.tenant_id}"

    def names(self, clusters: Iterable[int]) -> str:
        """Several clusters as people read them."""
        return " and ".join(self.name(cluster) for cluster in dict.fromkeys(clusters)) or "nobody"

    def is_buried(self, entry: Entry) -> bool:
        """Whether an entry is under a tombstone: to be removed, not yet observed gone."""
        return bool(self.buried) and (entry.device, entry.key) in self.buried

    def held_partitions(
        self,
    ) -> Iterator[tuple[FabricId, int, list[int], list[PartitionMember]]]:
        """Fabric, P_Key, clusters that hold it, and members, of all but the default partition."""
        for (fabric_id, p_key), members in self.ib_partitions.items():
            if p_key != DEFAULT_P_KEY:
                yield fabric_id, p_key, self.holdings.of_p_key(fabric_id, p_key), members

    def held_compute_networks(
        self,
    ) -> Iterator[tuple[FabricId, int, list[int], list[ComputePort]]]:
        """Fabric, VNI, clusters that hold it, and ports, of every compute network."""
        for (fabric_id, vni), ports in self.compute_networks.items():
            yield fabric_id, vni, self.holdings.of_key("compute_vni", fabric_id, vni), ports

    def held_networks(self) -> Iterator[tuple[SiteId, int, list[int], list[NetworkPort]]]:
        """Site, VNI, clusters that hold it, and ports, of every in-band network."""
        for (site_id, vni), ports in self.networks.items():
            yield site_id, vni, self.holdings.of_vni(site_id, vni), ports


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of the proof.

    Fields:
        name: short noun phrase in snake case.
        plane: the plane it watches.
        breaks: what a finding disproves.
        attack: the attack or fault that it answers.
        find: the judging function.
    """

    name: str
    plane: Plane
    breaks: Breaks
    attack: str
    find: Callable[[Case], Iterator[Finding]]


def is_full(member: PartitionMember) -> bool:
    """Whether a member is full: by its field, or by bit 15 of a raw P_Key (IBA vol. 1, 10.9)."""
    return member.membership == "full" or bool(member.p_key & 0x8000)


def _group(pairs: Iterable[tuple[Any, Any]]) -> dict[Any, list[Any]]:
    groups: defaultdict[Any, list[Any]] = defaultdict(list)
    for key, value in pairs:
        groups[key].append(value)
    return dict(groups)


def _split(entries: Iterable[Entry]) -> dict[type, list[Any]]:
    by_kind: dict[type, list[Any]] = {
        kind: []
        for kind in (
            PartitionMember,
            ComputePort,
            NetworkPort,
            Gateway,
            BmcAccount,
            BmcRoute,
            FileSystem,
            Export,
            HostSlice,
        )
    }
    for entry in entries:
        by_kind[type(entry)].append(entry)
    return by_kind


def make_case(
    holdings: Holdings,
    entries: Iterable[Entry],
    *,
    port_locations: Sequence[PortLocation] = (),
    buried: Collection[tuple[DeviceId, str]] = (),
    buried_keys: Collection[tuple[KeyPoolId, int]] = (),
    scope: Scope = "targets",
) -> Case:
    """Entries sorted into groups by the key that lets them meet; one pass over all of them."""
    listed = tuple(entries)
    by_kind = _split(listed)
    site_of = {
        node_id: holdings.site_of_node(node_id)
        for node_id in {entry.node_id for entry in by_kind[NetworkPort]}
    }
    case = Case(
        holdings=holdings,
        entries=listed,
        port_locations=port_locations,
        buried=frozenset(buried),
        buried_keys=frozenset(buried_keys),
        scope=scope,
        ib_partitions=_group(
            ((e.fabric_id, e.p_key & 0x7FFF), e) for e in by_kind[PartitionMember]
        ),
        compute_networks=_group(((e.fabric_id, e.vni), e) for e in by_kind[ComputePort]),
        networks=_group(
            ((site, e.vni), e)
            for e in by_kind[NetworkPort]
            if (site := site_of[e.node_id]) is not None
        ),
        lost_ports=[e for e in by_kind[NetworkPort] if site_of[e.node_id] is None],
        gateways=by_kind[Gateway],
        accounts=by_kind[BmcAccount],
        routes=by_kind[BmcRoute],
        filesystems=by_kind[FileSystem],
        exports=by_kind[Export],
        hosts=by_kind[HostSlice],
        closed_nics=bytearray(len(holdings.cluster_of_nic)),
    )
    _close(case)
    return case


def _close(case: Case) -> None:
    """Mark NICs and slots that are fenced into their own cluster."""
    holdings, closed = case.holdings, case.closed_nics
    nic_of_guid, cluster_of_nic = holdings.nic_of_guid, holdings.cluster_of_nic
    for groups in (case.held_partitions(), case.held_compute_networks()):
        for _, _, holders, ports in groups:
            for port in ports:
                nic = nic_of_guid.get(port.guid)
                if nic is not None and cluster_of_nic[nic] in holders:
                    closed[nic] = 1
    for _, _, holders, network_ports in case.held_networks():
        for network_port in network_ports:
            slot = (network_port.node_id, network_port.slot)
            holder = holdings.slot_holders.get(slot)
            if holder is not None and holder[0] in holders:
                case.closed_slots.add(slot)
