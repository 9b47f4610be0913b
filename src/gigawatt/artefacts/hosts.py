"""The hosts of a cluster in rank order: the one list that every file is made from."""

from dataclasses import dataclass

from gigawatt.artefacts.names import checked_label
from gigawatt.artefacts.shape import HostShape, shape_of
from gigawatt.boundary.entries import HostSlice, NetworkPort
from gigawatt.boundary.render import render_member
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet


@dataclass(frozen=True, slots=True)
class MemberHost:
    """One member as its tenant sees it.

    Fields:
        rank: 0-based place in the cluster.
        hostname: RFC 1123 label.
        ipv4: address on the in-band network, without prefix length.
        shape: what the host has.
        leaf_group, nvlink_domain: rows of the fleet.
    """

    rank: int
    hostname: str
    ipv4: str
    shape: HostShape
    leaf_group: int
    nvlink_domain: int


def _host(fleet: Fleet, target: ClusterTarget, rank: int, member: Member) -> MemberHost:
    """Host name and address are read off what the devices are told, so they cannot differ."""
    entries = render_member(fleet, target, member, "on")
    hostname = next(e.hostname for e in entries if isinstance(e, HostSlice))
    address = next(e.ipv4 for e in entries if isinstance(e, NetworkPort))
    node = fleet.node_index(member.node_id)
    return MemberHost(
        rank=rank,
        hostname=checked_label(hostname, "host name"),
        ipv4=address.partition("/")[0],
        shape=shape_of(fleet.node_type(node), member.gpu_mask),
        leaf_group=int(fleet.nodes.leaf_group[node]),
        nvlink_domain=int(fleet.nodes.nvlink_domain[node]),
    )


def member_hosts(fleet: Fleet, target: ClusterTarget) -> tuple[MemberHost, ...]:
    """Hosts of the active members, in rank order; spares are not among them.

    Raises:
        InputError: the cluster has no member, or its name is not an RFC 1123 label.
        UnknownIdError: the fleet lacks a node.
        NoCapacityError: a host index is past the network's last address.
    """
    checked_label(target.name, "cluster name")
    members = target.active_members
    if not members:
        raise InputError(f"cluster {target.cluster_id!r} has no member, so it has no files")
    return tuple(_host(fleet, target, rank, member) for rank, member in enumerate(members))
