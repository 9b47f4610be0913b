"""Rules of hosts: GPUs, guests, images, and the order of closing."""

from collections.abc import Iterator
from itertools import combinations

from gigawatt.boundary.entries import HostSlice
from gigawatt.boundary.holdings import slot_of
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.rules.case import Case, Finding, Rule
from gigawatt.boundary.target import Member
from gigawatt.ids import DeviceId, NodeId


def holder_of(case: Case, host: HostSlice) -> tuple[int, Member] | None:
    """The (cluster, member) that holds exactly the GPUs of a host slice, None if nobody does."""
    if host.gpu_mask <= 0:
        return None
    holder = case.holdings.slot_holders.get((host.node_id, slot_of(host.gpu_mask)))
    return holder if holder is not None and holder[1].gpu_mask == host.gpu_mask else None


def clusters_under(case: Case, node_id: NodeId, gpu_mask: int) -> tuple[int, ...]:
    """Clusters that hold any GPU of a mask on a node."""
    holders = case.holdings.node_holders.get(node_id, ())
    return tuple(dict.fromkeys(c for c, member in holders if member.gpu_mask & gpu_mask))


def find_overlapping_slices(case: Case) -> Iterator[Finding]:
    """Host slices of one node that share a GPU."""
    by_node: dict[NodeId, list[HostSlice]] = {}
    for host in case.hosts:
        by_node.setdefault(host.node_id, []).append(host)
    for node_id, hosts in by_node.items():
        for one, other in combinations(hosts, 2):
            shared = one.gpu_mask & other.gpu_mask
            if shared and one != other:
                clusters = clusters_under(case, node_id, one.gpu_mask | other.gpu_mask)
                yield Finding(
                    clusters,
                    other.device,
                    node_id,
                    f"slices {one.gpu_mask:#x} and {other.gpu_mask:#x} of node {node_id} share "
                    f"GPUs {shared:#x} ({case.names(clusters)})",
                )


def find_foreign_slice(case: Case) -> Iterator[Finding]:
    """Host slices on a held node that are no member's slice."""
    for host in case.hosts:
        if host.node_id not in case.holdings.node_holders or holder_of(case, host) is not None:
            continue
        clusters = clusters_under(case, host.node_id, host.gpu_mask)
        holders = case.holdings.clusters_on(host.node_id)
        yield Finding(
            clusters or holders,
            host.device,
            host.node_id,
            f"node {host.node_id} ({case.names(holders)}) has a slice of GPUs {host.gpu_mask:#x}, "
            "which no target holds as one slice",
        )


def find_bare_metal_slice(case: Case) -> Iterator[Finding]:
    """Slices of a shared node that run on the bare host."""
    holdings = case.holdings
    for host in case.hosts:
        if not host.guest and holdings.whole_holder.get(host.node_id) is None:
            holders = holdings.clusters_on(host.node_id)
            if holders:
                yield Finding(
                    holders,
                    host.device,
                    host.node_id,
                    f"slice {host.gpu_mask:#x} of node {host.node_id} runs on the bare host and "
                    f"commands all of it ({case.names(holders)})",
                )


def find_altered_host(case: Case) -> Iterator[Finding]:
    """Slices that boot another image, or let in other SSH keys, than their target names."""
    for host in case.hosts:
        holder = holder_of(case, host)
        if holder is None:
            continue
        target = case.holdings.targets[holder[0]]
        foreign = set(host.ssh_public_keys) - set(target.ssh_public_keys)
        if foreign or host.image != target.image:
            what = f"lets in SSH key {min(foreign)[:40]!r}" if foreign else f"boots {host.image!r}"
            yield Finding(
                (holder[0],),
                host.device,
                host.node_id,
                f"slice {host.gpu_mask:#x} of node {host.node_id} {what}, which "
                f"{case.name(holder[0])} did not ask for",
            )


def find_half_closed(case: Case) -> Iterator[Finding]:
    """Running slices that are not fenced in on the fabric and in-band yet, or no longer."""
    holdings = case.holdings
    for host in case.hosts:
        holder = holder_of(case, host) if host.power == "on" else None
        if holder is None:
            continue
        slot = (host.node_id, host.slot)
        open_nics = sum(not case.closed_nics[nic] for nic in holdings.nics_of_slot[slot])
        has_port = slot in case.closed_slots
        if open_nics or not has_port:
            lack = f"{open_nics} NICs not in its partition" if open_nics else ""
            lack += "" if has_port else (", " if lack else "") + "no in-band port in its network"
            yield Finding(
                (holder[0],),
                host.device,
                host.node_id,
                f"slice {host.gpu_mask:#x} of node {host.node_id} ({case.name(holder[0])}) runs "
                f"half-closed: {lack}",
            )


def find_host_stranger(case: Case) -> Iterator[Finding]:
    """Host slices on nodes that no target holds."""
    for host in case.hosts:
        if host.node_id not in case.holdings.node_holders and not case.is_buried(host):
            yield Finding(
                (),
                host.device,
                host.node_id,
                f"node {host.node_id}, which no target holds, has slice {host.gpu_mask:#x} "
                f"({host.hostname}), power {host.power}",
            )


def find_missing_host_entry(case: Case) -> Iterator[Finding]:
    """Members without their slice on the host."""
    present = {(host.node_id, host.gpu_mask) for host in case.hosts}
    for node_id, holders in case.holdings.node_holders.items():
        for cluster, member in holders:
            if (node_id, member.gpu_mask) not in present:
                yield Finding(
                    (cluster,),
                    DeviceId(f"host/{node_id}"),
                    node_id,
                    f"node {node_id} has no slice {member.gpu_mask:#x} for {case.name(cluster)}",
                )


_HOST = Plane.HOST
HOST_RULES = (
    Rule(
        "overlapping_slices",
        _HOST,
        "isolation",
        "Two guests with one GPU: what one leaves in its memory the other reads (LeftoverLocals).",
        find_overlapping_slices,
    ),
    Rule(
        "foreign_slice",
        _HOST,
        "isolation",
        "A guest that was given GPUs of its neighbour, or a slice that nobody asked for.",
        find_foreign_slice,
    ),
    Rule(
        "bare_metal_slice",
        _HOST,
        "isolation",
        "A tenant on the bare host commands every guest beside it: a container is no boundary.",
        find_bare_metal_slice,
    ),
    Rule(
        "altered_host",
        _HOST,
        "isolation",
        "A planted SSH key or a swapped image: somebody else is root on the tenant's host.",
        find_altered_host,
    ),
    Rule(
        "half_closed",
        _HOST,
        "isolation",
        "A host that runs the tenant's code before its fences are up attacks from inside.",
        find_half_closed,
    ),
    Rule(
        "host_stranger",
        _HOST,
        "isolation",
        "A slice outside every target: an earlier tenant that was never switched off.",
        find_host_stranger,
    ),
    Rule(
        "missing_host_entry",
        _HOST,
        "connection",
        "A node that the tenant pays for and that was never given to it.",
        find_missing_host_entry,
    ),
)
