"""The exact search: fewest new pods, then leaf groups, then NVLink domains.

Let H_p(m) be the most units that pod p gives with m new leaf groups. Then

1. fewest pods k: the k largest H_p(all) reach n;
2. fewest leaf groups g within k pods: a table over (pods, leaf groups) of the most units;
3. fewest domains d within (k, g): the same with F_p(g, d), unless a bound settles it.

Only k pods per m can be needed: if a solution uses pod p with m groups and p is not among the k
best by H_p(m), one of those is unused and can stand in. So the table stays small however large
the fleet is: at most k options per m. Groups that ``near`` already uses cost nothing.

Source: ours.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gigawatt.fleet.model import I64
from gigawatt.placement.bound import reduce
from gigawatt.placement.index import FleetIndex
from gigawatt.placement.knapsack import Cost, Option, fill
from gigawatt.placement.supply import Mask, Supply


@dataclass(frozen=True, slots=True)
class Pick:
    """A leaf group that is used: its pod, new domains to open, units that it then gives."""

    pod: int
    leaf: int
    domain_count: int
    units: int


@dataclass(frozen=True, slots=True)
class Choice:
    """Where the units come from: the cost in new groups, and leaf groups that give enough.

    The domain figure is 0 where every domain is one node, since it is then the same everywhere.
    ``most_with_fewer`` is the evidence: the most units with one new pod less, and a bound of the
    units with one new leaf group less in as many pods; -1 where there is nothing less.
    """

    cost: Cost
    picks: tuple[Pick, ...]
    most_with_fewer: tuple[int, int] = (-1, -1)


@dataclass(frozen=True, slots=True)
class PodUse:
    """A pod that is used: its row in ``Profiles``, what it costs and how many units it gives."""

    row: int
    cost: Cost
    units: int


@dataclass(frozen=True, eq=False)
class Profiles:
    """Pods to choose from, with their capacity by count of new leaf groups.

    Fields (P pods given, M most leaf groups in a pod):
        pods: int64[P], rows of ``Fleet.pods``.
        leaves: int64[P, M], leaf groups: near ones first, then by units; padded with L.
        near_leaf_count: int64[P], how many of them are near.
        is_near: bool[P].
        units: int64[P, M+1], H_p(m).
    """

    index: FleetIndex
    supply: Supply
    pods: I64
    leaves: I64
    near_leaf_count: I64
    is_near: Mask
    units: I64

    @cached_property
    def total(self) -> I64:
        """int64[P]: all that a pod can give."""
        return self.units[:, -1]


def profiles(index: FleetIndex, supply: Supply, pods: I64) -> Profiles:
    """The profiles of the pods given."""
    leaves = index.leaves_of_pod[pods]
    units = supply.leaf_units[leaves]
    near = supply.near.leaf[leaves]
    # Near leaf groups sort before all others; argsort on one integer key is the fast way.
    order = np.argsort(-(units + near * (1 << 40)), axis=1, kind="stable")
    leaves = np.take_along_axis(leaves, order, axis=1)
    units = np.take_along_axis(units, order, axis=1)
    near_count = near.sum(axis=1)
    slots = np.arange(units.shape[1])
    is_paid = slots >= near_count[:, None]
    base = np.where(is_paid, 0, units).sum(axis=1, keepdims=True)
    paid = np.where(is_paid, units, 0)
    # Column m is the base and the m largest new groups: skip the near slots.
    running = np.concatenate((base, base + np.cumsum(paid, axis=1)), axis=1)
    column = np.minimum(np.arange(units.shape[1] + 1) + near_count[:, None], units.shape[1])
    running = np.take_along_axis(running, column, axis=1)
    return Profiles(
        index=index,
        supply=supply,
        pods=pods,
        leaves=leaves,
        near_leaf_count=near_count,
        is_near=supply.near.pod[pods],
        units=np.minimum(running, supply.pod_cap_units),
    )


def fewest_pods(table: Profiles, unit_count: int) -> int | None:
    """Fewest new pods that give ``unit_count`` units, or None."""
    need = unit_count - int(table.total[table.is_near].sum())
    if need <= 0:
        return 0
    running = np.cumsum(np.sort(table.total[~table.is_near])[::-1])
    if not len(running) or running[-1] < need:
        return None
    return int(np.searchsorted(running, need)) + 1


def top_rows(values: I64, total: I64, count: int) -> I64:
    """Rows of the ``count`` (>= 1) largest values, ties to the least total, then the lowest row."""
    if len(values) > 4 * count:
        rows = np.flatnonzero(values >= np.partition(values, -count)[-count])
    else:
        rows = np.arange(len(values))
    return rows[np.lexsort((total[rows], -values[rows]))[:count]]


def _greedy(table: Profiles, unit_count: int, pod_count: int) -> list[PodUse]:
    """Uses that suffice: leaf groups of the near pods and the largest others, largest first."""
    fresh = np.flatnonzero(~table.is_near)
    if pod_count:
        fresh = fresh[top_rows(table.total[fresh], table.total[fresh], pod_count)]
    rows = np.concatenate((np.flatnonzero(table.is_near), fresh[:pod_count]))
    gains = np.diff(table.units[rows], axis=1)
    order = np.argsort(-gains, axis=None, kind="stable")
    running = int(table.units[rows, 0].sum()) + np.concatenate(
        ([0], np.cumsum(gains.ravel()[order]))
    )
    taken = order[: int(np.searchsorted(running, unit_count))]
    counts = np.bincount(taken // gains.shape[1], minlength=len(rows)).tolist()
    return [
        PodUse(row, (int(not table.is_near[row]), count, 0), int(table.units[row, count]))
        for row, count in zip(rows.tolist(), counts, strict=True)
        if table.units[row, count]
    ]


def _leaf_items(
    table: Profiles, pod_count: int, leaf_count: int
) -> tuple[list[int], list[list[Option]]]:
    """Rows that can matter and their options by count of new leaf groups."""
    fresh = np.flatnonzero(~table.is_near)
    options: dict[int, list[Option]] = {int(row): [] for row in np.flatnonzero(table.is_near)}
    for row in options:
        steps = range(min(leaf_count, table.units.shape[1] - 1) + 1)
        options[row] = [Option((0, m, 0), int(table.units[row, m])) for m in steps]
    if pod_count:
        for m in range(1, min(leaf_count, table.units.shape[1] - 1) + 1):
            values = table.units[fresh, m]
            for row in fresh[top_rows(values, table.total[fresh], pod_count)].tolist():
                units = int(table.units[row, m])
                options.setdefault(row, []).append(Option((1, m, 0), units))
    return list(options), list(options.values())


def most_in_pods(table: Profiles, pod_count: int) -> int:
    """Most units in the near pods and ``pod_count`` others; -1 when ``pod_count`` is below 0."""
    if pod_count < 0:
        return -1
    fresh = np.sort(table.total[~table.is_near])[::-1]
    return int(table.total[table.is_near].sum() + fresh[:pod_count].sum())


def _most_anywhere(table: Profiles, leaf_count: int) -> int:
    """Units that ``leaf_count`` new leaf groups cannot exceed, however many pods they open."""
    gains = np.sort(np.diff(table.units, axis=1), axis=None)[::-1]
    return int(table.units[:, 0].sum() + gains[:leaf_count].sum())


def fewest_leaves(table: Profiles, unit_count: int, pod_count: int) -> tuple[list[PodUse], int]:
    """Pods to use and new leaf groups in each, fewest in all within ``pod_count`` new pods.

    Returns:
        the uses, and a bound of what one leaf group less would give (-1 when none is needed).
    """
    greedy = _greedy(table, unit_count, pod_count)
    upper = sum(use.cost[1] for use in greedy)
    if upper == 0:
        return greedy, -1
    limit = (pod_count, upper - 1, 0)
    rows, items = _leaf_items(table, pod_count, limit[1])
    reduced = reduce(items, limit, unit_count)
    filled = fill([options for _, options in reduced.kept], reduced.limit)
    enough = filled.best[reduced.limit[0], :, 0] >= unit_count
    if not enough.any():
        return greedy, min(reduced.bound, _most_anywhere(table, upper - 1), unit_count - 1)
    budget = (reduced.limit[0], int(np.argmax(enough)), 0)
    uses = []
    chosen = zip(reduced.kept, reduced.base, filled.trace(budget), strict=True)
    for (item, options), base, number in chosen:
        if number >= 0:
            option = options[number]
            pods, leaves = base[0] + option.cost[0], base[1] + option.cost[1]
            uses.append(PodUse(rows[item], (pods, leaves, 0), option.units))
    leaf_count = sum(use.cost[1] for use in uses)
    return uses, min(_most_anywhere(table, leaf_count - 1), unit_count - 1)


def leaves_of_use(table: Profiles, use: PodUse) -> list[int]:
    """Leaf groups behind a pod's use: the near ones and its largest new ones."""
    count = int(table.near_leaf_count[use.row]) + use.cost[1]
    leaves = table.leaves[use.row, :count].tolist()
    return [leaf for leaf in leaves if table.supply.leaf_units[leaf] > 0]


def domain_prefix(supply: Supply, leaf: int) -> tuple[I64, int]:
    """Units by count of new domains opened in a leaf group, and the near domains in it.

    Returns:
        int64[E+1], units with 0 to E new domains; and the count of near domains, which are the
        first of ``Supply.domain_rows`` and cost nothing.
    """
    near_count = int(supply.near.nvlink_domain[supply.domain_rows[leaf]].sum())
    running = np.concatenate(([0], np.cumsum(supply.domain_gains[leaf])))[near_count:]
    return np.minimum(running, supply.leaf_units[leaf]), near_count
