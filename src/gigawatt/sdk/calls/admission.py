"""Calls of supply against demand."""

from datetime import date

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def get_admission() -> Call[doc.Admission]:
    """Granted, held, free, waiting and turned away, by GPU type."""
    return Call("GET", path_of("admission"), doc.Admission)


def list_turned_away(
    wanted: doc.TurnedAwayFilter | None = None,
) -> Call[doc.Page[doc.TurnedAway]]:
    """Requests that were not served, newest first."""
    query = {} if wanted is None else wanted.model_dump(mode="json", exclude_none=True)
    return Call("GET", path_of("turned-away"), doc.Page[doc.TurnedAway], query)


def list_turned_away_days(
    *, first_day: date | None = None, last_day: date | None = None
) -> Call[doc.Page[doc.TurnedAwayDay]]:
    """Demand that was not served, summed by day, type, size and kind."""
    query = query_of(first_day=first_day, last_day=last_day)
    return Call("GET", path_of("turned-away", "days"), doc.Page[doc.TurnedAwayDay], query)
