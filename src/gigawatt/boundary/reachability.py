"""Reachability: which cluster reaches which, plane by plane, from what the entries allow.

A second way to the answer of the proof, for people and for comparison with probes: the proof
asks whether each entry is right, this asks what the entries together let through.

A cluster a reaches a cluster b

- on the fabric, if a port of each is in one partition and at least one of the two is a full
  member (two limited members do not reach each other), or both are in one compute VNI, or a port
  of either is a full member of the default partition, in which every port of the fabric is;
- in-band, if both have a port in one VNI, or gateways of their VNIs have overlapping subnets, or
  a's gateway lets out into b's subnet, or b's gateway lets in from a's subnet;
- out-of-band, if a's proxy, a BMC of a's nodes, or a's gateway is let to the BMC of a node b is on;
- on storage, if a has a port in a VNI to which b's file system is exported, or one that lies at,
  above or below the path of b's;
- on hosts, if a has a host slice with GPUs of b's, or is on the bare host that b has a guest on.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network

import numpy as np
from numpy.typing import NDArray

from gigawatt.boundary.entries import DEFAULT_P_KEY, Entry, PartitionMember
from gigawatt.boundary.holdings import FREE, hold, slot_of
from gigawatt.boundary.names import BMC_SOURCE
from gigawatt.boundary.plane import PLANES, Plane
from gigawatt.boundary.rules.case import Case, is_full, make_case
from gigawatt.boundary.rules.host import clusters_under
from gigawatt.boundary.rules.in_band import is_inside, network_of
from gigawatt.boundary.rules.out_of_band import cluster_by_source
from gigawatt.boundary.rules.storage import may_mount
from gigawatt.boundary.target import ClusterTarget
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, FabricId, NodeId, SiteId, StoragePoolId

Matrix = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Reachability:
    """Who reaches whom.

    Fields:
        cluster_ids: clusters in the order of rows and columns.
        matrix: bool[C, C] by plane: row reaches column. The diagonal is True by definition;
            whether a cluster really talks in itself is for the proof to say.
    """

    cluster_ids: tuple[ClusterId, ...]
    matrix: dict[Plane, Matrix]

    @property
    def pairs(self) -> tuple[tuple[Plane, ClusterId, ClusterId], ...]:
        """Every (plane, from, to) of two different clusters that reaches."""
        return tuple(
            (plane, self.cluster_ids[a], self.cluster_ids[b])
            for plane, matrix in self.matrix.items()
            for a, b in np.argwhere(matrix).tolist()
            if a != b
        )


def expected_matrix(targets: Sequence[ClusterTarget]) -> dict[Plane, Matrix]:
    """What must come out: every cluster reaches itself and nothing else, on every plane.

    On storage a cluster also reaches the file systems of its tenant that its target mounts.
    """
    matrix = {plane: np.eye(len(targets), dtype=np.bool_) for plane in PLANES}
    row_of = {target.cluster_id: row for row, target in enumerate(targets)}
    for row, target in enumerate(targets):
        for mount in target.mounts:
            owner = row_of.get(mount.file_system_id)
            if owner is not None and may_mount(target, targets[owner]):
                matrix[Plane.STORAGE][row, owner] = True
    return matrix


def _join(matrix: Matrix, sources: Iterable[int], sinks: Iterable[int]) -> None:
    """Let every source reach every sink."""
    rows, columns = list(sources), list(sinks)
    if rows and columns:
        matrix[np.ix_(rows, columns)] = True


def _full_and_all(case: Case, members: list[PartitionMember]) -> tuple[set[int], set[int]]:
    """Clusters with a full member, and clusters with any member, in one partition."""
    full, anyone = set(), set()
    for member in members:
        cluster = case.holdings.cluster_of_guid(member.guid)
        if cluster != FREE:
            anyone.add(cluster)
            if is_full(member):
                full.add(cluster)
    return full, anyone


def _clusters_by_fabric(case: Case) -> dict[FabricId, set[int]]:
    """Clusters with a NIC on each fabric."""
    fleet = case.holdings.fleet
    fabric_of_node = fleet.fabric_of_node.tolist()
    clusters: dict[FabricId, set[int]] = {}
    for node_id, slot in case.holdings.nics_of_slot:
        fabric = fabric_of_node[fleet.node_index(node_id)]
        cluster, _ = case.holdings.slot_holders[node_id, slot]
        clusters.setdefault(FabricId(fleet.fabrics.ids[fabric]), set()).add(cluster)
    return clusters


def _fabric(case: Case, matrix: Matrix) -> None:
    on_fabric = _clusters_by_fabric(case)
    for (fabric_id, p_key), members in case.ib_partitions.items():
        full, anyone = _full_and_all(case, members)
        if p_key == DEFAULT_P_KEY:
            anyone |= on_fabric.get(fabric_id, set())
        _join(matrix, full, anyone)
        _join(matrix, anyone, full)
    for ports in case.compute_networks.values():
        clusters = {case.holdings.cluster_of_guid(port.guid) for port in ports} - {FREE}
        _join(matrix, clusters, clusters)


def _clusters_by_network(case: Case) -> dict[tuple[SiteId, int], set[int]]:
    """Clusters with a port in each in-band VNI."""
    holders = case.holdings.slot_holders
    return {
        network: {
            holders[port.node_id, port.slot][0]
            for port in ports
            if (port.node_id, port.slot) in holders
        }
        for network, ports in case.networks.items()
    }


def _in_band(case: Case, matrix: Matrix) -> None:
    clusters_by_network = _clusters_by_network(case)
    for clusters in clusters_by_network.values():
        _join(matrix, clusters, clusters)
    legs = [
        (gateway, subnet, clusters_by_network.get((gateway.site_id, gateway.vni), set()))
        for gateway in case.gateways
        if (subnet := network_of(gateway.subnet)) is not None
    ]
    legs.sort(key=lambda leg: (leg[0].site_id, int(leg[1][0])))
    for i, (gateway, subnet, clusters) in enumerate(legs):
        for other, other_subnet, others in legs[i + 1 :]:
            if other.site_id != gateway.site_id or int(other_subnet[0]) > int(subnet[-1]):
                break
            _join(matrix, clusters, others)
            _join(matrix, others, clusters)
    for is_inward in (False, True):
        for network, cidr in _inside(case, is_inward=is_inward):
            near = clusters_by_network.get(network, set())
            for other, other_subnet, others in legs:
                if other.site_id == network[0] and other_subnet.overlaps(cidr):
                    _join(matrix, *((others, near) if is_inward else (near, others)))


def _inside(case: Case, *, is_inward: bool) -> Iterator[tuple[tuple[SiteId, int], IPv4Network]]:
    """(site, VNI) and network of every way out, or way in, that names an inside network."""
    for gateway in case.gateways:
        sources = [rule.source_cidr for rule in gateway.inbound_rules]
        for text in sources if is_inward else gateway.egress_cidrs:
            cidr = network_of(text)
            if cidr is not None and is_inside(cidr):
                yield (gateway.site_id, gateway.vni), cidr


def _out_of_band(case: Case, matrix: Matrix) -> None:
    holdings, sources = case.holdings, cluster_by_source(case)
    for route in case.routes:
        if route.source.startswith(BMC_SOURCE):
            clusters = holdings.clusters_on(NodeId(route.source.removeprefix(BMC_SOURCE)))
        else:
            clusters = (sources[route.source],) if route.source in sources else ()
        _join(matrix, clusters, holdings.clusters_on(route.node_id))
    clusters_by_network = _clusters_by_network(case)
    bmc = holdings.fleet.nodes.bmc_ipv4
    for network, cidr in _inside(case, is_inward=False):
        aimed = np.flatnonzero((bmc >= int(cidr[0])) & (bmc <= int(cidr[-1])))
        for node in aimed.tolist():
            there = holdings.clusters_on(holdings.fleet.node_id(node))
            _join(matrix, clusters_by_network.get(network, set()), there)


def _ancestors(path: str) -> list[str]:
    """A path and every path above it."""
    parts = path.rstrip("/").split("/")
    return ["/".join(parts[:count]) for count in range(2, len(parts) + 1)]


def _kin(case: Case) -> dict[tuple[StoragePoolId, int], set[int]]:
    """Clusters whose data can be seen through each file system: over, under or at its path."""
    at: dict[tuple[StoragePoolId, str], list[int]] = {}
    for entry in case.filesystems:
        at.setdefault((entry.pool_id, entry.path.rstrip("/")), []).append(entry.filesystem)
    kin: dict[tuple[StoragePoolId, int], set[int]] = {}
    for entry in case.filesystems:
        for path in _ancestors(entry.path):
            for number in at.get((entry.pool_id, path), ()):
                for one, other in ((number, entry.filesystem), (entry.filesystem, number)):
                    clusters = case.holdings.of_filesystem(entry.pool_id, other)
                    kin.setdefault((entry.pool_id, one), set()).update(clusters)
    return kin


def _storage(case: Case, matrix: Matrix) -> None:
    clusters_by_network, kin = _clusters_by_network(case), _kin(case)
    for export in case.exports:
        site_id = case.holdings.site_of_storage_pool(export.pool_id)
        if site_id is not None:
            owners = set(case.holdings.of_filesystem(export.pool_id, export.filesystem))
            owners |= kin.get((export.pool_id, export.filesystem), set())
            _join(matrix, clusters_by_network.get((site_id, export.vni), set()), owners)


def _host(case: Case, matrix: Matrix) -> None:
    for host in case.hosts:
        if host.gpu_mask > 0:
            slot = slot_of(host.gpu_mask)
            holders = clusters_under(case, host.node_id, 1 << slot)
            mask = host.gpu_mask if host.guest else -1
            _join(matrix, holders, clusters_under(case, host.node_id, mask))


_FILL = {
    Plane.FABRIC: _fabric,
    Plane.IN_BAND: _in_band,
    Plane.OUT_OF_BAND: _out_of_band,
    Plane.STORAGE: _storage,
    Plane.HOST: _host,
}


def reachability(
    fleet: Fleet, targets: Sequence[ClusterTarget], entries: Iterable[Entry]
) -> Reachability:
    """Who reaches whom when the devices hold ``entries`` and ``targets`` say who holds what.

    Raises:
        UnknownIdError: a target names a node that the fleet does not have.
    """
    case = make_case(hold(fleet, targets), entries)
    matrix = expected_matrix(targets)
    for plane, fill in _FILL.items():
        fill(case, matrix[plane])
    return Reachability(tuple(target.cluster_id for target in targets), matrix)


CLUSTERS_SHOWN_MAX = 16
"""Widest full table; beyond it only clusters that reach others, or are reached, are shown."""


def reachability_table(reach: Reachability) -> str:
    """The matrix for people: a row reaches a column on the planes whose letters stand there.

    Letters: F fabric, I in_band, O out_of_band, S storage, H host; "." is fenced.
    """
    ids, count = reach.cluster_ids, len(reach.cluster_ids)
    crossing = {cluster for _, a, b in reach.pairs for cluster in (a, b)}
    shown = [i for i in range(count) if count <= CLUSTERS_SHOWN_MAX or ids[i] in crossing]
    width = max([len(ids[i]) for i in shown] + [len(PLANES)])
    decided = f"{count * (count - 1)} ordered pairs on {len(PLANES)} planes"
    lines = [f"{count} clusters, {decided}: {len(reach.pairs)} reach"]
    if shown:
        lines.append(" ".join([" " * width, *(ids[i].ljust(width) for i in shown)]).rstrip())
    for row in shown:
        cells = [
            "-"
            if row == column
            else "".join(
                plane.value[0].upper() if reach.matrix[plane][row, column] else "."
                for plane in PLANES
            )
            for column in shown
        ]
        line = " ".join([ids[row].ljust(width), *(cell.ljust(width) for cell in cells)])
        lines.append(line.rstrip())
    return "\n".join(lines) + "\n"
