"""Passes of the reconciler that are remembered, and what is owed to devices now."""

from gigawatt.cli.options import Format
from gigawatt.cli.output import Listing, console, count_of, paragraph, show_list, span, table, write
from gigawatt.cli.work.connect import connected
from gigawatt.sdk import documents as doc

PASSES_SHOWN_MAX = 20
"""Passes that are listed, the newest first. Ours."""


def show_history(form: Format) -> None:
    """Show the passes that found something or were asked for, and what is owed."""
    with connected() as connection:
        found = connection.client.list_reconciliations(limit=PASSES_SHOWN_MAX).items
        status = connection.client.get_reconciler()
    if form is not Format.TABLE:
        passes = [one.model_dump(mode="json") for one in found]
        write({"reconciler": status.model_dump(mode="json"), "passes": passes}, form)
        return
    columns = ("ended", "by", "found", "mended", "left", "silent", "finished", "said")
    show_list(found, form, Listing(columns, _cells, "no pass has found anything yet"))
    _show_owed(status)


def _cells(one: doc.ReconciliationRecord) -> tuple[str, ...]:
    counts = (one.drift_count, one.repaired_count, one.remaining_count, one.silent_device_count)
    said = one.reason or next(iter([*one.remaining, *one.drift]), "")
    numbers = (f"{count:,}" for count in (*counts, one.resumed_count))
    return (one.at.isoformat(timespec="seconds"), one.by, *numbers, said)


def _show_owed(status: doc.Reconciler) -> None:
    console.print("")
    if status.next_at is not None:
        every = span(status.period_s)
        paragraph(f"every {every} by itself; the next is due at {status.next_at:%H:%M:%S} UTC")
    if not status.stuck_operations and not status.absence_count:
        console.print("Nothing is owed.")
    for one in status.stuck_operations:
        name = one.cluster_name or one.cluster_id
        paragraph(f"stuck: {one.kind} of {name} ({one.operation_id}): {one.error}")
    if status.absence_count:
        console.print(f"{count_of(status.absence_count, 'entry', 'entries')} not yet seen gone:")
        rows = [(one.device, one.key, one.cluster_id) for one in status.absences]
        table(("device", "entry", "cluster"), rows)
