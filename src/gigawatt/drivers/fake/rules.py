"""What the devices refuse. Each function says why, or None when there is nothing to refuse."""

from collections import Counter

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
)
from gigawatt.drivers.fake.places import Places
from gigawatt.drivers.fake.state import DeviceState
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, DeviceId

P_KEYS_PER_GUID_MAX = 64
"""Size of a port's P_Key table, the default partition included (measured on ibsim)."""

VNI_MAX = 2**24 - 1
"""A VNI has 24 bits (RFC 7348, section 5)."""

Wanted = dict[str, Entry]
"""Entries of one call by key."""


def refuses_ensure(
    places: Places, device: DeviceId, state: DeviceState, wanted: Wanted, cluster_id: ClusterId
) -> str | None:
    """Why the device cannot come to hold ``wanted`` for the cluster."""
    for key, entry in wanted.items():
        old = state.held.get(key)
        if old is not None and old.owner not in {None, cluster_id}:
            return f"{key} is held by {old.owner}"
        reason = _refuses_entry(places, device, entry)
        if reason is not None:
            return f"{key}: {reason}"
    kind = device.partition("/")[0]
    if kind == "fabric":
        return _refuses_p_keys(state, wanted)
    if kind == "pool":
        return _refuses_less_than_used(state, wanted) or _refuses_storage(
            places, device, state, wanted, cluster_id
        )
    return _refuses_slices(state, wanted, cluster_id) if kind == "host" else None


def refuses_remove(state: DeviceState, leaving: frozenset[str]) -> str | None:
    """Why the device cannot let go of the keys in ``leaving``."""
    gone = {
        held.entry.filesystem
        for key, held in state.held.items()
        if key in leaving and isinstance(held.entry, FileSystem)
    }
    if not gone:
        return None
    for key, held in state.held.items():
        entry = held.entry
        if isinstance(entry, Export) and entry.filesystem in gone and key not in leaving:
            return f"filesystem {entry.filesystem} is still exported: {key}"
    return None


def _refuses_entry(places: Places, device: DeviceId, entry: Entry) -> str | None:
    if entry.device != device:
        return f"belongs on {entry.device}"
    reason: str | None = None
    match entry:
        case PartitionMember():
            reason = _refuses_member(places, entry)
        case ComputePort():
            reason = _refuses_nic(places, entry, FabricKind.ROCE) or _refuses_vni(entry.vni)
        case NetworkPort() | Gateway():
            reason = _refuses_vni(entry.vni)
        case BmcRoute():
            reason = _refuses_route(places, entry)
        case FileSystem() if entry.quota_bytes < 1:
            reason = f"quota is {entry.quota_bytes} bytes"
        case HostSlice():
            reason = _refuses_mask(places, entry)
        case BmcAccount() | FileSystem() | Export():
            pass
    return reason


def _refuses_vni(vni: int) -> str | None:
    return None if 1 <= vni <= VNI_MAX else f"VNI is {vni}, wanted 1 to {VNI_MAX}"


def _refuses_nic(
    places: Places, entry: PartitionMember | ComputePort, kind: FabricKind
) -> str | None:
    if places.fabric_kind(entry.device) is not kind:
        return f"{entry.fabric_id} is no {kind.value} fabric"
    node = places.node_of_guid.get(entry.guid)
    fabrics = places.fleet.fabrics
    if node is None or fabrics.ids[places.fleet.fabric_of_node[node]] != entry.fabric_id:
        return f"{entry.fabric_id} has no NIC {entry.guid:#018x}"
    return None


def _refuses_member(places: Places, entry: PartitionMember) -> str | None:
    if not 1 <= entry.p_key < DEFAULT_P_KEY:
        return f"P_Key is {entry.p_key:#06x}, wanted 0x0001 to 0x7ffe"
    return _refuses_nic(places, entry, FabricKind.INFINIBAND)


def _refuses_p_keys(state: DeviceState, wanted: Wanted) -> str | None:
    added = Counter(
        entry.guid
        for key, entry in wanted.items()
        if isinstance(entry, PartitionMember) and key not in state.held
    )
    for guid, count in added.items():
        listed = state.p_key_count[guid] + count
        if listed + 1 > P_KEYS_PER_GUID_MAX:
            return f"P_Key table of {guid:#018x} is full ({P_KEYS_PER_GUID_MAX})"
    return None


def _refuses_route(places: Places, entry: BmcRoute) -> str | None:
    fleet = places.fleet
    node = fleet.nodes.index_of.get(entry.node_id)
    if node is None or fleet.sites.ids[fleet.site_of_node[node]] != entry.site_id:
        return f"{entry.site_id} has no BMC of {entry.node_id}"
    return None


def _refuses_mask(places: Places, entry: HostSlice) -> str | None:
    full = int(places.fleet.full_gpu_mask_of_node[places.fleet.nodes.index_of[entry.node_id]])
    if entry.gpu_mask < 1 or entry.gpu_mask & ~full:
        return f"GPU mask is {entry.gpu_mask:#x}, the node has {full:#x}"
    return None


def _is_shareable(owner: ClusterId | None) -> bool:
    """Whether others than its owner may be let into a file system: those that stand alone."""
    return owner is not None and owner.startswith("fsy_")


def _refuses_less_than_used(state: DeviceState, wanted: Wanted) -> str | None:
    for key, entry in wanted.items():
        if isinstance(entry, FileSystem):
            used_bytes = state.facts.used_bytes.get(entry.filesystem, 0)
            if used_bytes > entry.quota_bytes:
                return f"{key}: holds {used_bytes} bytes, the quota would be {entry.quota_bytes}"
    return None


def _refuses_storage(
    places: Places, device: DeviceId, state: DeviceState, wanted: Wanted, cluster_id: ClusterId
) -> str | None:
    owners = {
        held.entry.filesystem: held.owner
        for held in state.held.values()
        if isinstance(held.entry, FileSystem)
    }
    owners |= {e.filesystem: cluster_id for e in wanted.values() if isinstance(e, FileSystem)}
    for key, entry in wanted.items():
        if not isinstance(entry, Export):
            continue
        if entry.filesystem not in owners:
            return f"{key}: there is no filesystem {entry.filesystem}"
        owner = owners[entry.filesystem]
        if owner not in {None, cluster_id} and not _is_shareable(owner):
            return f"{key}: the filesystem is held by {owner}"
    after = {key: held.entry for key, held in state.held.items()} | wanted
    quota_bytes = sum(e.quota_bytes for e in after.values() if isinstance(e, FileSystem))
    row = places.row(device)
    assert row is not None, f"{device} was not checked"
    capacity_bytes = int(places.fleet.storage_pools.capacity_bytes[row])
    if quota_bytes > capacity_bytes:
        return f"quotas would be {quota_bytes} of {capacity_bytes} bytes"
    return None


def _refuses_slices(state: DeviceState, wanted: Wanted, cluster_id: ClusterId) -> str | None:
    after = {key: held.entry for key, held in state.held.items()} | wanted
    taken = 0
    for entry in after.values():
        assert isinstance(entry, HostSlice), "a host holds slices only"
        if entry.gpu_mask & taken:
            return f"{entry.key}: GPUs {entry.gpu_mask & taken:#x} are in another slice"
        taken |= entry.gpu_mask
    for key, entry in wanted.items():
        assert isinstance(entry, HostSlice), "a host holds slices only"
        for gpu, last in state.facts.dirty.items():
            if entry.gpu_mask >> gpu & 1 and last != cluster_id:
                return f"{key}: GPU {gpu} was not cleaned since {last}"
    return None
