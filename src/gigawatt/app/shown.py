"""A plan that was shown, as of now: the same nodes, ranks and price, come what may."""

from collections.abc import Sequence
from dataclasses import replace

from gigawatt.boundary.keys import take_keys
from gigawatt.boundary.render import render
from gigawatt.errors import ConflictError
from gigawatt.planner.change import stages_between
from gigawatt.planner.check import Note, check_plan
from gigawatt.planner.plan import OperationKind, Plan
from gigawatt.planner.snapshot import Snapshot


def as_of(view: Snapshot, plan: Plan) -> Plan:
    """The plan with today's generation, and with other keys if its own were taken.

    Every commit takes the lowest free keys, so two plans made from one snapshot always want the
    same ones. A person chooses nodes and a price, never a key.

    Raises:
        ConflictError: what it needs beside keys was taken meanwhile.
        NoCapacityError: a key pool is empty.
    """
    moved = replace(plan, parent_generation=view.generation)
    notes = check_plan(view, moved)
    if any(note.rule == "keys" for note in notes) and plan.kind is OperationKind.LAUNCH:
        moved = _with_free_keys(view, moved)
        notes = check_plan(view, moved)
    if notes:
        raise ConflictError(
            f"plan {plan.plan_id} no longer holds: {_said(notes)}",
            next_step="Make a new plan.",
        )
    return moved


def _with_free_keys(view: Snapshot, plan: Plan) -> Plan:
    after = plan.after
    assert after is not None, "a launch has a target"
    keys = take_keys(
        view.taken_keys,
        fabric_id=after.fabric_id,
        is_infiniband=after.keys.p_key is not None,
        site_id=after.site_id,
        pool_id=after.pool_id,
    )
    fresh = replace(after, keys=keys)
    return replace(plan, after=fresh, stages=stages_between((), render(view.fleet, fresh)))


def _said(notes: Sequence[Note]) -> str:
    """What was taken, but not by whom: that may be another tenant, or the operator's business."""
    nodes = [n.sentence.partition(":")[0] for n in notes if n.rule == "capacity"]
    nodes = [words.partition(" is blocked")[0] for words in nodes]
    shown = ", ".join(nodes[:3]) + (f" and {len(nodes) - 3} more" if len(nodes) > 3 else "")
    return f"{shown} taken or out of service" if nodes else "the cluster or its keys have changed"
