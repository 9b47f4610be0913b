"""Calls of usage."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def list_usage(
    *,
    project_id: str | None = None,
    cluster_id: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.UsageRecord]]:
    """Records of usage that the caller sees, in the order in which they were written."""
    query = query_of(
        project_id=project_id,
        cluster_id=cluster_id,
        from_ms=from_ms,
        to_ms=to_ms,
        cursor=cursor,
        limit=limit,
    )
    return Call("GET", path_of("usage"), doc.Page[doc.UsageRecord], query)


def get_usage_summary(
    *,
    by: doc.UsageBy | None = None,
    project_id: str | None = None,
    cluster_id: str | None = None,
    from_ms: int | None = None,
    to_ms: int | None = None,
) -> Call[doc.UsageSummary]:
    """GPU-hours and amounts, of this month of UTC unless another time is named."""
    query = query_of(
        by=by, project_id=project_id, cluster_id=cluster_id, from_ms=from_ms, to_ms=to_ms
    )
    return Call("GET", path_of("usage", "summary"), doc.UsageSummary, query)


def send_usage_events(events: doc.UsageEvents) -> Call[doc.UsageEventsKept]:
    """Keep what another service measured; each event once, all or none."""
    return Call("POST", path_of("usage", "events"), doc.UsageEventsKept, body=events)


def check_usage(*, cluster_id: str | None = None) -> Call[doc.UsageCheck]:
    """Reckon usage again from the audit trail, and say where records differ."""
    query = query_of(cluster_id=cluster_id)
    return Call("GET", path_of("usage", "check"), doc.UsageCheck, query)
