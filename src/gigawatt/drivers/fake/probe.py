"""Who really reaches whom, from the true state and never from what read-back says."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property

from gigawatt.boundary.entries import (
    DEFAULT_P_KEY,
    BmcRoute,
    ComputePort,
    Export,
    FileSystem,
    HostSlice,
    NetworkPort,
    PartitionMember,
)
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake.state import Held
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import DriverPermanentError
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import Endpoint

Segment = tuple[int, bool]
"""P_Key or VNI, and whether the member is full (RoCE: always)."""

_IMPLIED: frozenset[Segment] = frozenset({(DEFAULT_P_KEY, False)})
"""Every InfiniBand port is a limited member of the default partition."""

Files = tuple[str, int]
"""Storage pool and number of a file system."""

NicSegments = tuple[frozenset[Segment], ...]
"""Segments of each NIC of one endpoint, in rail order."""

Pair = tuple[Endpoint, Endpoint]


def probe(world: DeviceWorld, plane: Plane, pairs: Sequence[Pair]) -> tuple[bool, ...]:
    """For each pair whether the first reaches what belongs to the second; see ``Driver.probe``.

    On the fabric, two slices of one cluster reach each other when every NIC of the one is joined
    with the NIC at the same place of the other: a rail that is down is a fault. Slices of
    different clusters reach each other as soon as any two NICs are joined: that is a leak. Two
    NICs are joined by a partition of which at least one is a full member, or by one VNI.

    Raises:
        DriverPermanentError: the fleet has no such node.
    """
    view = _View(world, {endpoint for pair in pairs for endpoint in pair}, plane)
    reaches: Callable[[Endpoint, Endpoint], bool] = {
        Plane.FABRIC: view.fabric,
        Plane.IN_BAND: view.in_band,
        Plane.OUT_OF_BAND: view.out_of_band,
        Plane.STORAGE: view.storage,
        Plane.HOST: view.host,
    }[plane]
    return tuple(reaches(a, b) for a, b in pairs)


class _View:
    """One reading of the devices that the pairs concern."""

    def __init__(self, world: DeviceWorld, endpoints: Iterable[Endpoint], plane: Plane) -> None:
        self._places = world.places
        fleet = world.fleet
        self._row: dict[Endpoint, int] = {}
        for endpoint in endpoints:
            row = fleet.nodes.index_of.get(endpoint.node_id)
            if row is None:
                raise DriverPermanentError(f"fleet {fleet.name!r} has no node {endpoint.node_id!r}")
            self._row[endpoint] = row
        names = {f"host/{endpoint.node_id}" for endpoint in self._row}
        if plane in {Plane.IN_BAND, Plane.STORAGE}:
            names |= {f"port/{endpoint.node_id}" for endpoint in self._row}
        if plane is Plane.FABRIC:
            rows = {int(fleet.fabric_of_node[row]) for row in self._row.values()}
            names |= {f"fabric/{fleet.fabrics.ids[row]}" for row in rows}
        if plane is Plane.OUT_OF_BAND:
            names |= {f"oob/{self._site(endpoint)}" for endpoint in self._row}
        if plane is Plane.STORAGE:
            names |= {f"pool/{name}" for name in fleet.storage_pools.ids}
        self._states = world.look([DeviceId(name) for name in sorted(names)])
        self._routes_at: dict[str, Mapping[str, frozenset[str]]] = {}
        self._bmcs: dict[tuple[ClusterId, str], frozenset[str]] = {}
        self._joined: dict[tuple[NicSegments, NicSegments, bool], bool] = {}
        self._nic_segments: dict[Endpoint, NicSegments] = {}

    def _site(self, endpoint: Endpoint) -> str:
        fleet = self._places.fleet
        return fleet.sites.ids[int(fleet.site_of_node[self._row[endpoint]])]

    def _held(self, name: str, key: str) -> Held | None:
        return self._states[DeviceId(name)].held.get(key)

    def _slice(self, endpoint: Endpoint) -> Held | None:
        return self._held(f"host/{endpoint.node_id}", f"slot/{endpoint.slot}")

    def _owner(self, endpoint: Endpoint) -> ClusterId | None:
        held = self._slice(endpoint)
        return None if held is None else held.owner

    def _is_one_cluster(self, a: Endpoint, b: Endpoint) -> bool:
        owner = self._owner(a)
        return owner is not None and owner == self._owner(b)

    @cached_property
    def _segments_of_guid(self) -> Mapping[int, frozenset[Segment]]:
        found: defaultdict[int, set[Segment]] = defaultdict(set)
        wanted = {guid for row in self._row.values() for guid in self._places.guids_of_node(row)}
        for device, state in self._states.items():
            if device.startswith("fabric/"):
                for held in state.held.values():
                    entry = held.entry
                    if not isinstance(entry, PartitionMember | ComputePort):
                        continue
                    if entry.guid not in wanted:
                        continue
                    if isinstance(entry, PartitionMember):
                        found[entry.guid].add((entry.p_key, entry.membership == "full"))
                    else:
                        found[entry.guid].add((entry.vni, True))
        return {guid: frozenset(segments) for guid, segments in found.items()}

    def _segments(self, endpoint: Endpoint) -> NicSegments:
        if endpoint not in self._nic_segments:
            row = self._row[endpoint]
            fleet = self._places.fleet
            held = self._slice(endpoint)
            mask = int(fleet.full_gpu_mask_of_node[row]) >> endpoint.slot << endpoint.slot
            if held is not None and isinstance(held.entry, HostSlice):
                mask = held.entry.gpu_mask
            kind = fleet.fabrics.kind[int(fleet.fabric_of_node[row])]
            implied = _IMPLIED if kind is FabricKind.INFINIBAND else frozenset()
            self._nic_segments[endpoint] = tuple(
                self._segments_of_guid.get(guid, frozenset()) | implied
                for guid in self._places.guids_of_slice(row, mask)
            )
        return self._nic_segments[endpoint]

    def fabric(self, a: Endpoint, b: Endpoint) -> bool:
        fabric_of_node = self._places.fleet.fabric_of_node
        if fabric_of_node[self._row[a]] != fabric_of_node[self._row[b]]:
            return False
        left, right, is_one = self._segments(a), self._segments(b), self._is_one_cluster(a, b)
        key = (left, right, is_one)
        if key not in self._joined:
            self._joined[key] = _are_joined(left, right, is_one_cluster=is_one)
        return self._joined[key]

    def _vni(self, endpoint: Endpoint) -> int | None:
        held = self._held(f"port/{endpoint.node_id}", f"slot/{endpoint.slot}")
        return held.entry.vni if held and isinstance(held.entry, NetworkPort) else None

    def in_band(self, a: Endpoint, b: Endpoint) -> bool:
        vni = self._vni(a)
        # Hosts may be another driver's: then nothing is known of them here.
        if a == b and self._slice(a) is not None and not self._is_on(a):
            return False
        return vni is not None and vni == self._vni(b) and self._site(a) == self._site(b)

    def out_of_band(self, a: Endpoint, b: Endpoint) -> bool:
        site = self._site(b)
        owner = self._owner(a)
        if owner is None or site != self._site(a):
            return False
        if (owner, site) not in self._bmcs:
            self._bmcs[owner, site] = self._reachable_bmcs(owner, site)
        return b.node_id in self._bmcs[owner, site]

    def _reachable_bmcs(self, owner: ClusterId, site: str) -> frozenset[str]:
        routes = self._routes(site)
        found: set[str] = set()
        fresh = set(routes.get(f"cluster:{owner}", ()))
        while fresh:
            found |= fresh
            fresh = {node for bmc in fresh for node in routes.get(f"bmc:{bmc}", ())} - found
        return frozenset(found)

    def _routes(self, site: str) -> Mapping[str, frozenset[str]]:
        """BMCs by the source that may reach them."""
        if site not in self._routes_at:
            routes: defaultdict[str, set[str]] = defaultdict(set)
            for held in self._states[DeviceId(f"oob/{site}")].held.values():
                if isinstance(held.entry, BmcRoute):
                    routes[held.entry.source].add(held.entry.node_id)
            self._routes_at[site] = {source: frozenset(bmcs) for source, bmcs in routes.items()}
        return self._routes_at[site]

    def storage(self, a: Endpoint, b: Endpoint) -> bool:
        owner = self._owner(b)
        within, theirs = self._mountable(a), self._mountable(b)
        if owner is None:
            return False
        own = self._owned.get(owner, frozenset())
        # What b's network is let into is b's by mounting it, unless it is another cluster's own.
        shared = {files for files in theirs if self._is_alone(files)}
        if self._is_one_cluster(a, b):
            return bool(own or shared) and own | shared <= within
        return bool((own | shared) & within)

    def _mountable(self, endpoint: Endpoint) -> frozenset[Files]:
        vni = self._vni(endpoint)
        return (
            frozenset()
            if vni is None
            else self._let_in.get((self._site(endpoint), vni), frozenset())
        )

    def _is_alone(self, files: Files) -> bool:
        held = self._held(f"pool/{files[0]}", f"filesystem/{files[1]}")
        return held is not None and held.owner is not None and held.owner.startswith("fsy_")

    @cached_property
    def _owned(self) -> Mapping[ClusterId, frozenset[Files]]:
        """File systems that are there, by owner."""
        found: defaultdict[ClusterId, set[Files]] = defaultdict(set)
        for name in self._places.fleet.storage_pools.ids:
            for held in self._states[DeviceId(f"pool/{name}")].held.values():
                if isinstance(held.entry, FileSystem) and held.owner is not None:
                    found[held.owner].add((name, held.entry.filesystem))
        return {owner: frozenset(files) for owner, files in found.items()}

    @cached_property
    def _let_in(self) -> Mapping[tuple[str, int], frozenset[Files]]:
        """File systems that are there and exported, by site and VNI."""
        found: defaultdict[tuple[str, int], set[Files]] = defaultdict(set)
        fleet = self._places.fleet
        for index, name in enumerate(fleet.storage_pools.ids):
            held_here = self._states[DeviceId(f"pool/{name}")].held
            site = fleet.sites.ids[fleet.storage_pools.site[index]]
            for held in held_here.values():
                entry = held.entry
                if isinstance(entry, Export) and f"filesystem/{entry.filesystem}" in held_here:
                    found[site, entry.vni].add((name, entry.filesystem))
        return {network: frozenset(files) for network, files in found.items()}

    def host(self, a: Endpoint, b: Endpoint) -> bool:
        return self._is_on(b) and self._is_one_cluster(a, b)

    def _is_on(self, endpoint: Endpoint) -> bool:
        held = self._slice(endpoint)
        return held is not None and isinstance(held.entry, HostSlice) and held.entry.power == "on"


def _are_joined(left: NicSegments, right: NicSegments, *, is_one_cluster: bool) -> bool:
    if is_one_cluster:
        pairs = list(zip(left, right, strict=False))
        return bool(pairs) and all(_share(a, b) for a, b in pairs)
    return any(_share(a, b) for a in set(left) for b in set(right))


def _share(a: frozenset[Segment], b: frozenset[Segment]) -> bool:
    return any((key, True) in b or (is_full and (key, False) in b) for key, is_full in a)
