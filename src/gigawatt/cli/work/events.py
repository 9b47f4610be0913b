"""The audit trail on the screen."""

from collections.abc import Iterator

from gigawatt.app.home import Home
from gigawatt.app.wiring import open_control
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, iso, moment, paragraph, write
from gigawatt.ids import ClusterId
from gigawatt.interfaces.store import Event, Store

READ_MAX = 10_000


def _all_events(store: Store, cluster_id: ClusterId | None) -> Iterator[Event]:
    after = 0
    while lines := store.events(cluster_id, after_sequence=after, limit=READ_MAX):
        yield from lines
        after = lines[-1].sequence


def show(cluster: str | None, tenant: str | None, limit: int, form: Format) -> None:
    """Write the newest lines of the audit trail, oldest first."""
    with open_control(Home.default()) as control:
        cluster_id = control.cluster_id_of(cluster, tenant) if cluster else None
        lines = list(_all_events(control.around.store, cluster_id))[-limit:]
        names = {c.cluster_id: c.name for c in control.around.store.clusters()}
    if form is not Format.TABLE:
        rows = [
            {
                "sequence": event.sequence,
                "at": iso(event.at_s),
                "cluster_id": event.cluster_id,
                "operation_id": event.operation_id,
                "kind": event.kind,
                "message": event.message,
                "data": dict(event.data),
            }
            for event in lines
        ]
        write(rows, form)
        return
    if not lines:
        console.print("nothing has happened yet")
    for event in lines:
        whose = f" {names.get(event.cluster_id, event.cluster_id)}:" if event.cluster_id else ""
        paragraph(f"{moment(event.at_s)}  {event.kind}{whose} {event.message}")
