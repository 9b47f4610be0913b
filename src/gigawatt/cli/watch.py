"""Watching an operation: one line per plane, from the journal, whoever carries it out."""

import time
from collections.abc import Mapping

from rich.live import Live
from rich.table import Table

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.worker import start_worker
from gigawatt.boundary.plane import PLANES
from gigawatt.cli.output import console
from gigawatt.errors import DriverError, UnwindError
from gigawatt.interfaces.store import OperationRecord

POLL_S = 0.1
OPEN = {"applying", "unwinding"}


def progress_table(operation: OperationRecord, journal: Mapping[str, tuple[str, str]]) -> Table:
    """A bar for each plane, and the stage that is under way."""
    is_back = operation.state == "unwinding"
    stage_now = "done"
    for stage in operation.plan.stages:
        if any(journal.get(step.key, ("", ""))[0] != "done" for step in stage.steps):
            stage_now = stage.name
            break
    shown = Table.grid(padding=(0, 2))
    shown.add_row("unwinding" if is_back else stage_now, "", "")
    for plane in PLANES:
        steps = [step for step in operation.plan.steps if step.plane is plane]
        done = sum(1 for step in steps if journal.get(step.key, ("", ""))[0] == "done")
        filled = 30 * done // len(steps) if steps else 30
        bar = "█" * filled + "·" * (30 - filled)
        shown.add_row(f"  {plane.value.replace('_', '-')}", bar, f"{done:,}/{len(steps):,} steps")
    return shown


def watch(control: Control, home: Home, operation: OperationRecord) -> OperationRecord:
    """Show an operation until it ends; start a worker for it if none is alive.

    Raises:
        DriverError: it was unwound.
        UnwindError: it is stuck.
    """
    store = control.around.store
    start_worker(home, operation.operation_id)
    name = operation.plan.cluster_id
    try:
        with Live(console=console, refresh_per_second=10) as live:
            while True:
                operation = store.operation(operation.operation_id)
                live.update(progress_table(operation, store.journal(operation.operation_id)))
                if operation.state not in OPEN:
                    break
                time.sleep(POLL_S)
    except KeyboardInterrupt:
        console.print(f"detached; the operation goes on. Watch it: gw cluster watch {name}")
        return operation
    if operation.state == "unwound":
        raise DriverError(
            f"{operation.kind.value} of {name} failed and was undone: {operation.error}",
            next_step=f"See 'gw events {name}'; broken nodes are quarantined, so try again.",
        )
    if operation.state == "stuck":
        raise UnwindError(f"{operation.kind.value} of {name} is stuck: {operation.error}")
    return operation
