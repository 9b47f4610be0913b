"""Watching an operation: one line per plane, from what the service streams."""

import time
from collections.abc import Iterator

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from gigawatt.app.clock import SystemClock
from gigawatt.cli.output import count_of, pairs, paragraph, remarks
from gigawatt.cli.work.connect import Connection
from gigawatt.cli.work.planview import PLANE_WORDS
from gigawatt.errors import DriverError, GigawattError, UnwindError
from gigawatt.sdk import documents as doc

OPEN = {"applying", "unwinding"}
BAR_WIDTH = 24
DETACHED_STATUS = 130
"""Exit status after Ctrl-C, as shells have it, so that ``create && next`` stops."""


def stage_under_way(operation: doc.Operation) -> doc.StageProgress | None:
    """The first stage with a step that is not done; None when all are."""
    for stage in operation.stages or ():
        if stage.done_count < stage.step_count:
            return stage
    return None


def plane_counts(operation: doc.Operation) -> dict[str, tuple[int, int]]:
    """Steps done and steps planned, by plane."""
    counts = {}
    for plane, words in PLANE_WORDS.items():
        found = [stage.planes[plane] for stage in operation.stages or () if plane in stage.planes]
        done = sum(progress.done_count for progress in found)
        counts[words] = (done, sum(progress.step_count for progress in found))
    return counts


def headline(operation: doc.Operation) -> str:
    """What is under way, since when, and how long it should take."""
    if operation.state == "unwinding":
        doing = "undoing"
    else:
        stage = stage_under_way(operation)
        doing = stage.name if stage else "verify: read back, prove, probe"
    if operation.state not in OPEN:
        doing = operation.state
    ended = operation.finished_at
    until_s = SystemClock().now_s() if ended is None else ended.timestamp()
    took_s = max(0.0, until_s - operation.started_at.timestamp())
    expected_s = operation.expected_s
    of = f" of about {max(1, round(expected_s)):,} s" if expected_s else " s"
    return f"{operation.kind} {operation.cluster_name}: {doing}, {took_s:,.0f}{of}"


def picture(operation: doc.Operation) -> RenderableType:
    """The headline, and a bar for each plane."""
    rows = [Text(headline(operation), style="bold")]
    for plane, (done, total) in plane_counts(operation).items():
        filled = BAR_WIDTH * done // total if total else 0
        bar = "█" * filled + "░" * (BAR_WIDTH - filled)
        count = f"{done:,}/{total:,} steps" if total else "nothing to do"
        rows.append(Text(f"  {plane:<12} {bar if total else ' ' * BAR_WIDTH}  {count}"))
    return Group(*rows)


def _tell_break(reason: str) -> None:
    remarks.print(f"  the connection broke, trying again: {reason}")


def _looks(
    connection: Connection, operation_id: str, wait_s: float | None
) -> Iterator[doc.Operation]:
    """The operation again and again, until it ends or ``wait_s`` are over."""
    start_s = time.monotonic()
    for operation in connection.client.watch_operation(operation_id, tell=_tell_break):
        yield operation
        is_over = wait_s is not None and time.monotonic() - start_s >= wait_s
        if is_over and operation.state in OPEN:
            return


def _show_live(looks: Iterator[doc.Operation]) -> doc.Operation | None:
    operation = None
    with Live(console=remarks, auto_refresh=False, transient=False) as live:
        for operation in looks:
            live.update(picture(operation), refresh=True)
    return operation


def _show_lines(looks: Iterator[doc.Operation]) -> doc.Operation | None:
    """One line a stage, for logs."""
    said, operation = "", None
    for operation in looks:
        stage = stage_under_way(operation)
        now = "undo" if operation.state == "unwinding" else stage.name if stage else "verify"
        if operation.state in OPEN and now != said:
            remarks.print(f"  {now}")
            said = now
    return operation


def watch(
    connection: Connection, operation_id: str, again: str, wait_s: float | None = None
) -> doc.Operation:
    """Show an operation until it ends; ``again`` is the command that does so another time.

    Raises:
        DriverError: it was undone, or ``wait_s`` are over.
        UnwindError: it is stuck.
        typer.Exit: the person does not want to watch any longer.
    """
    show = _show_live if remarks.is_terminal else _show_lines
    try:
        operation = show(_looks(connection, operation_id, wait_s))
    except KeyboardInterrupt:
        remarks.print()
        paragraph(f"Not watching any longer; the work goes on. Watch it again: {again}", remarks)
        raise typer.Exit(DETACHED_STATUS) from None
    except GigawattError as error:
        if isinstance(error, DriverError):
            error.next_step = f"The work does not need you. Watch it again: {again}"
        raise
    assert operation is not None, "a stream tells an operation at least once"
    if operation.state in OPEN:
        raise DriverError(
            f"{operation.kind} of {operation.cluster_id} is still under way after "
            f"{wait_s:g} s; it goes on",
            next_step=f"Watch it again: {again}",
        )
    judge(operation)
    return operation


def judge(operation: doc.Operation) -> None:
    """Nothing for an operation that ended well; else what happened, and an error.

    Raises:
        DriverError: it was undone.
        UnwindError: it is stuck.
    """
    if operation.state not in {"unwound", "stuck"}:
        return
    kind, name = operation.kind, operation.cluster_name
    pairs(f"What happened to {kind} {name!r}", _failure(operation), remarks)
    if operation.state == "unwound":
        raise DriverError(
            f"{kind} of {name!r} failed and was undone",
            next_step=f"Send it again: what broke is quarantined. Details: gw events {name}",
        )
    raise UnwindError(
        f"{kind} of {name!r} is stuck; everything it held stays held",
        next_step=f"Mend what is named above, then 'gw reconcile'. Details: gw events {name}",
    )


def _failure(operation: doc.Operation) -> Iterator[tuple[str, str]]:
    """Step, node, cause, and what was undone."""
    failure = operation.failure
    if failure is not None:
        for step in failure.steps:
            yield "step", step.step
            if step.node_id:
                yield "node", step.node_id
            yield "cause", step.cause
        if failure.step_count > len(failure.steps):
            more = failure.step_count - len(failure.steps)
            yield "cause", f"and {count_of(more, 'more step')}"
    if operation.state_reason:
        yield "so", operation.state_reason
    if failure is None:
        return
    entries = count_of(failure.left_entry_count, "entry", "entries")
    left = f"{entries} still to be seen gone, see 'gw reconcile'"
    if operation.state == "unwound":
        undone = count_of(failure.undone_step_count, "step")
        yield "undone", f"{undone}; {left if failure.left_entry_count else 'nothing of it is left'}"
    for node_id, reason in failure.quarantined.items():
        yield "quarantined", f"{node_id}: {reason}"
