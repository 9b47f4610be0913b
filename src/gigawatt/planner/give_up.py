"""Plans that take certain nodes from a cluster, because somebody else was promised them."""

from collections.abc import Collection
from dataclasses import replace

from gigawatt.errors import InputError
from gigawatt.ids import NodeId
from gigawatt.planner.launch import PlanIds
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.resize import change_plan, live_target, plan_release
from gigawatt.planner.snapshot import Snapshot


def plan_give_up(snapshot: Snapshot, node_ids: Collection[NodeId], ids: PlanIds) -> Plan:
    """The plan that gives exactly these nodes back, or the whole cluster if none would work on.

    Nodes that it does not hold any more are passed over.

    Args:
        snapshot: what is taken now.
        node_ids: nodes to give back.
        ids: ids of the plan and of the cluster.

    Raises:
        InputError: not live, or it holds none of them.
    """
    before = live_target(snapshot, ids)
    stays = tuple(member for member in before.members if member.node_id not in node_ids)
    if len(stays) == len(before.members):
        raise InputError(f"cluster {before.name!r} holds none of the {len(node_ids)} nodes")
    if not any(member.role == "member" for member in stays):
        return plan_release(snapshot, ids)
    after = replace(before, members=stays)
    reason = f"{len(before.members) - len(stays)} nodes are given back after a notice"
    return change_plan(snapshot, OperationKind.SHRINK, ids, (before, after), reason)
