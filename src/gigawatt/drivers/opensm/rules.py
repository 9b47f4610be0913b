"""What is refused before a byte is written, and what a call makes of the partitions."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from gigawatt.boundary.entries import DEFAULT_P_KEY, Entry, Membership, PartitionMember
from gigawatt.drivers.opensm.partitions_conf import GENERATION_MAX, NAME, IbPartition, IbPartitions
from gigawatt.errors import DriverPermanentError, StaleGenerationError
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import OPERATOR, Fence

P_KEYS_PER_PORT_MAX = 32
"""One block of a P_Key table, the default partition included.

Tables have 64 places, but OpenSM 3.3.23 does not clear the second block of a leaf's table when its
last P_Key goes: the port would stay in a partition that it was taken out of. Measured on ibsim.
"""

Members = tuple[PartitionMember, ...]


def refuse_fence(device: DeviceId, before: IbPartitions, fence: Fence) -> None:
    """Turn an old generation away, and a cluster that cannot be written into the file.

    Raises:
        DriverPermanentError: the cluster's id cannot name a partition, or the number is none.
        StaleGenerationError: the fence is older than one seen before.
    """
    if not NAME.match(fence.cluster_id) or not 0 <= fence.generation < GENERATION_MAX:
        raise DriverPermanentError(
            f"{device} refuses: {fence.cluster_id!r} with generation {fence.generation} cannot"
            " name a partition",
            device=device,
        )
    newest = before.generations.get(fence.cluster_id)
    if newest is not None and fence.generation < newest:
        raise StaleGenerationError(
            f"{device} has seen generation {newest} of {fence.cluster_id},"
            f" the call has {fence.generation}",
            device=device,
        )


def refuses_entries(device: DeviceId, entries: Sequence[Entry]) -> str | None:
    """Why entries are none of a device's partition members, each named once; None if they are."""
    wanted: dict[str, Entry] = {}
    for entry in entries:
        if entry.device != device:
            return f"{entry.key}: belongs on {entry.device}"
        if not isinstance(entry, PartitionMember):
            return (
                f"{entry.key}: {entry.fabric_id} is no RoCE fabric"
                if (entry.kind == "compute_port")
                else f"{entry.key}: is no partition member"
            )
        if wanted.setdefault(entry.key, entry) != entry:
            return f"{entry.key}: one call names it twice with different content"
    return None


def refuses_ensure(
    before: IbPartitions, wanted: Members, cluster_id: ClusterId, guids: Collection[int]
) -> str | None:
    """Why the fabric, whose NICs are ``guids``, cannot come to hold ``wanted`` for the cluster."""
    for entry in wanted:
        if not 1 <= entry.p_key < DEFAULT_P_KEY:
            return f"{entry.key}: P_Key is {entry.p_key:#06x}, wanted 0x0001 to 0x7ffe"
        if entry.guid not in guids:
            return f"{entry.key}: {entry.fabric_id} has no NIC {entry.guid:#018x}"
        held = before.by_p_key.get(entry.p_key)
        if held is not None and held.owner != cluster_id:
            return f"{entry.key}: partition {entry.p_key:#06x} is held by {held.owner}"
    p_keys = Counter(e.guid for e in wanted if before.entry(e.p_key, e.guid) is None)
    listed = Counter(guid for held in before.by_p_key.values() for guid in held.members)
    for guid, count in p_keys.items():
        # The default partition takes one place of every table.
        if listed[guid] + count + 1 > P_KEYS_PER_PORT_MAX:
            return f"P_Key table of {guid:#018x} is full ({P_KEYS_PER_PORT_MAX})"
    return None


def seen(before: IbPartitions, fence: Fence) -> IbPartitions:
    """The same partitions, and the fence noted."""
    generations = {**before.generations, fence.cluster_id: fence.generation}
    return replace(before, generations=generations)


def ensured(before: IbPartitions, wanted: Members, fence: Fence) -> IbPartitions:
    """What shall be after ``ensure``."""
    members = _members(before)
    for entry in wanted:
        members.setdefault(entry.p_key, {})[entry.guid] = entry.membership
    owners = {entry.p_key: fence.cluster_id for entry in wanted}
    return seen(_with(before, members, owners), fence)


def removed(device: DeviceId, before: IbPartitions, entries: Members, fence: Fence) -> IbPartitions:
    """What shall be after ``remove``; keys of other clusters stay unless the operator asks.

    Raises:
        StaleGenerationError: the operator's fence is older than the holder's.
    """
    members = _members(before)
    for entry in entries:
        held = before.by_p_key.get(entry.p_key)
        if held is None or entry.guid not in held.members:
            continue
        if fence.cluster_id == OPERATOR:
            newest = before.generations.get(held.owner, 0)
            if newest > fence.generation:
                raise StaleGenerationError(
                    f"{device} holds {entry.key} of {held.owner} since generation {newest},"
                    f" the operator's call has {fence.generation}",
                    device=device,
                )
        elif held.owner != fence.cluster_id:
            continue
        members[entry.p_key].pop(entry.guid, None)
    return seen(_with(before, members, {}), fence)


def _members(before: IbPartitions) -> dict[int, dict[int, Membership]]:
    return {p_key: dict(held.members) for p_key, held in before.by_p_key.items()}


def _with(
    before: IbPartitions,
    members: Mapping[int, Mapping[int, Membership]],
    owners: Mapping[int, ClusterId],
) -> IbPartitions:
    by_p_key = {
        p_key: IbPartition(
            owners[p_key] if p_key in owners else before.by_p_key[p_key].owner, ports
        )
        for p_key, ports in members.items()
        if ports
    }
    return replace(before, by_p_key=by_p_key)
