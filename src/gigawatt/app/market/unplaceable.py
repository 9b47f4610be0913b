"""Free GPUs that nobody can be given: how many, for which sizes, and what would change it."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gigawatt.app.holdings import FleetHoldings
from gigawatt.app.market.utilisation import Asked
from gigawatt.fleet.model import I64, U16, Fleet
from gigawatt.fleet.slices import offered_sizes
from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.interfaces.holders import LEAVING
from gigawatt.interfaces.store import NodeState, StoreSnapshot
from gigawatt.market.emptying import Emptying, emptyings
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.promises import Holder
from gigawatt.market.stranded import Fit, fit_of

EMPTYINGS_MAX = 25
"""Nodes that are named as worth emptying, of one type and site. Ours: a morning's work."""

NODE_STEPS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
"""Whole nodes whose sizes are judged even if nobody asked. Ours: powers of two, as jobs come."""

_SOMEBODY = Holder(TenantId(""))
"""Whoever asks on demand, with no reservation."""


@dataclass(frozen=True, slots=True)
class SizeLost:
    """One size: how often it fits, what is of no use to it, and who asked for it in vain."""

    gpu_count: int
    fit: Fit
    asked_count: int


@dataclass(frozen=True, slots=True)
class FabricRoom:
    """Whole free nodes of one type on one fabric."""

    fabric_id: str
    whole_node_count: int


@dataclass(frozen=True, slots=True)
class NodeEmptied:
    """A node that becomes whole if its slices move, and who holds them."""

    node_id: NodeId
    cluster_ids: tuple[ClusterId, ...]
    moved_gpu_count: int
    gained_gpu_count: int
    to_node_ids: tuple[NodeId, ...]


