"""The rate card and offers as documents of the wire."""

from collections.abc import Collection, Iterable

from gigawatt.api.views import at, maybe_at
from gigawatt.app.market.offers import Offer, Offers
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.interfaces.rates import RateRecord
from gigawatt.market.conditions import CANCELLATION, billed_items
from gigawatt.market.rates import Rate, in_force
from gigawatt.sdk import documents as doc


def rate_of(row: doc.NewRate, now_s: float) -> Rate:
    """The row of a card that a document describes."""
    begins_s = now_s if row.valid_from is None else row.valid_from.timestamp()
    return Rate(
        gpu_type=row.gpu_type,
        term=Term(row.term),
        price_micro_usd_per_gpu_hour=row.price_micro_usd_per_gpu_hour,
        valid_from_s=begins_s,
        site_id=None if row.site_id is None else SiteId(row.site_id),
        organisation_id=None
        if row.organisation_id is None
        else OrganisationId(row.organisation_id),
        gpu_count_min=row.gpu_count_min,
        month_count_min=row.month_count_min,
        currency=row.currency,
        valid_to_s=None if row.valid_to is None else row.valid_to.timestamp(),
    )


def rate_documents(
    records: Iterable[RateRecord], now_s: float, *, with_setter: bool
) -> list[doc.Rate]:
    """Rows with whether they are in force; ``records`` has all rows of each kind that it has."""
    kept = list(records)
    current = {(*r.kind, r.valid_from_s) for r in in_force((k.rate for k in kept), now_s)}
    return [_document(record, now_s, current, with_setter=with_setter) for record in kept]


def _document(
    record: RateRecord, now_s: float, current: Collection[tuple[object, ...]], *, with_setter: bool
) -> doc.Rate:
    rate = record.rate
    is_current = (*rate.kind, rate.valid_from_s) in current
    return doc.Rate(
        id=f"rat_{record.sequence}",
        gpu_type=rate.gpu_type,
        term=rate.term.value,
        price_micro_usd_per_gpu_hour=rate.price_micro_usd_per_gpu_hour,
        currency=rate.currency,
        state="in_force" if is_current else "coming" if rate.valid_from_s > now_s else "past",
        valid_from=at(rate.valid_from_s),
        valid_to=maybe_at(rate.valid_to_s),
        site_id=rate.site_id,
        organisation_id=rate.organisation_id,
        gpu_count_min=rate.gpu_count_min,
        month_count_min=rate.month_count_min,
        note=record.note,
        set_at=at(record.set_at_s),
        set_by=record.set_by if with_setter else None,
    )


def _offer_document(offer: Offer, spare_count: int, duration_s: float | None) -> doc.PriceOffer:
    is_timed = duration_s is not None or offer.month_count > 0
    return doc.PriceOffer(
        gpu_type=offer.gpu_type,
        term=offer.term.value,
        site_id=offer.site_id,
        gpu_count=offer.gpu_count,
        spare_node_count=spare_count,
        month_count=offer.month_count,
        price_micro_usd_per_gpu_hour=offer.price.price_micro_usd_per_gpu_hour,
        price_basis=offer.price.basis,
        price_micro_usd_per_hour=offer.price_micro_usd_per_hour,
        total_micro_usd=offer.total_micro_usd(duration_s or 0.0) if is_timed else None,
        is_free_now=offer.is_free_now,
        starts_at=maybe_at(offer.starts_s),
        cancellation=CANCELLATION[offer.term],
    )


def answer_document(offers: Offers, spare_count: int, duration_s: float | None) -> doc.PriceAnswer:
    """What was asked for and the other ways."""
    return doc.PriceAnswer(
        offer=_offer_document(offers.first, spare_count, duration_s),
        billed=list(billed_items(spare_count, 0)),
        wait=offers.wait,
        alternatives=[_offer_document(o, spare_count, duration_s) for o in offers.others],
    )
