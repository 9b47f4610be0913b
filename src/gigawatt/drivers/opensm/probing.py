"""Who reaches whom on a fabric, as its subnet managers answer PathRecord."""

from collections.abc import Awaitable, Callable, Collection

from gigawatt.drivers.opensm.partitions_conf import IbPartitions
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import nics_of_mask
from gigawatt.ids import ClusterId
from gigawatt.interfaces.driver import Endpoint

Paths = Collection[tuple[int, int]]
"""Pairs of port GUIDs."""

AskPaths = Callable[[Paths], Awaitable[Paths]]
"""Gives those of some pairs between which there is a path."""


async def reaches(
    fleet: Fleet, ib_partitions: IbPartitions, pair: tuple[Endpoint, Endpoint], ask: AskPaths
) -> bool:
    """Whether the first endpoint reaches the second.

    Two of one cluster reach each other when every NIC of the one has a path to the NIC at the same
    place of the other: a rail that is down is a fault. Two of different clusters, or of none, do as
    soon as any two NICs have one: that is a leak.
    """
    (left, a_count, a_owner), (right, b_count, b_owner) = (
        _nics(fleet, ib_partitions, endpoint) for endpoint in pair
    )
    if a_owner is not None and a_owner == b_owner:
        count = max(a_count, b_count)
        wanted = set(zip(left[:count], right[:count], strict=False))
        return bool(wanted) and set(await ask(wanted)) == wanted
    return bool(await ask({(a, b) for a in left[:a_count] for b in right[:b_count]}))


def _nics(
    fleet: Fleet, ib_partitions: IbPartitions, endpoint: Endpoint
) -> tuple[tuple[int, ...], int, ClusterId | None]:
    """GUIDs of a node's NICs from a slot on, how many of them are the slice's, who holds them.

    A fabric does not know where a slice ends. Slices are 1, 2, 4 ... GPUs, so it is taken to be the
    smallest that has all that the first holder holds; a rail that is missing does not shorten it.
    """
    row = fleet.nodes.index_of[endpoint.node_id]
    mask = int(fleet.full_gpu_mask_of_node[row]) >> endpoint.slot << endpoint.slot
    first = int(fleet.first_nic_of_node[row])
    guids = tuple(int(fleet.nics.guid[first + n]) for n in nics_of_mask(fleet.node_type(row), mask))
    owners = [_owner(ib_partitions, guid) for guid in guids]
    owner = next((own for own in owners if own is not None), None)
    if owner is None:
        return guids, len(guids), None
    held_count = max(n for n, own in enumerate(owners, start=1) if own == owner)
    return guids, min(len(guids), 1 << (held_count - 1).bit_length()), owner


def _owner(ib_partitions: IbPartitions, guid: int) -> ClusterId | None:
    for partition in ib_partitions.by_p_key.values():
        if guid in partition.members:
            return partition.owner
    return None
