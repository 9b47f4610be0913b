"""The audit trail on the screen."""

from dataclasses import dataclass
from functools import partial
from itertools import islice

from gigawatt.cli.options import Format
from gigawatt.cli.output import console, moment, paragraph, write
from gigawatt.cli.work.connect import PAGE_LIMIT, Connection, connected
from gigawatt.sdk import calls
from gigawatt.sdk import documents as doc


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which events a person wants to see; what is None lets all pass."""

    cluster: str | None
    project: str | None
    node_id: str | None
    kind: str | None
    limit: int


def _newest(connection: Connection, wanted: Wanted) -> list[doc.Event]:
    """The newest events, oldest first."""
    cluster = connection.cluster(wanted.cluster, wanted.project).id if wanted.cluster else None
    chosen = doc.EventFilter(
        cluster_id=cluster,
        node_id=wanted.node_id,
        kind=wanted.kind,
        newest_first=True,
        limit=min(wanted.limit, PAGE_LIMIT),
    )
    pages = connection.client.pages(partial(calls.list_events, chosen))
    return list(islice(pages, wanted.limit))[::-1]


def _names(connection: Connection, events: list[doc.Event]) -> dict[str, str]:
    """Names of the clusters that events are about."""
    ids = {event.cluster_id for event in events if event.cluster_id}
    if not ids:
        return {}
    pages = connection.client.pages(calls.list_clusters, with_ended=True, limit=PAGE_LIMIT)
    return {cluster.id: cluster.name for cluster in pages if cluster.id in ids}


def show(wanted: Wanted, form: Format) -> None:
    """Write the newest lines of the audit trail, oldest first."""
    with connected() as connection:
        events = _newest(connection, wanted)
        names = _names(connection, events) if form is Format.TABLE else {}
    if form is not Format.TABLE:
        write([event.model_dump(mode="json") for event in events], form)
        return
    if not events:
        console.print("nothing has happened yet")
    for event in events:
        whose = f" {names.get(event.cluster_id, event.cluster_id)}:" if event.cluster_id else ""
        at = moment(event.at.timestamp())
        who = f" (by {event.data['by_name']})" if "by_name" in event.data else ""
        paragraph(f"{at}  {event.kind}{whose} {event.message}{who}")
