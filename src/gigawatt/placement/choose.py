"""The best choice among some pods of one fabric: the three stages in order, then polish."""

from dataclasses import replace

from gigawatt.placement.domains import fewer_domains, open_domains
from gigawatt.placement.polish import swap_leaves, swap_pods
from gigawatt.placement.search import (
    Choice,
    Pick,
    PodUse,
    Profiles,
    fewest_leaves,
    fewest_pods,
    leaves_of_use,
    most_in_pods,
)


def _picks(table: Profiles, uses: list[PodUse], unit_count: int) -> tuple[Pick, ...]:
    leaves = [
        (int(table.pods[use.row]), leaf) for use in uses for leaf in leaves_of_use(table, use)
    ]
    if table.index.is_flat:
        return tuple(Pick(pod, leaf, 0, int(table.supply.leaf_units[leaf])) for pod, leaf in leaves)
    return open_domains(table, leaves, unit_count)


def _domain_count(picks: tuple[Pick, ...]) -> int:
    return sum(pick.domain_count for pick in picks)


def find(table: Profiles, unit_count: int) -> Choice | None:
    """The cheapest way to take ``unit_count`` units (>= 1) from the pods given, or None."""
    pod_count = fewest_pods(table, unit_count)
    if pod_count is None:
        return None
    uses, most_with_leaf_less = fewest_leaves(table, unit_count, pod_count)
    leaf_count = sum(use.cost[1] for use in uses)
    picks = _picks(table, uses, unit_count)
    choice = Choice((pod_count, leaf_count, _domain_count(picks)), picks)
    if not table.index.is_flat:
        choice = fewer_domains(table, unit_count, choice.cost) or choice
    tighter = _picks(table, swap_pods(table, uses, unit_count), unit_count)
    if _domain_count(tighter) <= choice.cost[2]:
        choice = replace(choice, picks=tighter)
    return Choice(
        cost=choice.cost,
        picks=swap_leaves(table, choice, unit_count),
        most_with_fewer=(most_in_pods(table, pod_count - 1), most_with_leaf_less),
    )
