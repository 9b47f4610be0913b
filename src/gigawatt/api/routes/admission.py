"""Supply against demand: what an operator plans capacity from."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Allowed
from gigawatt.api.paging import NEWEST, number_place, page_of
from gigawatt.api.queue_views import (
    turned_away_day_document,
    turned_away_document,
    type_admission_document,
)
from gigawatt.api.routing import new_router, operation
from gigawatt.app.admission_report import admission_report
from gigawatt.errors import InputError
from gigawatt.ids import TenantId
from gigawatt.interfaces.turned_away import TurnedAwayFilter
from gigawatt.market.order import sentences
from gigawatt.sdk import documents as doc
from gigawatt.units import DAY_S

router = new_router("admission")

DAYS_SHOWN = 30
"""Days that are summed up where nobody said which."""

DAYS_SHOWN_MAX = 400
"""Days in one answer: a year and a bit. Ours."""

_EPOCH = date(1970, 1, 1)


@operation(router, "GET", "/admission")
def get_admission(access: Allowed) -> doc.Admission:
    """Granted, held, free, waiting and turned away, by GPU type."""
    access.permit()
    admission = access.service.admission
    return doc.Admission(
        gpu_types=[type_admission_document(line) for line in admission_report(admission)],
        patience_s=admission.policy.patience_s,
        unrecorded_count=admission.unrecorded_count,
        order=sentences(admission.order),
    )


@operation(router, "GET", "/turned-away")
def list_turned_away(
    access: Allowed, wanted: Annotated[doc.TurnedAwayFilter, Query()]
) -> doc.Page[doc.TurnedAway]:
    """Requests that were not served, newest first."""
    access.permit()
    asked = TurnedAwayFilter(
        since_s=_seconds(wanted.since),
        until_s=_seconds(wanted.until),
        project_id=None if wanted.project_id is None else TenantId(wanted.project_id),
        cause=wanted.cause,
        origin=wanted.origin,
        gpu_type=wanted.gpu_type,
    )
    found = access.service.admission.book.page(
        asked, number_place(wanted.cursor, NEWEST), wanted.limit + 1
    )
    return page_of(found, wanted.limit, lambda row: row.sequence, turned_away_document)


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


@operation(router, "GET", "/turned-away/days")
def list_turned_away_days(
    access: Allowed,
    first_day: Annotated[date | None, Query(description="First day, UTC.")] = None,
    last_day: Annotated[date | None, Query(description="Last day, UTC.")] = None,
) -> doc.Page[doc.TurnedAwayDay]:
    """Demand that was not served, by day, type, size and kind; the last 30 days if unsaid."""
    access.permit()
    admission = access.service.admission
    today = datetime.fromtimestamp(admission.now_s() // DAY_S * DAY_S, UTC).date()
    last = max(_EPOCH, last_day or today)
    first = max(_EPOCH, first_day or last - timedelta(days=DAYS_SHOWN - 1))
    if not 0 <= (last - first).days < DAYS_SHOWN_MAX:
        raise InputError(
            f"{first} to {last} is not 1 to {DAYS_SHOWN_MAX} days", next_step="Ask for fewer days."
        )
    found = admission.book.days((first - _EPOCH).days, (last - _EPOCH).days)
    return doc.Page(items=[turned_away_day_document(row) for row in found])
