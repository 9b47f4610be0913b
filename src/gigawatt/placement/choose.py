"""The best choice among some pods of one fabric: the three stages in order."""

from gigawatt.placement.domains import fewer_domains, open_domains
from gigawatt.placement.search import (
    Choice,
    Pick,
    Profiles,
    fewest_leaves,
    fewest_pods,
    leaves_of_use,
)


def find(table: Profiles, unit_count: int) -> Choice | None:
    """The cheapest way to take ``unit_count`` units (>= 1) from the pods given, or None."""
    pod_count = fewest_pods(table, unit_count)
    if pod_count is None:
        return None
    uses = fewest_leaves(table, unit_count, pod_count)
    leaf_count = sum(use.cost[1] for use in uses)
    leaves = [
        (int(table.pods[use.row]), leaf) for use in uses for leaf in leaves_of_use(table, use)
    ]
    if table.index.is_flat:
        picks = tuple(
            Pick(pod, leaf, 0, int(table.supply.leaf_units[leaf])) for pod, leaf in leaves
        )
        return Choice((pod_count, leaf_count, 0), picks)
    picks = open_domains(table, leaves, unit_count)
    cost = (pod_count, leaf_count, sum(pick.domain_count for pick in picks))
    return fewer_domains(table, unit_count, cost) or Choice(cost, picks)
