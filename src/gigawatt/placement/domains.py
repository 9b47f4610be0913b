"""The third stage: fewest new NVLink domains, given the fewest pods and leaf groups.

A greedy pass over the leaf groups of the second stage gives an upper bound, the largest domains
anywhere a lower one. When they differ, a table over all three budgets decides, made small by a
bound first.

Source: ours.
"""

from collections.abc import Sequence

import numpy as np

from gigawatt.fleet.model import I64
from gigawatt.placement.bound import reduce
from gigawatt.placement.knapsack import Cost, Option, fill
from gigawatt.placement.search import Choice, Pick, Profiles, domain_prefix, top_rows
from gigawatt.placement.supply import Mask


def open_domains(
    table: Profiles, leaves: Sequence[tuple[int, int]], unit_count: int
) -> tuple[Pick, ...]:
    """Picks for the (pod, leaf group) pairs given, with the fewest new domains in all."""
    prefixes = [domain_prefix(table.supply, leaf)[0] for _, leaf in leaves]
    steps = sorted(
        (-int(gain), item)
        for item, prefix in enumerate(prefixes)
        for gain in np.diff(prefix)
        if gain > 0
    )
    units = [int(prefix[0]) for prefix in prefixes]
    opened = [0] * len(leaves)
    left_in_pod = {pod: table.supply.pod_cap_units for pod, _ in leaves}
    for (pod, _), count in zip(leaves, units, strict=True):
        left_in_pod[pod] -= count
    have = sum(units) + sum(min(0, left) for left in left_in_pod.values())
    for loss, item in steps:
        if have >= unit_count:
            break
        pod = leaves[item][0]
        useful = min(-loss, left_in_pod[pod])
        if useful <= 0:
            continue
        left_in_pod[pod] -= useful
        have += useful
        units[item] -= loss
        opened[item] += 1
    return tuple(
        Pick(pod, leaf, opened[item], units[item])
        for item, (pod, leaf) in enumerate(leaves)
        if units[item] > 0
    )


def fewest_conceivable(table: Profiles, unit_count: int) -> int:
    """New domains that no choice can undercut: the largest ones, wherever they are."""
    supply = table.supply
    leaves = table.index.leaves_of_pod[table.pods].ravel()
    leaves = leaves[leaves < len(supply.domain_rows)]
    gains, rows = supply.domain_gains[leaves], supply.domain_rows[leaves]
    is_near = supply.near.nvlink_domain[rows]
    need = unit_count - int(gains[is_near].sum())
    running = np.cumsum(np.sort(gains[~is_near])[::-1])
    return int(np.searchsorted(running, need)) + 1 if need > 0 else 0


def _items_of_pod(table: Profiles, row: int, limit: Cost) -> tuple[list[int], list[list[Option]]]:
    """Leaf groups of a pod and their options by count of new domains."""
    supply = table.supply
    leaves = [leaf for leaf in table.leaves[row].tolist() if supply.leaf_units[leaf] > 0]
    items = []
    for leaf in leaves:
        prefix, _ = domain_prefix(supply, leaf)
        new = int(not supply.near.leaf[leaf])
        items.append(
            [
                Option((0, new, opened), int(units))
                for opened, units in enumerate(prefix[: limit[2] + 1])
                if units > (prefix[opened - 1] if opened else 0)
            ]
        )
    return leaves, items


def _capacities(table: Profiles, rows: I64, limit: Cost) -> I64:
    """int64[rows, g+1, d+1], F_p(g, d) of pods without near groups, all at once."""
    supply = table.supply
    _, leaf_limit, domain_limit = limit
    best = np.zeros((len(rows), leaf_limit + 1, domain_limit + 1), np.int64)
    gains = np.concatenate((supply.domain_gains, np.zeros((1, supply.domain_gains.shape[1]), int)))
    for slot in range(table.leaves.shape[1]):
        leaves = table.leaves[rows, slot]
        units = np.minimum(np.cumsum(gains[leaves], axis=1), supply.leaf_units[leaves][:, None])
        after = best.copy()
        for opened in range(1, min(gains.shape[1], domain_limit) + 1):
            target = after[:, 1:, opened:]
            source = best[:, :-1, : domain_limit + 1 - opened]
            np.maximum(target, source + units[:, opened - 1, None, None], out=target)
        best = after
    return np.minimum(best, supply.pod_cap_units)


def _is_useful(best: I64) -> Mask:
    """bool[rows, g+1, d+1]: budgets that give a pod more than any smaller budget does."""
    more: Mask = best > 0
    more[:, 1:] &= best[:, 1:] > best[:, :-1]
    more[:, :, 1:] &= best[:, :, 1:] > best[:, :, :-1]
    return more


def _pod_items(table: Profiles, limit: Cost) -> tuple[list[int], list[list[Option]]]:
    """Rows that can matter and their options by new leaf groups and domains."""
    options: dict[int, list[Option]] = {}
    for row in np.flatnonzero(table.is_near).tolist():
        best = fill(_items_of_pod(table, row, limit)[1], limit).best[0]
        best = np.minimum(best, table.supply.pod_cap_units)
        useful = np.argwhere(_is_useful(best[None])[0]).tolist()
        options[row] = [Option((0, g, d), int(best[g, d])) for g, d in useful]
    fresh = np.flatnonzero(~table.is_near & (table.total > 0))
    if limit[0] and len(fresh):
        in_pod = (0, min(limit[1], table.leaves.shape[1]), limit[2])
        best = _capacities(table, fresh, in_pod)
        more = _is_useful(best)
        for g, d in np.argwhere(more.any(axis=0)).tolist():
            top = top_rows(best[:, g, d], table.total[fresh], limit[0])
            for at in top[more[top, g, d]].tolist():
                option = Option((1, g, d), int(best[at, g, d]))
                options.setdefault(int(fresh[at]), []).append(option)
    return list(options), list(options.values())


def _picks(table: Profiles, row: int, budget: Cost) -> list[Pick]:
    leaves, items = _items_of_pod(table, row, budget)
    filled = fill(items, budget)
    return [
        Pick(int(table.pods[row]), leaf, option.cost[2], option.units)
        for leaf, number, options in zip(leaves, filled.trace(budget), items, strict=True)
        if number >= 0
        for option in [options[number]]
    ]


def fewer_domains(table: Profiles, unit_count: int, cost: Cost) -> Choice | None:
    """The choice with fewest new domains below ``cost[2]``, at the same pods and leaf groups.

    Returns:
        None when nothing undercuts ``cost``.
    """
    if fewest_conceivable(table, unit_count) >= cost[2]:
        return None
    limit = (cost[0], cost[1], cost[2] - 1)
    rows, items = _pod_items(table, limit)
    reduced = reduce(items, limit, unit_count)
    if not reduced.kept:
        return None
    filled = fill([options for _, options in reduced.kept], reduced.limit)
    enough = filled.best[reduced.limit[0], reduced.limit[1]] >= unit_count
    if not enough.any():
        return None
    budget = (reduced.limit[0], reduced.limit[1], int(np.argmax(enough)))
    picks: list[Pick] = []
    chosen = zip(reduced.kept, reduced.base, filled.trace(budget), strict=True)
    for (item, options), base, number in chosen:
        if number >= 0:
            extra = options[number].cost
            picks.extend(_picks(table, rows[item], (0, base[1] + extra[1], base[2] + extra[2])))
    domain_count = budget[2] + sum(base[2] for base in reduced.base)
    return Choice((cost[0], cost[1], domain_count), tuple(picks))
