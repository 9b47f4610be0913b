"""What Stripe tells, as news: only what the books need, nothing of payers and their cards.

| event | news |
|---|---|
| checkout.session.completed, paid or not yet | settled, processing |
| checkout.session.async_payment_succeeded, _failed | settled, failed |
| checkout.session.expired | expired |
| refund.created, .updated, .failed | the refund's own status |
| charge.dispute.funds_withdrawn, .funds_reinstated | dispute withdrawn, returned |

Source: docs.stripe.com/api/events/types and docs.stripe.com/checkout/fulfillment, of the API
version that the library is pinned to.
"""

from collections.abc import Mapping
from typing import Any

from gigawatt.errors import InputError
from gigawatt.market.invoice import CENT_MICRO_USD
from gigawatt.market.payment import News, NewsKind

PAYMENT_KEY = "gigawatt_payment"
"""Under which our id of a payment is in the metadata of what we make at Stripe."""
REFUND_KEY = "gigawatt_refund"
"""The same of a refund."""

_SESSION_KINDS: Mapping[str, NewsKind] = {
    "checkout.session.completed": NewsKind.SETTLED,
    "checkout.session.async_payment_succeeded": NewsKind.SETTLED,
    "checkout.session.async_payment_failed": NewsKind.FAILED,
    "checkout.session.expired": NewsKind.EXPIRED,
}
_REFUND_EVENTS = frozenset({"refund.created", "refund.updated", "refund.failed"})
_REFUND_KINDS: Mapping[str, NewsKind] = {
    "pending": NewsKind.REFUND_PENDING,
    "requires_action": NewsKind.REFUND_PENDING,
    "succeeded": NewsKind.REFUND_DONE,
    "failed": NewsKind.REFUND_FAILED,
    "canceled": NewsKind.REFUND_FAILED,
}
_DISPUTE_KINDS: Mapping[str, NewsKind] = {
    "charge.dispute.funds_withdrawn": NewsKind.DISPUTE_WITHDRAWN,
    "charge.dispute.funds_reinstated": NewsKind.DISPUTE_RETURNED,
}

EVENTS = (*_SESSION_KINDS, *sorted(_REFUND_EVENTS), *_DISPUTE_KINDS)
"""What Stripe is to be told to send."""


def news_of(event: Mapping[str, Any]) -> News | None:
    """The news in an event of Stripe; None if it is about nothing of ours.

    Raises:
        InputError: it lacks what such an event has.
    """
    try:
        kind, event_id, at_s = str(event["type"]), str(event["id"]), float(event["created"])
        about: Mapping[str, Any] = event["data"]["object"]
        if kind in _SESSION_KINDS:
            return session_news(event_id, at_s, _SESSION_KINDS[kind], about)
        if kind in _REFUND_EVENTS:
            return refund_news(event_id, at_s, about)
        if kind in _DISPUTE_KINDS:
            return _dispute_news(event_id, at_s, _DISPUTE_KINDS[kind], about)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"an event of Stripe does not read: {error!r}") from error
    return None


def session_news(
    event_id: str, at_s: float, kind: NewsKind, about: Mapping[str, Any]
) -> News | None:
    """News of a checkout session; None if it is not one of ours."""
    ours = _meta(about).get(PAYMENT_KEY) or about.get("client_reference_id") or ""
    if not ours:
        return None
    if kind is NewsKind.SETTLED and about["payment_status"] == "unpaid":
        kind = NewsKind.PROCESSING
    return News(
        event_id=event_id,
        kind=kind,
        at_s=at_s,
        amount_micro_usd=_micro_usd(about["amount_total"]),
        currency=_currency(about),
        payment_id=str(ours),
        page_ref=str(about["id"]),
        reference=id_of(about.get("payment_intent")),
    )


def refund_news(event_id: str, at_s: float, about: Mapping[str, Any]) -> News:
    """News of a refund, ours or one that was made at Stripe's own desk."""
    meta = _meta(about)
    why = str(about.get("failure_reason") or "")
    return News(
        event_id=event_id,
        kind=_REFUND_KINDS[str(about["status"])],
        at_s=at_s,
        amount_micro_usd=_micro_usd(about["amount"]),
        currency=_currency(about),
        payment_id=str(meta.get(PAYMENT_KEY) or ""),
        refund_id=str(meta.get(REFUND_KEY) or ""),
        reference=id_of(about.get("payment_intent")),
        object_id=str(about["id"]),
        reason=why[:200],
    )


def _dispute_news(event_id: str, at_s: float, kind: NewsKind, about: Mapping[str, Any]) -> News:
    return News(
        event_id=event_id,
        kind=kind,
        at_s=at_s,
        amount_micro_usd=_micro_usd(about["amount"]),
        currency=_currency(about),
        reference=id_of(about.get("payment_intent")),
        object_id=str(about["id"]),
        reason=str(about.get("reason") or "")[:200],
    )


def id_of(value: object) -> str:
    """The id where Stripe gives an id, an object that was expanded, or nothing."""
    if value is None or isinstance(value, str):
        return value or ""
    return str(value["id"])  # type: ignore[index]


def _meta(about: Mapping[str, Any]) -> Mapping[str, Any]:
    return about.get("metadata") or {}


def _currency(about: Mapping[str, Any]) -> str:
    return str(about["currency"]).upper()


def _micro_usd(cents: object) -> int:
    """Cents as micro-USD. Of another currency it is no dollars, and refused for its currency."""
    if not isinstance(cents, int) or isinstance(cents, bool):
        raise TypeError(f"an amount is {cents!r}")
    return cents * CENT_MICRO_USD
