"""What must be undone: the stages that lead from wherever an operation got back to before."""

from collections.abc import Collection
from dataclasses import replace

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.render import render
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId
from gigawatt.planner.change import stages_between
from gigawatt.planner.plan import Plan, Stage

UNDO = "undo "
"""Begins the journal keys of steps that undo."""


def _place_of(step_key: str) -> str:
    """Action and device of a step, without the hash of its content."""
    return step_key.rpartition(" ")[0]


def unwind_stages(fleet: Fleet, plan: Plan, journal: Collection[str]) -> tuple[Stage, ...]:
    """Stages that undo ``plan``, including steps that failed or whose reply was lost.

    Every stage up to the last that was journaled at all may have had an effect. A plan that was
    revised may have left effects of its first version, so all of it counts. What was there
    before and was perhaps removed is set again.

    Args:
        fleet: what exists.
        plan: the plan in force.
        journal: keys of the steps that were started, in this version of the plan or before.
    """
    started = {key for key in journal if not key.startswith(UNDO)}
    is_revised = not started <= {step.key for step in plan.steps}
    begun = [i for i, stage in enumerate(plan.stages) if any(s.key in started for s in stage.steps)]
    reach = len(plan.stages) if is_revised else 1 + max(begun, default=-1)
    # A revised step has another content, so another hash.
    touched = {_place_of(key) for key in started}
    before = {(e.device, e.key): e for e in (render(fleet, plan.before) if plan.before else ())}
    held: dict[tuple[DeviceId, str], Entry] = dict(before)
    for stage in plan.stages[:reach]:
        for step in stage.steps:
            is_gone = step.action == "remove" and _place_of(step.key) in touched
            for entry in step.entries:
                place = (entry.device, entry.key)
                if is_gone and place in before:
                    held.pop(place, None)
                else:
                    held[place] = entry
    return tuple(
        replace(
            stage,
            steps=tuple(replace(step, key=f"{UNDO}{step.key}") for step in stage.steps),
        )
        for stage in stages_between(tuple(held.values()), tuple(before.values()))
    )
