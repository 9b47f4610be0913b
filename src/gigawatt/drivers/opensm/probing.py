"""Who reaches whom on a fabric, as its subnet managers answer PathRecord."""

from collections.abc import Awaitable, Callable, Collection

from gigawatt.drivers.opensm.partitions_conf import Partitions
from gigawatt.fleet.model import Fleet
from gigawatt.fleet.slices import nics_of_mask
from gigawatt.ids import ClusterId
from gigawatt.interfaces.driver import Endpoint

Paths = Collection[tuple[int, int]]
"""Pairs of port GUIDs."""

AskPaths = Callable[[Paths], Awaitable[Paths]]
"""Gives those of some pairs between which there is a path."""


async def reaches(
    fleet: Fleet, partitions: Partitions, pair: tuple[Endpoint, Endpoint], ask: AskPaths
) -> bool:
    """Whether the first endpoint reaches the second.

    Two of one cluster reach each other when every NIC of the one has a path to the NIC at the same
    place of the other: a rail that is down is a fault. Two of different clusters, or of none, do as
    soon as any two NICs have one: that is a leak.
    """
    (left, a_owner), (right, b_owner) = (_nics(fleet, partitions, endpoint) for endpoint in pair)
    if a_owner is not None and a_owner == b_owner:
        wanted = set(zip(left, right, strict=False))
        return bool(wanted) and set(await ask(wanted)) == wanted
    return bool(await ask({(a, b) for a in left for b in right}))


def _nics(
    fleet: Fleet, partitions: Partitions, endpoint: Endpoint
) -> tuple[tuple[int, ...], ClusterId | None]:
    """GUIDs of a slice's NICs in rail order, and who holds them.

    A fabric does not know where a slice ends: it ends where its first NIC's holder holds no more.
    """
    row = fleet.nodes.index_of[endpoint.node_id]
    mask = int(fleet.full_gpu_mask_of_node[row]) >> endpoint.slot << endpoint.slot
    first = int(fleet.first_nic_of_node[row])
    guids = [int(fleet.nics.guid[first + n]) for n in nics_of_mask(fleet.node_type(row), mask)]
    owners = [_owner(partitions, guid) for guid in guids]
    owner = owners[0] if owners else None
    return tuple(g for g, own in zip(guids, owners, strict=True) if own == owner), owner


def _owner(partitions: Partitions, guid: int) -> ClusterId | None:
    for partition in partitions.by_p_key.values():
        if guid in partition.members:
            return partition.owner
    return None
