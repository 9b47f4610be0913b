"""Operations: what is under way, how far, and turning back."""

from functools import partial
from itertools import islice

from gigawatt.cli.options import Format
from gigawatt.cli.output import Listing, console, moment, pairs, show_document, show_list
from gigawatt.cli.work.connect import PAGE_LIMIT, connected
from gigawatt.cli.work.watch import headline, plane_counts
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


def _cells(operation: doc.Operation) -> tuple[str, ...]:
    ended = operation.finished_at
    return (
        operation.id,
        operation.kind,
        operation.cluster_name,
        operation.state,
        moment(operation.started_at.timestamp()),
        "" if ended is None else moment(ended.timestamp()),
    )


def list_operations(
    cluster: str | None, project: str | None, limit: int, form: Format, *, quiet: bool
) -> None:
    """List operations, newest first."""
    with connected() as connection:
        cluster_id = connection.cluster(cluster, project).id if cluster else None
        make = partial(calls.list_operations, cluster_id=cluster_id, limit=min(limit, PAGE_LIMIT))
        found = list(islice(connection.client.pages(make), limit))
    columns = ("operation", "kind", "cluster", "state", "started", "ended")
    show_list(found, form, Listing(columns, _cells, "nothing was done yet"), quiet=quiet)


def show(operation_id: str, form: Format) -> None:
    """Show one operation and how far it is."""
    with connected() as connection:
        found = connection.client.get_operation(operation_id)
    if form is not Format.TABLE:
        show_document(found, form)
        return
    lines = [
        ("state", f"{found.state}: {found.state_reason}" if found.state_reason else found.state)
    ]
    lines += [
        (plane, f"{done:,} of {total:,} steps" if total else "nothing to do")
        for plane, (done, total) in plane_counts(found).items()
    ]
    lines.append(("cluster", f"{found.cluster_name} ({found.cluster_id})"))
    pairs(headline(found), lines)


def cancel(operation_id: str) -> None:
    """Ask for an operation to be undone."""
    with connected() as connection:
        found = connection.client.cancel_operation(operation_id)
    console.print(f"{found.id} turns back: {found.kind} of {found.cluster_name} is being undone")
    console.print(f"  next: gw cluster watch {found.cluster_id}")
