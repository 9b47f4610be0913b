"""The rate card, and what something would cost."""

from typing import Annotated

from fastapi import Query

from gigawatt.api.access import Access, Allowed
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of
from gigawatt.api.rate_views import answer_document, rate_documents, rate_of
from gigawatt.api.routing import new_router, operation
from gigawatt.app.market.offers import PriceWish, make_offers
from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.interfaces.rates import RateFilter, RateRecord
from gigawatt.sdk import documents as doc
from gigawatt.sdk.documents.clusters import Term as TermName

router = new_router("rates")

READ_COUNT = 1_000
"""Rows that are read at once: which of them are in force takes all of their kind."""

Text = Annotated[str | None, Query(min_length=1, max_length=200)]


@operation(router, "GET", "/rates")
def list_rates(
    access: Allowed,
    gpu_type: Text = None,
    term: TermName | None = None,
    organisation_id: Text = None,
    with_past: bool = False,
    cursor: Cursor = None,
    limit: Limit = 100,
) -> doc.Page[doc.Rate]:
    """Rows of the rate card: those for everybody and those of the caller's own organisation."""
    access.permit()
    caller, now_s = access.caller, access.service.now_s()
    wanted = RateFilter(
        seen_by=None if caller.is_operator else caller.account.organisation_id,
        organisation_id=None if organisation_id is None else OrganisationId(organisation_id),
        gpu_type=gpu_type,
        term=None if term is None else Term(term),
    )
    before = number_place(cursor, NEWEST)
    shown = [
        row
        for row in rate_documents(_all(access, wanted), now_s, with_setter=caller.is_operator)
        if (with_past or row.state != "past") and _place(row) < before
    ]
    return page_of(shown, limit, _place, lambda row: row)


def _place(row: doc.Rate) -> int:
    return int(row.id.removeprefix("rat_"))


def _all(access: Access, wanted: RateFilter) -> list[RateRecord]:
    found: list[RateRecord] = []
    before = NEWEST
    while True:
        rows = access.service.market.rates.page(wanted, before, READ_COUNT)
        found.extend(rows)
        if len(rows) < READ_COUNT:
            return found
        before = rows[-1].sequence


@operation(router, "POST", "/rates", 201)
def set_rates(body: doc.SetRates, access: Allowed) -> doc.Page[doc.Rate]:
    """Add rows to the rate card, all or none; what was promised before keeps its price."""
    access.permit()
    service = access.service
    now_s = service.now_s()
    for number, row in enumerate(body.rates, start=1):
        _refuse_unknown(access, row, f"row {number} of the rate card")
    rows = [(rate_of(row, now_s), row.note) for row in body.rates]
    added = service.market.rates.add(rows, access.caller.account.account_id, now_s)
    page = doc.Page(items=rate_documents(added, now_s, with_setter=True))
    access.note_change(None, page)
    return page


def _refuse_unknown(access: Access, row: doc.NewRate, what: str) -> None:
    """Refuse a type, a site or an organisation that is not there: the row would never answer."""
    fleet = access.service.control.around.fleet
    types = sorted({node_type.gpu_type for node_type in fleet.node_types})
    if row.gpu_type not in types:
        raise InputError(f"{what}: there are no {row.gpu_type!r} GPUs, but {', '.join(types)}")
    if row.site_id is not None and row.site_id not in fleet.sites.index_of:
        raise InputError(
            f"{what}: there is no site {row.site_id!r}, but {', '.join(fleet.sites.ids)}"
        )
    if row.organisation_id is not None:
        access.service.directory.organisation(OrganisationId(row.organisation_id))


@operation(router, "POST", "/prices")
def ask_price(body: doc.AskPrice, access: Allowed) -> doc.PriceAnswer:
    """What GPUs would cost, and other ways, the cheapest first; nothing is kept."""
    project = access.project(body.project_id)
    if body.month_count and body.term != "reserved":
        raise InputError(f"month_count is {body.month_count}, but the term is {body.term}")
    wish = PriceWish(
        tenant_id=project.project_id,
        gpu_count=body.gpu_count,
        gpu_type=body.gpu_type,
        term=Term(body.term),
        month_count=body.month_count,
        site_ids=tuple(SiteId(site_id) for site_id in body.site_ids),
        spare_count=body.spare_count,
        duration_s=body.duration_s,
        from_s=None if body.from_at is None else body.from_at.timestamp(),
    )
    market = access.service.market
    room = market.reservations.room()
    offers = make_offers(access.service.admission, market.pricing, wish, room)
    return answer_document(offers, body.spare_count, body.duration_s)
