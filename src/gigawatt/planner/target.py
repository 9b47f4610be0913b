"""Targets from placements: members, host indices and spread of one cluster."""

from collections.abc import Sequence

from gigawatt.boundary.target import ClusterTarget, Member, Role
from gigawatt.fleet.model import Fleet
from gigawatt.placement.result import Spread


def members_of(
    fleet: Fleet, slices: Sequence[tuple[int, int]], role: Role, first_host_index: int
) -> tuple[Member, ...]:
    """Members for (node index, GPU mask) pairs, host indices counted on from the first."""
    return tuple(
        Member(fleet.node_id(node), mask, role, first_host_index + position)
        for position, (node, mask) in enumerate(slices)
    )


def next_host_index(target: ClusterTarget) -> int:
    """Lowest host index that no member of the target has or had below it."""
    return 1 + max((member.host_index for member in target.members), default=-1)


def spread_of(fleet: Fleet, members: Sequence[Member]) -> Spread:
    """Spread of the members without the spares, counted afresh from the fleet."""
    nodes = {fleet.node_index(m.node_id) for m in members if m.role == "member"}
    groups = {int(fleet.nodes.leaf_group[node]) for node in nodes}
    nvlink_domains = {int(fleet.nodes.nvlink_domain[node]) for node in nodes}
    pods = {int(fleet.pod_of_node[node]) for node in nodes}
    if len(pods) > 1:
        hops = 5
    elif len(groups) > 1:
        hops = 3
    else:
        hops = 1 if len(nvlink_domains) > 1 else 0
    return Spread(len(pods), len(groups), len(nvlink_domains), len(nodes), hops)
