"""Utilisation of the fleet, for who runs the site and who keeps its accounts."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Access, Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.app.market.utilisation import UtilisationReport, UtilisationSources
from gigawatt.app.service import site_organisation
from gigawatt.errors import ForbiddenError
from gigawatt.market.meter import MS_PER_HOUR, rounded_micro_usd
from gigawatt.market.utilisation import UtilisationRow
from gigawatt.money import MICRO_USD_PER_USD
from gigawatt.sdk import documents as doc

router = new_router("utilisation")

HOURS_SHOWN = 24
"""Hours that are shown where nobody said which."""

FromQuery = Annotated[doc.UnixMs | None, Query(description="From this moment, Unix ms.")]
ToQuery = Annotated[doc.UnixMs | None, Query(description="Up to this moment, Unix ms.")]
ByQuery = Annotated[doc.UtilisationBy, Query(description="What a row is of; hours are of UTC.")]


def _permit(access: Access) -> None:
    """Operators, and billing accounts of the organisation that runs the site.

    Raises:
        ForbiddenError: somebody else.
    """
    access.permit()
    account = access.caller.account
    ours = site_organisation(access.service.directory)
    if not access.caller.is_operator and account.organisation_id != ours:
        raise ForbiddenError("utilisation is for those who run the site")


@operation(router, "GET", "/utilisation")
def get_utilisation(
    access: Allowed,
    from_ms: FromQuery = None,
    to_ms: ToQuery = None,
    by: ByQuery = "all",
) -> doc.Utilisation:
    """Where GPU-hours went and what they brought, of the last day unless another time is named."""
    _permit(access)
    service = access.service
    now_ms = round(service.now_s() * 1000)
    end_ms = now_ms if to_ms is None else min(to_ms, now_ms)
    begin_ms = end_ms - HOURS_SHOWN * MS_PER_HOUR if from_ms is None else from_ms
    window = begin_ms, end_ms
    report = service.utilisation.report(sources_of(access), window, by, service.now_s())
    return _document(report, by)


def sources_of(access: Access) -> UtilisationSources:
    """Where reports of what the fleet was used for are read from."""
    service, market = access.service, access.service.market
    return UtilisationSources(
        fleet=service.control.around.fleet,
        room=service.admission.room,
        book=service.admission.book,
        usage=market.usage,
        history=market.history,
        reservations=market.reservations.records,
    )


def _document(report: UtilisationReport, by: doc.UtilisationBy) -> doc.Utilisation:
    return doc.Utilisation(
        from_ms=report.from_ms,
        to_ms=report.to_ms,
        by=by,
        rows=[_row(row) for row in report.rows],
        stranded_in_part_gpu_hours=report.in_part_gpu_ms / MS_PER_HOUR,
        stranded_too_few_gpu_hours=report.too_few_gpu_ms / MS_PER_HOUR,
        asked_in_vain=[
            doc.AskedInVain(
                gpu_type=gpu_type,
                gpu_count=gpu_count,
                request_count=count,
                wanted_gpu_count=wanted,
            )
            for (gpu_type, gpu_count), (count, wanted) in report.asked_in_vain.items()
        ],
    )


def _row(row: UtilisationRow) -> doc.UtilisationRow:
    return doc.UtilisationRow(
        key=row.key,
        capacity_gpu_hours=row.capacity_gpu_ms / MS_PER_HOUR,
        used_share=row.used_share,
        paid_share=row.paid_share,
        dollar_share=row.dollar_share,
        revenue_micro_usd=rounded_micro_usd(row.rated),
        revenue_usd_per_gpu_hour=row.revenue_usd_per_gpu_hour,
        cost_usd_per_gpu_hour=row.cost_usd_per_gpu_hour,
        point_micro_usd=round(row.point_usd * MICRO_USD_PER_USD),
        states=[
            doc.StateHours(
                state=state.value,
                gpu_hours=gpu_ms / MS_PER_HOUR,
                list_value_micro_usd=rounded_micro_usd(row.list_rated[state]),
            )
            for state, gpu_ms in row.gpu_ms.items()
        ],
    )
