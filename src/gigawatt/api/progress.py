"""How far an operation is, from its journal: stages by plane, and what broke."""

from collections.abc import Mapping

from gigawatt.api.access import Access
from gigawatt.api.views import operation_document
from gigawatt.interfaces.directory import OperationLine
from gigawatt.interfaces.store import StepState
from gigawatt.planner.plan import Plan
from gigawatt.sdk import documents as doc

Journal = Mapping[str, tuple[StepState, str]]

SHOWN_MAX = 5
"""Failed steps and quarantined nodes that an operation names. Ours."""


class Progress:
    """Documents of one operation, made again and again; its plan is read only when it changed."""

    def __init__(self, access: Access) -> None:
        """For whoever has this access."""
        self._access = access
        self._plan: Plan | None = None
        self._step_keys: frozenset[str] = frozenset()

    def document(self, line: OperationLine) -> doc.Operation:
        """The operation as it is now."""
        store = self._access.service.control.around.store
        journal = store.journal(line.operation_id)
        named = {key for key in journal if not key.startswith("undo ")}
        if self._plan is None or not named <= self._step_keys:
            self._plan = store.operation(line.operation_id).plan
            self._step_keys = frozenset(step.key for step in self._plan.steps) | named
        return operation_document(
            line,
            expected_s=self._plan.report.expected_s,
            stages=_stages(self._plan, journal),
            failure=self._failure(line, self._plan, journal),
        )

    def _failure(self, line: OperationLine, plan: Plan, journal: Journal) -> doc.Failure | None:
        """What broke, for an operation that did not end well."""
        if line.state not in {"unwound", "stuck"}:
            return None
        around = self._access.service.control.around
        snapshot = around.store.snapshot(around.clock.now_s())
        steps = {step.key: step for step in plan.steps}
        failed = [(key, detail) for key, (state, detail) in journal.items() if state == "failed"]
        target = plan.after or plan.before
        members = {m.node_id for m in target.members} if target else set()
        states = snapshot.node_states
        mine = sorted((members | {*plan.quarantined}) & states.keys())
        return doc.Failure(
            steps=[
                doc.FailedStep(
                    step=key.rpartition(" ")[0],
                    node_id=step.node_id if (step := steps.get(_done_key(key))) else None,
                    cause=detail,
                )
                for key, detail in failed[:SHOWN_MAX]
            ],
            step_count=len(failed),
            undone_step_count=sum(1 for key in journal if key.startswith("undo ")),
            left_entry_count=sum(1 for t in snapshot.tombstones if t.cluster_id == line.cluster_id),
            quarantined={node_id: states[node_id][1] for node_id in mine[:SHOWN_MAX]},
        )


def _done_key(key: str) -> str:
    """The key of the step that a key of the journal is about."""
    return key.removeprefix("undo ")


def _stages(plan: Plan, journal: Journal) -> list[doc.StageProgress]:
    """Steps done of every stage and plane."""
    done = {key for key, (state, _) in journal.items() if state == "done"}
    stages = []
    for stage in plan.stages:
        planes: dict[str, tuple[int, int]] = {}
        for step in stage.steps:
            done_count, step_count = planes.get(step.plane.value, (0, 0))
            planes[step.plane.value] = (done_count + (step.key in done), step_count + 1)
        stages.append(
            doc.StageProgress(
                name=stage.name,
                done_count=sum(done_count for done_count, _ in planes.values()),
                step_count=len(stage.steps),
                planes={
                    plane: doc.PlaneProgress(done_count=counts[0], step_count=counts[1])
                    for plane, counts in planes.items()
                },
            )
        )
    return stages