@dataclass(frozen=True, slots=True)
class TypeLost:
    """One node type at one site; counts are of GPUs.

    Fields:
        gpu_count: all; the five counts after it sum to it.
        placeable_gpu_count: free, for whoever asks on demand.
        promised_gpu_count: free, and kept for reservations.
        leaving_gpu_count: on their way back: released, not yet clean.
        out_gpu_count: not held, on nodes that are drained or quarantined.
        held_gpu_count: held by clusters.
        part_gpu_count: of the placeable, those on nodes of which another part is taken.
        sizes: by size, the smallest first.
        fabrics: by fabric, the roomiest first.
        emptied: what could be moved, the least first; each takes those before it as done.
        out_nodes: nodes out of service that nobody holds, with state and reason.
    """

    node_type: str
    gpu_type: str
    site_id: str
    gpus_per_node: int
    gpu_count: int
    placeable_gpu_count: int
    promised_gpu_count: int
    leaving_gpu_count: int
    out_gpu_count: int
    held_gpu_count: int
    part_gpu_count: int
    sizes: tuple[SizeLost, ...]
    fabrics: tuple[FabricRoom, ...]
    emptied: tuple[NodeEmptied, ...]
    out_nodes: tuple[tuple[NodeId, NodeState, str], ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Floor:
    """What every type is judged by."""

    fleet: Fleet
    now: FleetHoldings
    free_gpu_mask: U16
    promised_gpu_mask: U16
    leaving: frozenset[ClusterId]


def unplaceable(
    stored: StoreSnapshot,
    now: FleetHoldings,
    asked: Sequence[Asked],
    policy: NoticePolicy,
    now_s: float,
) -> tuple[TypeLost, ...]:
    """Every node type at every site, the one with most GPUs that some size cannot use first.

    ``asked`` are sizes that were asked for in vain.
    """
    fleet = now.fleet
    free = now.free_gpu_mask.copy()
    nodes = frozenset(NodeId(node_id) for node_id in fleet.nodes.ids)
    barred = stored.promises.barred(_SOMEBODY, now_s, policy, nodes)
    rows = [fleet.nodes.index_of[node_id] for node_id in barred]
    promised = np.zeros_like(free)
    promised[rows], free[rows] = free[rows], 0
    leaving = frozenset(
        cluster_id
        for cluster_id in {found for _, found in stored.allocations}
        if cluster_id not in stored.clusters or stored.clusters[cluster_id].phase in LEAVING
    )
    floor = _Floor(fleet, now, free, promised, leaving)
    found = [
        _type_lost(floor, index, site, asked)
        for index in range(len(fleet.node_types))
        for site in np.unique(fleet.site_of_node[fleet.nodes.type == index]).tolist()
    ]
    return tuple(sorted(found, key=lambda one: -one.part_gpu_count))


def _type_lost(floor: _Floor, index: int, site: int, asked: Sequence[Asked]) -> TypeLost:
    fleet, now, kind = floor.fleet, floor.now, floor.fleet.node_types[index]
    rows = np.flatnonzero((fleet.nodes.type == index) & (fleet.site_of_node == site))
    free, fabric = floor.free_gpu_mask[rows], fleet.fabric_of_node[rows].astype(np.int64)
    is_whole = free == fleet.full_gpu_mask_of_node[rows]
    gpu_count, placeable = len(rows) * kind.gpu_count, _gpus(free)
    promised = _gpus(floor.promised_gpu_mask[rows])
    held, leaving = _held(floor, rows)
    out = [row for row in rows.tolist() if fleet.nodes.ids[row] in now.states]
    wanted = Counter(one.gpu_count for one in asked if one.gpu_type in {None, kind.gpu_type})
    sizes = _sizes(offered_sizes(kind), len(rows), wanted)
    return TypeLost(
        node_type=kind.name,
        gpu_type=kind.gpu_type,
        site_id=fleet.sites.ids[site],
        gpus_per_node=kind.gpu_count,
        gpu_count=gpu_count,
        placeable_gpu_count=placeable,
        promised_gpu_count=promised,
        leaving_gpu_count=leaving,
        held_gpu_count=held,
        out_gpu_count=gpu_count - placeable - promised - leaving - held,
        part_gpu_count=_gpus(free[~is_whole]),
        sizes=tuple(
            SizeLost(size, fit_of(free, fabric, kind.gpu_count, size), wanted[size])
            for size in sizes
        ),
        fabrics=_fabrics(fleet, fabric, is_whole),
        emptied=tuple(_emptied(floor, rows, free, kind.gpu_count)),
        out_nodes=tuple(
            (NodeId(fleet.nodes.ids[row]), *now.states[NodeId(fleet.nodes.ids[row])])
            for row in out
            if row not in now.holders
        ),
    )


def _gpus(mask: U16) -> int:
    return int(np.bitwise_count(mask).sum())


def _held(floor: _Floor, rows: NDArray[np.int64]) -> tuple[int, int]:
    """GPUs held by clusters that stay, and by those that are on their way out."""
    counts = [0, 0]
    for row in rows.tolist():
        for cluster_id, mask in floor.now.holders.get(row, ()):
            counts[cluster_id in floor.leaving] += mask.bit_count()
    return counts[0], counts[1]


def _sizes(offered: Sequence[int], node_count: int, wanted: Mapping[int, int]) -> list[int]:
    """Sizes that are judged: those that nodes offer, whole nodes by powers of two, those asked."""
    nodes = {step * offered[-1] for step in NODE_STEPS if step <= node_count}
    return sorted({*offered, *nodes, *wanted})


def _fabrics(fleet: Fleet, fabric: I64, is_whole: NDArray[np.bool_]) -> tuple[FabricRoom, ...]:
    counts = np.bincount(fabric, is_whole, len(fleet.fabrics)).astype(np.int64)
    found = [FabricRoom(fleet.fabrics.ids[row], int(counts[row])) for row in np.unique(fabric)]
    return tuple(sorted(found, key=lambda one: -one.whole_node_count))


def _emptied(
    floor: _Floor, rows: NDArray[np.int64], free: U16, gpus_per_node: int
) -> Iterator[NodeEmptied]:
    """What could be moved; nodes of clusters on their way out empty themselves."""
    holders = floor.now.holders
    held = {
        number: [mask for _, mask in holders[row]]
        for number, row in enumerate(rows.tolist())
        if row in holders and not any(name in floor.leaving for name, _ in holders[row])
    }
    ids = floor.fleet.nodes.ids

    def node_id(number: int) -> NodeId:
        return NodeId(ids[int(rows[number])])

    found: Sequence[Emptying] = emptyings(free, held, gpus_per_node, EMPTYINGS_MAX)
    for one in found:
        yield NodeEmptied(
            node_id=node_id(one.node),
            cluster_ids=tuple(name for name, _ in holders[int(rows[one.node])]),
            moved_gpu_count=one.moved_gpu_count,
            gained_gpu_count=one.gained_gpu_count,
            to_node_ids=tuple(dict.fromkeys(map(node_id, one.to_nodes))),
        )
