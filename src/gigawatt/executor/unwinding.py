"""What must be undone: the stages that lead from wherever an operation got back to before."""

from collections.abc import Mapping
from dataclasses import replace

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.render import render
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId
from gigawatt.planner.change import stages_between
from gigawatt.planner.plan import Plan, Stage


def unwind_stages(fleet: Fleet, plan: Plan, journal: Mapping[str, object]) -> tuple[Stage, ...]:
    """Stages that undo ``plan``, including steps that failed or whose reply was lost.

    Every stage up to the last that was journaled at all may have had an effect. A plan that was
    revised may have left effects of its first version, so all of it counts.

    Args:
        fleet: what exists.
        plan: the plan in force.
        journal: step keys that were started, as keys.
    """
    begun = [i for i, stage in enumerate(plan.stages) if any(s.key in journal for s in stage.steps)]
    reach = len(plan.stages) if plan.quarantined else 1 + max(begun, default=-1)
    before = render(fleet, plan.before) if plan.before else ()
    touched: dict[tuple[DeviceId, str], Entry] = {(e.device, e.key): e for e in before}
    for stage in plan.stages[:reach]:
        for step in stage.steps:
            touched.update({(e.device, e.key): e for e in step.entries})
    return tuple(
        replace(
            stage,
            steps=tuple(replace(step, key=f"undo {step.key}") for step in stage.steps),
        )
        for stage in stages_between(tuple(touched.values()), before)
    )
