"""Watching an operation: one line per plane, from the journal, whoever carries it out."""

import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.worker import start_worker
from gigawatt.boundary.plane import PLANES
from gigawatt.cli.output import count_of, pairs, paragraph, remarks
from gigawatt.cli.work.planview import PLANE_WORDS, target_of
from gigawatt.errors import DataError, DriverError, UnwindError
from gigawatt.interfaces.store import OperationRecord, StepState
from gigawatt.planner.plan import Stage, Step

POLL_S = 0.2
WORKER_RETRY_S = 2.0
"""How often a worker is offered while another one may still have the operation."""
OPEN = {"applying", "unwinding"}
BAR_WIDTH = 24
DETACHED_STATUS = 130
"""Exit status after Ctrl-C, as shells have it, so that ``create && next`` stops."""

Journal = Mapping[str, tuple[StepState, str]]


def _is_done(journal: Journal, step: Step) -> bool:
    return step.key in journal and journal[step.key][0] == "done"


def stage_under_way(operation: OperationRecord, journal: Journal) -> Stage | None:
    """The first stage with a step that is not done; None when all are."""
    for stage in operation.plan.stages:
        if not all(_is_done(journal, step) for step in stage.steps):
            return stage
    return None


def plane_counts(operation: OperationRecord, journal: Journal) -> dict[str, tuple[int, int]]:
    """Steps done and steps planned, by plane."""
    counts = {}
    for plane in PLANES:
        steps = [step for step in operation.plan.steps if step.plane is plane]
        done = sum(1 for step in steps if _is_done(journal, step))
        counts[PLANE_WORDS[plane]] = (done, len(steps))
    return counts


def headline(operation: OperationRecord, journal: Journal, now_s: float) -> str:
    """What is under way, since when, and how long it should take."""
    name = target_of(operation.plan).name
    if operation.state == "unwinding":
        doing = "undoing"
    else:
        stage = stage_under_way(operation, journal)
        doing = stage.name if stage else "verify: read back, prove, probe"
    if operation.state not in OPEN:
        doing = operation.state
    took_s = max(0.0, (operation.finished_s or now_s) - operation.started_s)
    expected_s = operation.plan.report.expected_s
    of = f" of about {max(1, round(expected_s)):,} s" if expected_s else " s"
    return f"{operation.kind.value} {name}: {doing}, {took_s:,.0f}{of}"


def picture(operation: OperationRecord, journal: Journal, now_s: float) -> RenderableType:
    """The headline, and a bar for each plane."""
    rows = [Text(headline(operation, journal, now_s), style="bold")]
    for plane, (done, total) in plane_counts(operation, journal).items():
        filled = BAR_WIDTH * done // total if total else 0
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        count = f"{done:,}/{total:,} steps" if total else "nothing to do"
        rows.append(Text(f"  {plane:<12} {bar if total else ' ' * BAR_WIDTH}  {count}"))
    return Group(*rows)


@dataclass(slots=True)
class Carrier:
    """Sees to it that some worker carries the operation, this one or another's.

    Fields: the worker that was started last, and when.
    """

    home: Home
    operation: OperationRecord
    worker: subprocess.Popen[bytes] | None = None
    started_s: float = field(default=-WORKER_RETRY_S)

    def tend(self) -> None:
        """Start a worker if none of ours is alive; it goes at once if another one is at work.

        Raises:
            DataError: the worker died of something that trying again does not mend.
        """
        if self.worker is not None:
            status = self.worker.poll()
            if status is None:
                return
            if status:
                raise DataError(
                    f"the worker of operation {self.operation.operation_id} ended with {status}",
                    next_step=f"See the end of {self.home.log_path}, then 'gw cluster watch "
                    f"{self.operation.cluster_id}'; nothing is lost.",
                )
        if time.monotonic() - self.started_s >= WORKER_RETRY_S:
            self.worker = start_worker(self.home, self.operation.operation_id)
            self.started_s = time.monotonic()

    def let_go(self) -> None:
        """Leave a worker that is still at work to itself."""
        if self.worker is not None and self.worker.poll() is None:
            # It outlives this process on purpose; say so, or Python warns of it.
            self.worker.returncode = 0


