"""Runs stages: journal, call, read back, put right, and say which nodes were lost."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from gigawatt.boundary.plane import Plane
from gigawatt.executor.call import Caller, Outcome
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.progress import Listener, Progress, StageRun, Watch
from gigawatt.executor.readback import Drift, ReadBack, drift_of_steps, read_back, strangers
from gigawatt.executor.together import first_error
from gigawatt.ids import DeviceId, NodeId
from gigawatt.interfaces.clock import Clock
from gigawatt.interfaces.driver import Driver, Fence
from gigawatt.interfaces.store import OperationRecord, StepState, Store
from gigawatt.planner.change import STOP
from gigawatt.planner.plan import Stage, Step

AskKnown = Callable[[], Mapping[DeviceId, Collection[str]]]
"""Tells the keys that may be on the devices of nodes at the moment of asking."""


@dataclass(slots=True)
class Result:
    """What became of some stages.

    Fields:
        lost: nodes on which something could not be ensured, with the reason.
        left_behind: nodes from which something could not be removed, with the reason.
        broken: why a shared device failed, empty when none did.
    """

    lost: dict[NodeId, str] = field(default_factory=dict)
    left_behind: dict[NodeId, str] = field(default_factory=dict)
    broken: str = ""


@dataclass(slots=True)
class _Course:
    """One run through stages: for whom, steps done, keys known by now, and what became of it."""

    operation: OperationRecord
    done: set[str]
    ask_known: AskKnown
    known: Mapping[DeviceId, Collection[str]]
    result: Result = field(default_factory=Result)


class StageRunner:
    """Runs the stages of one operation; a new one is made for every operation."""

    def __init__(
        self,
        store: Store,
        drivers: Mapping[Plane, Driver],
        clock: Clock,
        policy: ExecutorPolicy,
        listener: Listener,
        watch: Watch,
    ) -> None:
        """Keep what running needs."""
        self._store = store
        self._drivers = drivers
        self._clock = clock
        self._policy = policy
        self._listener = listener
        self._watch = watch
        self._caller = Caller(drivers, clock, policy)
        self._run_numbers = count(1)

    async def run(
        self,
        operation: OperationRecord,
        stages: Sequence[Stage],
        ask_known: AskKnown,
        *,
        presses_on: bool = False,
    ) -> Result:
        """Run stages in order until all are done, a node is lost, or a shared device fails.

        Args:
            operation: whose journal and fence are used.
            stages: what to do; steps that the journal calls done are not repeated, but their
                effect is read back all the same, unless a later stage has begun to change it.
            ask_known: tells the keys that may be on each node's own devices by now; another key
                there is a stranger.
            presses_on: leave lost nodes as they are and go on with the others.
        """
        journal = self._store.journal(operation.operation_id)
        done = {key for key, (state, _) in journal.items() if state == "done"}
        course = _Course(operation, done, ask_known, ask_known())
        for stage in _without_overtaken(stages, journal):
            await self._run_stage(course, stage)
            if course.result.broken or (course.result.lost and not presses_on):
                break
        return course.result

    async def _run_stage(self, course: _Course, stage: Stage) -> None:
        lost = course.result.lost.keys()
        steps = tuple(s for s in stage.steps if s.action == "remove" or s.node_id not in lost)
        stage = replace(stage, steps=steps)
        pending = [step for step in steps if step.key not in course.done]
        number, began_s = next(self._run_numbers), self._clock.now_s()
        run = StageRun(course.operation, stage.name, number, began_s)
        failed = await self._call(run, stage, pending)
        if stage.verify:
            failed |= await self._put_right(course, run, stage, failed)
        self._watch.stage_ended(run, len(failed), self._clock.now_s())
        course.done.update(step.key for step in steps if step not in failed)
        _classify(stage, failed, course.result)

    async def _call(self, run: StageRun, stage: Stage, steps: Sequence[Step]) -> dict[Step, str]:
        """Call drivers for all steps at once; returns the failures with their reasons."""
        operation = run.operation
        if not steps:
            return {}
        now_s = self._clock.now_s()
        leaving = [e for step in steps if step.action == "remove" for e in step.entries]
        if leaving:
            self._store.bury(operation, leaving, now_s)
        self._store.start_steps(operation, [step.key for step in steps], now_s)
        try:
            outcomes = await self._call_at_once(run, stage, steps)
        except BaseExceptionGroup as errors:
            # Callers know our errors, not the group that a task group makes of them.
            raise first_error(errors) from None
        return {o.step: o.detail for o in outcomes if o.state == "failed"}

    async def _call_at_once(
        self, run: StageRun, stage: Stage, steps: Sequence[Step]
    ) -> list[Outcome]:
        operation, totals, behind = run.operation, _count(stage.steps), _count(steps)
        fence = Fence(operation.cluster_id, operation.generation)
        outcomes: list[Outcome] = []
        unwritten: list[Outcome] = []
        flushed_s = self._clock.now_s()
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._caller.call(step, fence)) for step in steps]
            for task in asyncio.as_completed(tasks):
                outcome = await task
                self._watch.call_ended(run, outcome)
                unwritten.append(outcome)
                behind[outcome.step.plane] -= 1
                is_late = self._clock.now_s() - flushed_s >= self._policy.flush_s
                if is_late or len(unwritten) >= self._policy.flush_step_count:
                    flushed_s = self._clock.now_s()
                    self._flush(operation, unwritten)
                    self._tell(operation, stage, totals, behind)
                outcomes.append(outcome)
        self._flush(operation, unwritten)
        self._tell(operation, stage, totals, behind)
        return outcomes

    def _flush(self, operation: OperationRecord, outcomes: list[Outcome]) -> None:
        rows: list[tuple[str, StepState, str]] = [(o.step.key, o.state, o.detail) for o in outcomes]
        self._store.finish_steps(operation, rows, self._clock.now_s())
        outcomes.clear()

    def _tell(
        self,
        operation: OperationRecord,
        stage: Stage,
        totals: Mapping[Plane, int],
        behind: Mapping[Plane, int],
    ) -> None:
        planes = {
            plane.value: (total - behind.get(plane, 0), total) for plane, total in totals.items()
        }
        self._listener(Progress(operation.operation_id, stage.name, planes))

    async def _put_right(
        self, course: _Course, run: StageRun, stage: Stage, failed: Mapping[Step, str]
    ) -> dict[Step, str]:
        """Read the stage back; repeat what did not take; return what is still wrong."""
        steps = [step for step in stage.steps if step not in failed]
        wrong: dict[Step, str] = {}
        for round_number in range(self._policy.verify_round_count_max + 1):
            wrong = await self._read(course, steps)
            if not wrong or round_number == self._policy.verify_round_count_max:
                break
            await self._call(run, stage, list(wrong))
        if wrong:
            rows: list[tuple[str, StepState, str]] = [
                (step.key, "failed", detail) for step, detail in wrong.items()
            ]
            self._store.finish_steps(course.operation, rows, self._clock.now_s())
        return wrong

    async def _read(self, course: _Course, steps: Sequence[Step]) -> dict[Step, str]:
        seen = await read_back(self._drivers, {(step.plane, step.device) for step in steps})
        drifts = drift_of_steps(steps, seen)
        gone = [
            (step.device, entry.key)
            for step in steps
            if step.action == "remove" and step not in drifts
            for entry in step.entries
        ]
        if gone:
            self._store.observe_absent(gone, self._clock.now_s())
        wrong = {step: "; ".join(d.sentence for d in found[:3]) for step, found in drifts.items()}
        ensured = {step.device: step for step in steps if step.action == "ensure"}
        for drift in self._strangers(course, ensured, seen):
            wrong.setdefault(ensured[drift.device], drift.sentence)
        return wrong

    def _strangers(
        self, course: _Course, ensured: Mapping[DeviceId, Step], seen: ReadBack
    ) -> list[Drift]:
        """Strangers on the devices of ``ensured``; what came beside meanwhile is none."""
        planes = {device: step.plane for device, step in ensured.items()}

        def look() -> list[Drift]:
            known = {device: course.known[device] for device in ensured if device in course.known}
            return strangers(seen, known, planes)

        found = look()
        if found:
            course.known = course.ask_known()
            found = look()
        return found


def _without_overtaken(stages: Sequence[Stage], journal: Collection[str]) -> list[Stage]:
    """The stages without steps whose entries a later stage has begun to change already.

    A worker that takes over when hosts run would find that they are not held, off and clean any
    more, and switch them off.
    """
    overtaken: set[tuple[DeviceId, str]] = set()
    kept: list[Stage] = []
    for stage in reversed(stages):
        steps = tuple(
            step
            for step in stage.steps
            if not any((entry.device, entry.key) in overtaken for entry in step.entries)
        )
        overtaken |= {
            (entry.device, entry.key)
            for step in stage.steps
            if step.key in journal
            for entry in step.entries
        }
        kept.append(replace(stage, steps=steps))
    return [stage for stage in reversed(kept) if stage.steps]


def _count(steps: Iterable[Step]) -> dict[Plane, int]:
    counts: dict[Plane, int] = {}
    for step in steps:
        counts[step.plane] = counts.get(step.plane, 0) + 1
    return counts


def _classify(stage: Stage, failed: Mapping[Step, str], result: Result) -> None:
    for step, reason in failed.items():
        is_leaving = step.action == "remove" or stage.name == STOP
        if step.node_id is None:
            result.broken = result.broken or f"{stage.name}: {reason}"
        elif is_leaving:
            result.left_behind.setdefault(step.node_id, f"{stage.name}: {reason}")
        else:
            result.lost.setdefault(step.node_id, f"{stage.name}: {reason}")
