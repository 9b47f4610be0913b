"""Rendering: the entries that every device must hold for one cluster, from its target.

The answer is complete (nothing else may be on the devices for this cluster) and its order is
fixed, so equal targets render to equal tuples.
"""

from functools import lru_cache

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
    Power,
)
from gigawatt.boundary.keys import address_of, subnet_of
from gigawatt.boundary.names import (
    bmc_secret_ref_of,
    bmc_username_of,
    cluster_source_of,
    filesystem_path_of,
    hostname_of,
)
from gigawatt.boundary.target import ClusterTarget, Member
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.model import Fleet, NodeType
from gigawatt.fleet.slices import nics_of_mask


@lru_cache(maxsize=1024)
def _nics(node_type: NodeType, gpu_mask: int) -> tuple[int, ...]:
    return nics_of_mask(node_type, gpu_mask)


def _fabric_entries(fleet: Fleet, target: ClusterTarget, member: Member, node: int) -> list[Entry]:
    """One entry for each NIC of the slice: full member of the partition, or port in the VNI."""
    first = int(fleet.first_nic_of_node[node])
    numbers = _nics(fleet.node_type(node), member.gpu_mask)
    guids = fleet.nics.guid[first : first + fleet.node_type(node).nic_count].tolist()
    fabric_id, keys = target.fabric_id, target.keys
    if keys.p_key is not None:
        return [PartitionMember(fabric_id, keys.p_key, guids[nic], "full") for nic in numbers]
    if keys.compute_vni is not None:
        return [ComputePort(fabric_id, keys.compute_vni, guids[nic]) for nic in numbers]
    return []


def _bmc_entries(target: ClusterTarget, member: Member) -> list[Entry]:
    """The tenant's account on the BMC of a node it holds wholly, and its proxy's way to it."""
    cluster_id, node_id = target.cluster_id, member.node_id
    return [
        BmcAccount(node_id, bmc_username_of(cluster_id), bmc_secret_ref_of(cluster_id, node_id)),
        BmcRoute(target.site_id, cluster_source_of(cluster_id), node_id),
    ]


def render_member(
    fleet: Fleet, target: ClusterTarget, member: Member, power: Power
) -> tuple[Entry, ...]:
    """Entries that one member of ``target`` needs, in the order of the planes.

    A spare is fenced like a member and stays powered off whatever ``power`` says. A slice of a
    node becomes a guest and gets no way to the BMC, which commands the whole node.

    Raises:
        UnknownIdError: the fleet has no such node.
        NoCapacityError: the member's host index is past the network's last address.
    """
    node = fleet.node_index(member.node_id)
    slot = (member.gpu_mask & -member.gpu_mask).bit_length() - 1
    is_whole = member.gpu_mask == int(fleet.full_gpu_mask_of_node[node])
    vni, subnet = network_keys_of(target)
    entries = _fabric_entries(fleet, target, member, node)
    address = address_of(subnet_of(subnet), member.host_index)
    entries.append(NetworkPort(member.node_id, slot, vni, address))
    if is_whole:
        entries.extend(_bmc_entries(target, member))
    entries.append(
        HostSlice(
            node_id=member.node_id,
            gpu_mask=member.gpu_mask,
            guest=not is_whole,
            hostname=hostname_of(target.name, member.host_index),
            image=target.image,
            ssh_public_keys=target.ssh_public_keys,
            power="off" if member.role == "spare" else power,
        )
    )
    return tuple(entries)


def render_shared(fleet: Fleet, target: ClusterTarget) -> tuple[Entry, ...]:
    """Entries that a target has once: gateway, file system, exports of it and of what it mounts.

    An export lets in a whole network, and in the network are the hosts of one cluster alone. So
    it opens with the first member and closes with the last, and growing, shrinking and replacing
    need not touch it. A file system that stands alone has no network, so no export of its own.

    Raises:
        UnknownIdError: the fleet has no such site or storage pool.
    """
    if target.site_id not in fleet.sites.index_of:
        raise UnknownIdError(f"fleet {fleet.name!r} has no site {target.site_id!r}")
    if target.is_file_system:
        return (_file_system(fleet, target),)
    vni, subnet = network_keys_of(target)
    entries: list[Entry] = [
        Gateway(target.site_id, vni, subnet_of(subnet), target.egress_cidrs, target.inbound_rules)
    ]
    if target.storage_bytes:
        own = _file_system(fleet, target)
        entries += [own, Export(own.pool_id, own.filesystem, vni)]
    entries.extend(Export(mount.pool_id, mount.filesystem, vni) for mount in target.mounts)
    return tuple(entries)


def network_keys_of(target: ClusterTarget) -> tuple[int, int]:
    """VNI and subnet of a cluster, which every cluster has."""
    vni, subnet = target.keys.vni, target.keys.subnet
    assert vni is not None, f"{target.cluster_id} has no network"
    assert subnet is not None, f"{target.cluster_id} has no subnet"
    return vni, subnet


def _file_system(fleet: Fleet, target: ClusterTarget) -> FileSystem:
    """The file system of a target's own."""
    if target.pool_id is None or target.pool_id not in fleet.storage_pools.index_of:
        raise UnknownIdError(
            f"cluster {target.cluster_id!r} wants {target.storage_bytes} bytes of storage pool "
            f"{target.pool_id!r}, which fleet {fleet.name!r} does not have"
        )
    number = target.keys.filesystem
    assert number is not None, f"{target.cluster_id} has storage but no file system key"
    path = filesystem_path_of(target.tenant_id, target.cluster_id)
    return FileSystem(target.pool_id, number, path, target.storage_bytes)


@lru_cache(maxsize=16)
def render(fleet: Fleet, target: ClusterTarget, *, power: Power = "on") -> tuple[Entry, ...]:
    """Every entry of one cluster on all five planes: member by member, then what it shares.

    The last answers are kept: one operation asks a handful of times for the same targets.

    Args:
        fleet: what exists.
        target: the cluster as it shall be.
        power: power of the members' hosts; spares are off in any case.

    Raises:
        UnknownIdError: the fleet lacks a node, the site or the storage pool.
        NoCapacityError: more hosts than the network has addresses.
    """
    return (
        *(e for member in target.members for e in render_member(fleet, target, member, power)),
        *render_shared(fleet, target),
    )