def _looks(
    control: Control, carrier: Carrier, wait_s: float | None
) -> Iterator[tuple[OperationRecord, Journal, float]]:
    """The operation again and again, until it ends or ``wait_s`` are over."""
    store, clock = control.around.store, control.around.clock
    start_s = time.monotonic()
    while True:
        operation = store.operation(carrier.operation.operation_id)
        yield operation, store.journal(operation.operation_id), clock.now_s()
        if operation.state not in OPEN:
            return
        if wait_s is not None and time.monotonic() - start_s >= wait_s:
            return
        carrier.tend()
        time.sleep(POLL_S)


def _show_live(looks: Iterator[tuple[OperationRecord, Journal, float]]) -> None:
    with Live(console=remarks, auto_refresh=False, transient=False) as live:
        for operation, journal, now_s in looks:
            live.update(picture(operation, journal, now_s), refresh=True)


def _show_lines(looks: Iterator[tuple[OperationRecord, Journal, float]]) -> None:
    """One line a stage, for logs."""
    said = ""
    for operation, journal, _ in looks:
        stage = stage_under_way(operation, journal)
        now = "undo" if operation.state == "unwinding" else stage.name if stage else "verify"
        if operation.state in OPEN and now != said:
            remarks.print(f"  {now}")
            said = now


def watch(
    control: Control, home: Home, operation: OperationRecord, wait_s: float | None = None
) -> OperationRecord:
    """Show an operation until it ends; start a worker for it if none is alive.

    Raises:
        DriverError: it was undone, or ``wait_s`` are over.
        UnwindError: it is stuck.
        typer.Exit: the person does not want to watch any longer.
    """
    carrier = Carrier(home, operation)
    looks = _looks(control, carrier, wait_s)
    again = f"gw cluster watch {operation.cluster_id}"
    try:
        (_show_live if remarks.is_terminal else _show_lines)(looks)
    except KeyboardInterrupt:
        remarks.print()
        paragraph(f"Not watching any longer; the work goes on. Watch it again: {again}", remarks)
        raise typer.Exit(DETACHED_STATUS) from None
    finally:
        carrier.let_go()
    operation = control.around.store.operation(operation.operation_id)
    if operation.state in OPEN:
        raise DriverError(
            f"{operation.kind.value} of {operation.cluster_id} is still under way after "
            f"{wait_s:g} s; it goes on",
            next_step=f"Watch it again: {again}",
        )
    judge(control, operation)
    return operation


def judge(control: Control, operation: OperationRecord) -> None:
    """Nothing for an operation that ended well; else what happened, and an error.

    Raises:
        DriverError: it was undone.
        UnwindError: it is stuck.
    """
    if operation.state not in {"unwound", "stuck"}:
        return
    kind = operation.kind.value
    name = target_of(operation.plan).name
    pairs(f"What happened to {kind} {name!r}", _failure(control, operation), remarks)
    if operation.state == "unwound":
        raise DriverError(
            f"{kind} of {name!r} failed and was undone",
            next_step=f"Send it again: what broke is quarantined. Details: gw events {name}",
        )
    raise UnwindError(
        f"{kind} of {name!r} is stuck; everything it held stays held",
        next_step=f"Mend what is named above, then 'gw reconcile'. Details: gw events {name}",
    )


def _failure(control: Control, operation: OperationRecord) -> Iterator[tuple[str, str]]:
    """Step, node, cause, and what was undone."""
    store = control.around.store
    journal = store.journal(operation.operation_id)
    steps = {step.key: step for step in operation.plan.steps}
    failed = [(key, detail) for key, (state, detail) in journal.items() if state == "failed"]
    for key, detail in failed[:5]:
        step = steps.get(key.removeprefix("undo "))
        yield "step", key.rpartition(" ")[0]
        if step and step.node_id:
            yield "node", step.node_id
        yield "cause", detail
    if len(failed) > 5:
        yield "cause", f"and {count_of(len(failed) - 5, 'more step')}"
    if operation.error:
        yield "so", operation.error
    snapshot = store.snapshot(control.around.clock.now_s())
    buried = sum(1 for t in snapshot.tombstones if t.cluster_id == operation.cluster_id)
    entries = count_of(buried, "entry", "entries")
    left = f"{entries} still to be seen gone, see 'gw reconcile'" if buried else ""
    undone = sum(1 for key in journal if key.startswith("undo "))
    if operation.state == "unwound":
        yield "undone", f"{count_of(undone, 'step')}; {left or 'nothing of it is left'}"
    states = snapshot.node_states
    mine = {m.node_id for m in target_of(operation.plan).members} | {*operation.plan.quarantined}
    for node_id in sorted(mine & states.keys())[:5]:
        yield "quarantined", f"{node_id}: {states[node_id][1]}"
