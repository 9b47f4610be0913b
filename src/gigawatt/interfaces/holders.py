"""Clusters as the calendar sees them: who they are, and when their nodes can be free."""

from collections.abc import Collection

from gigawatt.boundary.target import ClusterTarget
from gigawatt.intent.term import Term
from gigawatt.market.notice import NoticePolicy
from gigawatt.market.promises import Holder, Part, Promises
from gigawatt.planner.phases import Phase
from gigawatt.planner.plan import Plan

NEVER_S = float("inf")

LEAVING: Collection[Phase] = frozenset(
    {Phase.RELEASING, Phase.RELEASED, Phase.UNWINDING, Phase.FAILED}
)
"""Phases of clusters that give everything back by themselves."""


def holder_of(target: ClusterTarget) -> Holder:
    """Who a cluster is, to the calendar."""
    return Holder(target.tenant_id, target.term, target.is_lent, target.reservation_id)


def promised_part(plan: Plan) -> Part:
    """Which part of a reservation the nodes are of that a plan comes to, by what they cost."""
    known = {member.node_id for member in plan.before.members} if plan.before else set()
    after = plan.after.members if plan.after else ()
    terms = {member.term for member in after if member.node_id not in known}
    if len(terms) != 1 or plan.after is None or plan.after.reservation_id is None:
        return "all"
    return "base" if terms == {Term.RESERVED} else "growth"


def free_at_s(
    target: ClusterTarget | None,
    phase: Phase,
    promises: Promises,
    policy: NoticePolicy,
    now_s: float,
) -> float:
    """When the nodes of a cluster can be free at the earliest, in Unix seconds.

    ``NEVER_S`` for a cluster on demand: nobody says when it ends.
    """
    if target is None or phase in LEAVING:
        return now_s + policy.clear_s
    if target.reservation_id is not None:
        mine = promises.calendar.by_id.get(target.reservation_id)
        return now_s + policy.clear_s if mine is None else mine.to_s
    return now_s + policy.lead_s if holder_of(target).gives_back else NEVER_S
