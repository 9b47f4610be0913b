"""Least fragmentation at equal cost: swaps that keep the largest free blocks whole.

A choice often gives a few units more than wanted. That surplus is spent on swaps, pod for pod and
leaf group for leaf group, each of which keeps every count of the cost as it is: first a wholly
free leaf group is spared where partly used ones can do, then the least free group that suffices
is taken (best fit), so that what stays free stays in large blocks.

Source: ours; best fit after Johnson, Near-optimal bin packing algorithms, 1973.
"""

import numpy as np

from gigawatt.placement.search import Choice, Pick, PodUse, Profiles, domain_prefix


def swap_pods(table: Profiles, uses: list[PodUse], unit_count: int) -> list[PodUse]:
    """The uses with every new pod replaced by the least free one that still suffices."""
    surplus = sum(use.units for use in uses) - unit_count
    used = {use.row for use in uses}
    result = list(uses)
    for at in sorted(range(len(uses)), key=lambda i: (-int(table.total[uses[i].row]), i)):
        use = uses[at]
        if table.is_near[use.row]:
            continue
        units = table.units[:, use.cost[1]]
        fits = (units >= use.units - surplus) & (table.total < table.total[use.row])
        fits &= ~table.is_near
        fits[list(used)] = False
        rows = np.flatnonzero(fits)
        if len(rows):
            row = int(rows[np.argmin(table.total[rows])])
            surplus += int(units[row]) - use.units
            used = used - {use.row} | {row}
            result[at] = PodUse(row, use.cost, int(units[row]))
    return result


class _Leaves:
    """Picks of a choice while leaf groups are swapped."""

    def __init__(self, table: Profiles, picks: tuple[Pick, ...], unit_count: int) -> None:
        self.table = table
        self.picks = list(picks)
        self.used = {pick.leaf for pick in picks}
        in_pod: dict[int, int] = {}
        for pick in picks:
            in_pod[pick.pod] = in_pod.get(pick.pod, 0) + pick.units
        cap = table.supply.pod_cap_units
        self.surplus = sum(min(cap, units) for units in in_pod.values()) - unit_count

    def is_whole(self, leaf: int) -> bool:
        start = self.table.index.leaf_start
        return bool(self.table.supply.leaf_nodes[leaf] == start[leaf + 1] - start[leaf])

    def units(self, leaf: int, domain_count: int) -> int:
        """Units of a leaf group with so many new domains."""
        if self.table.index.is_flat:
            return int(self.table.supply.leaf_units[leaf])
        prefix, _ = domain_prefix(self.table.supply, leaf)
        return int(prefix[min(domain_count, len(prefix) - 1)])

    def others(self, pick: Pick) -> list[tuple[int, int]]:
        """(units, leaf group) of the unused new leaf groups of the same pod that would do."""
        supply = self.table.supply
        leaves = self.table.index.leaves_of_pod[pick.pod]
        least = pick.units - self.surplus
        could = (supply.leaf_units[leaves] >= max(1, least)) & ~supply.near.leaf[leaves]
        could &= supply.leaf_nodes[leaves] < supply.leaf_nodes[pick.leaf]
        fresh = [leaf for leaf in leaves[could].tolist() if leaf not in self.used]
        valued = [(self.units(leaf, pick.domain_count), leaf) for leaf in fresh]
        return [(units, leaf) for units, leaf in valued if units >= max(1, least)]

    def swap(self, at: int, units: int, leaf: int) -> None:
        pick = self.picks[at]
        self.surplus += min(0, units - pick.units)
        self.used = self.used - {pick.leaf} | {leaf}
        self.picks[at] = Pick(pick.pod, leaf, pick.domain_count, units)


def swap_leaves(table: Profiles, choice: Choice, unit_count: int) -> tuple[Pick, ...]:
    """The picks of a choice, with less fragmentation at the same cost."""
    leaves = _Leaves(table, choice.picks, unit_count)
    supply = table.supply
    fresh = [at for at, pick in enumerate(choice.picks) if not supply.near.leaf[pick.leaf]]
    # Spare whole leaf groups: give up as little surplus as possible for each.
    for at in fresh:
        if leaves.is_whole(leaves.picks[at].leaf):
            broken = [o for o in leaves.others(leaves.picks[at]) if not leaves.is_whole(o[1])]
            if broken:
                leaves.swap(at, *max(broken, key=lambda other: (other[0], -other[1])))
    # Best fit: spend what is left on the pick that lets go of most.
    for at in sorted(fresh, key=lambda at: (leaves.picks[at].units, at)):
        others = leaves.others(leaves.picks[at])
        if others:
            leaves.swap(at, *min(others))
    return tuple(leaves.picks)
