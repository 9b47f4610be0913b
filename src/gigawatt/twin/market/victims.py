"""Which spot clusters make room for somebody, in one area of the floor."""

from collections.abc import Collection, Mapping

import numpy as np

from gigawatt.market.victims import SpotHolding, choose_victims
from gigawatt.twin.market.floor import Floor, Run

Harm = Mapping[Run, float]
"""GPU-seconds that are thrown away when a cluster is stopped now."""


def victims_for(floor: Floor, area: int, gpu_count: int, harm: Harm) -> tuple[Run, ...]:
    """The clusters to stop so that ``gpu_count`` GPUs fit in an area; none if that is not enough.

    A request of whole nodes counts nodes: those of a cluster of nodes come all or none, and a node
    that clusters share by slices comes free when all of them stop.
    """
    if gpu_count < floor.gpus_per_node:
        return _for_slice(floor, area, gpu_count, harm)
    soon = floor.free | floor.coming
    is_ours = (floor.reserved_by == area) & ~floor.is_broken
    short = gpu_count // floor.gpus_per_node - int((is_ours & (soon == floor.full)).sum())
    if short < 1 or sum(run.gpu_count for run in harm) < short:
        return ()
    groups: dict[str, tuple[int, list[Run]]] = {}
    for run in harm:
        rows = [row for row in run.members if is_ours[row]]
        if run.gpu_count >= floor.gpus_per_node and rows:
            groups[run.cluster_id] = len(rows), [run]
    groups |= _shared_nodes(floor, np.flatnonzero(is_ours).tolist(), harm)
    return _chosen(groups, short, harm)


def _shared_nodes(
    floor: Floor, rows: Collection[int], harm: Harm
) -> dict[str, tuple[int, list[Run]]]:
    """Nodes of which every part is free, coming, or held by spot slices."""
    found = {}
    for row in rows:
        slices = [run for run in floor.runs_on[row] if len(run.members) == 1 and run in harm]
        whole = [run for run in slices if run.gpu_count == floor.gpus_per_node]
        if not slices or whole:
            continue
        mask = int(floor.free[row] | floor.coming[row])
        for run in slices:
            mask |= run.members[row]
        if mask == floor.full:
            found[f"row {row}"] = 1, slices
    return found


def _for_slice(floor: Floor, area: int, gpu_count: int, harm: Harm) -> tuple[Run, ...]:
    groups: dict[str, tuple[int, list[Run]]] = {
        run.cluster_id: (1, [run])
        for run in harm
        if any(
            floor.reserved_by[row] == area and mask.bit_count() >= gpu_count
            for row, mask in run.members.items()
            if not floor.is_broken[row]
        )
    }
    return _chosen(groups, 1, harm) if groups else ()


def _chosen(groups: Mapping[str, tuple[int, list[Run]]], short: int, harm: Harm) -> tuple[Run, ...]:
    if sum(count for count, _ in groups.values()) < short:
        return ()
    # Nodes count as one GPU each, so that the table of the exact choice stays small.
    holdings = [
        SpotHolding(name, count, count, 1, sum(harm[run] for run in runs) / count, 0.0)
        for name, (count, runs) in groups.items()
    ]
    chosen = choose_victims(holdings, short)
    return tuple(run for one in chosen for run in groups[one.cluster_id][1])
