"""``StripePayments``: a ``PaymentProvider`` through Stripe's own Python library (ADR-0047).

| what | call |
|---|---|
| a payer | POST /v1/customers |
| a page | POST /v1/checkout/sessions, mode payment |
| what came of it | GET /v1/checkout/sessions/ID, GET /v1/refunds |
| take it down | POST /v1/checkout/sessions/ID/expire |
| send money back | POST /v1/refunds |
| what came to our bank | GET /v1/payouts, GET /v1/balance_transactions |

Whatever is made carries our id as Idempotency-Key, so that an answer that was lost makes nothing
twice; a refund is looked for first, because Stripe forgets such keys after a day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from gigawatt.drivers.stripe.balance import OWN, line_of, payout_of
from gigawatt.drivers.stripe.messages import (
    PAYMENT_KEY,
    REFUND_KEY,
    id_of,
    news_of,
    refund_news,
    session_news,
)
from gigawatt.drivers.stripe.settings import StripeSettings
from gigawatt.errors import (
    DriverPermanentError,
    DriverRetryableError,
    GigawattError,
    InputError,
    UnauthenticatedError,
)
from gigawatt.identity.accounts import OrganisationId
from gigawatt.interfaces.payments import Limits, Page, RefundAnswer
from gigawatt.interfaces.secrets import Secrets
from gigawatt.market.invoice import CENT_MICRO_USD
from gigawatt.market.payment import REFUND_STATE_OF, News, NewsKind, Payment, Refund
from gigawatt.market.payout import Payout, PayoutLine, PayoutLineKind
from gigawatt.money import format_usd
from gigawatt.units import HOUR_S

if TYPE_CHECKING:
    # The library has 1,600 modules; only a server that takes payments needs any of them.
    import stripe
    from stripe.params.checkout import SessionCreateParams

T = TypeVar("T")

NAME = "stripe"

API_VERSION = "2026-10-28.endive"
"""The version of Stripe's API that is spoken, whatever the account's own is. A test compares it
with the library's."""

LIMITS = Limits(50 * CENT_MICRO_USD, 99_999_999 * CENT_MICRO_USD)
"""$0.50 to $999,999.99. Source: docs.stripe.com/currencies, minimum and maximum charge amounts."""

PAGE_S = 23.0 * HOUR_S
"""How long a page stays, from when its payment was asked for; Stripe takes 30 minutes to a day."""

RETRIES = 1
"""How often the library itself repeats a call that got no answer, before we say so."""

SIGNED_S_MAX = 300
"""Oldest signature that is taken. Source: docs.stripe.com/webhooks, "Preventing replay attacks"."""

SAID_MAX = 200
"""Letters of a refusal that are passed on."""


class StripePayments:
    """One account at Stripe; its keys are read anew for every call, and kept nowhere."""

    def __init__(self, settings: StripeSettings, secrets: Secrets) -> None:
        """Call nobody yet."""
        self._settings = settings
        self._secrets = secrets

    @property
    def name(self) -> str:
        """One word."""
        return NAME

    @property
    def limits(self) -> Limits:
        """What one payment may be."""
        return LIMITS

    def register(self, organisation_id: OrganisationId, name: str) -> str:
        """The id of an organisation as Stripe's customer."""
        made = self._call(
            lambda client: client.v1.customers.create(
                {"name": name, "metadata": {"gigawatt_organisation": organisation_id}},
                {"idempotency_key": f"payer/{organisation_id}"},
            )
        )
        return made.id

    def ask(self, payment: Payment, payer_ref: str) -> Page:
        """The page of a payment."""
        parts = self._page_of(payment, payer_ref)
        made = self._call(
            lambda client: client.v1.checkout.sessions.create(
                parts, {"idempotency_key": f"page/{payment.payment_id}"}
            )
        )
        return Page(made.id, made.url or "", float(made.expires_at), id_of(made.payment_intent))

    def _page_of(self, payment: Payment, payer_ref: str) -> "SessionCreateParams":
        meta = {PAYMENT_KEY: payment.payment_id}
        what = f"Invoice {payment.invoice_id}"
        back = self._settings.return_url
        joint = "&" if "?" in back else "?"
        parts: SessionCreateParams = {
            "mode": "payment",
            "client_reference_id": payment.payment_id,
            "customer": payer_ref,
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": payment.currency.lower(),
                        "unit_amount": payment.amount_micro_usd // CENT_MICRO_USD,
                        "product_data": {"name": what},
                    },
                }
            ],
            "metadata": meta,
            "payment_intent_data": {"metadata": meta, "description": what},
            # The invoice is in dollars, and so is what is paid: no price of the payer's country.
            "adaptive_pricing": {"enabled": False},
            "success_url": f"{back}{joint}payment={payment.payment_id}",
            "cancel_url": f"{back}{joint}payment={payment.payment_id}",
            "expires_at": int(payment.created_s + PAGE_S),
        }
        if self._settings.methods:
            parts["allowed_payment_method_types"] = list(self._settings.methods)
        return parts

    def look(self, payment: Payment) -> Sequence[News]:
        """What came of a payment until now."""
        if not payment.page_ref:
            return ()
        found = self._call(lambda client: client.v1.checkout.sessions.retrieve(payment.page_ref))
        kind = {"complete": NewsKind.SETTLED, "expired": NewsKind.EXPIRED}.get(found.status or "")
        news: list[News] = []
        if kind is not None:
            how = f"{found.status}-{found.payment_status}"
            event_id, at_s = f"look-{found.id}-{how}", float(found.created)
            told = session_news(event_id, at_s, kind, _plain(found))
            news += [] if told is None else [told]
        reference = payment.reference or id_of(found.payment_intent)
        return [*news, *(self._refunds_of(reference) if reference else ())]

    def _refunds_of(self, reference: str) -> list[News]:
        found = self._call(
            lambda client: client.v1.refunds.list({"payment_intent": reference, "limit": 100})
        )
        rows = [_plain(row) for row in found.data]
        return [
            refund_news(f"look-{row['id']}-{row['status']}", float(row["created"]), row)
            for row in rows
        ]

    def cancel(self, payment: Payment) -> None:
        """Take the page down."""
        if not payment.page_ref:
            return
        found = self._call(lambda client: client.v1.checkout.sessions.retrieve(payment.page_ref))
        if found.status == "open":
            self._call(lambda client: client.v1.checkout.sessions.expire(payment.page_ref))
        elif found.status == "complete":
            raise DriverPermanentError(
                f"{payment.payment_id} was paid at Stripe meanwhile",
                next_step=f"Run 'gw payment refresh {payment.payment_id}'; it can be refunded.",
            )

    def refund(self, payment: Payment, refund: Refund) -> RefundAnswer:
        """Send money back, unless it was sent for this refund already."""
        for told in self._refunds_of(payment.reference):
            if told.refund_id == refund.refund_id:
                return RefundAnswer(told.object_id, REFUND_STATE_OF[told.kind])
        meta = {PAYMENT_KEY: payment.payment_id, REFUND_KEY: refund.refund_id}
        made = self._call(
            lambda client: client.v1.refunds.create(
                {
                    "payment_intent": payment.reference,
                    "amount": refund.amount_micro_usd // CENT_MICRO_USD,
                    "metadata": meta,
                },
                {"idempotency_key": f"refund/{refund.refund_id}"},
            )
        )
        told = refund_news("", 0.0, _plain(made))
        return RefundAnswer(made.id, REFUND_STATE_OF[told.kind])

    def payouts(self, since_s: float) -> Sequence[Payout]:
        """What was sent to our bank after a moment, or is on its way."""

        def listed(client: "stripe.StripeClient") -> list[Mapping[str, Any]]:
            page = client.v1.payouts.list({"created": {"gte": int(since_s)}, "limit": 100})
            return [_plain(found) for found in page.auto_paging_iter()]

        return [payout_of(NAME, about) for about in self._call(listed)]

    def payout_lines(self, payout: Payout) -> Sequence[PayoutLine]:
        """Of what a payout is made; its own transaction is none of it, and has to fit."""

        def listed(client: "stripe.StripeClient") -> list[Mapping[str, Any]]:
            page = client.v1.balance_transactions.list(
                {"payout": payout.payout_id, "limit": 100, "expand": ["data.source"]}
            )
            return [_plain(found) for found in page.auto_paging_iter()]

        lines = [line_of(about) for about in self._call(listed)]
        found: list[PayoutLine] = []
        for line in lines:
            if line.said != OWN:
                found.append(line)
            elif line.amount_micro_usd != -payout.amount_micro_usd:
                # Nobody knows such a line, so the payout is held with it as the reason.
                amount = format_usd(-line.amount_micro_usd)
                found.append(replace(line, said=f"payout of {amount} instead of its own"))
            elif line.fee_micro_usd:
                # What sending it cost is a fee like others.
                cost, kind = line.fee_micro_usd, PayoutLineKind.FEE
                found.append(replace(line, kind=kind, amount_micro_usd=0, net_micro_usd=-cost))
        return found

    def read(self, body: bytes, signature: str) -> News | None:
        """The news in a message from outside."""
        import stripe  # noqa: PLC0415 - as above

        secret = self._secrets.read(self._settings.webhook_secret_ref)
        try:
            event = stripe.Webhook.construct_event(body, signature, secret, SIGNED_S_MAX)
        except stripe.SignatureVerificationError as error:
            raise UnauthenticatedError(
                "the message is not signed by Stripe, or was signed too long ago",
                next_step="Compare the signing secret of the endpoint at Stripe with the one here.",
            ) from error
        except ValueError as error:
            raise InputError("the message of Stripe is no JSON") from error
        return news_of(_plain(event))

    def _call(self, make: Callable[["stripe.StripeClient"], T]) -> T:
        """What Stripe answers.

        Raises:
            DriverRetryableError: nobody answers, or it says "later".
            DriverPermanentError: it refuses.
        """
        import stripe  # noqa: PLC0415 - as above

        limit_s = self._settings.request_s_max
        http = stripe.RequestsClient(timeout=(min(5.0, limit_s), limit_s))
        client = stripe.StripeClient(
            self._secrets.read(self._settings.secret_ref),
            stripe_version=API_VERSION,
            base_addresses={"api": self._settings.api_url},
            max_network_retries=RETRIES,
            http_client=http,
        )
        try:
            return make(client)
        except stripe.StripeError as error:
            raise _ours(error) from error
        finally:
            http.close()  # type: ignore[no-untyped-call]


def _ours(error: "stripe.StripeError") -> GigawattError:
    """An error of Stripe's library as one of ours; it never has a key in it."""
    import stripe  # noqa: PLC0415 - as above

    status = error.http_status
    if isinstance(error, stripe.APIConnectionError) or status is None:
        return DriverRetryableError(
            "Stripe does not answer", next_step="Nothing is lost; it is asked again by itself."
        )
    said = f"{status} {(error.user_message or type(error).__name__)[:SAID_MAX]}"
    if status >= 500 or status in {409, 429}:
        return DriverRetryableError(
            f"Stripe says {said}", next_step="Nothing is lost; it is asked again by itself."
        )
    if status in {401, 403}:
        return DriverPermanentError(
            f"Stripe does not take our key ({status})",
            next_step="Give it the right one: 'gw payment keys', on the server.",
        )
    return DriverPermanentError(
        f"Stripe says {said}", next_step="Look the request up in Stripe's dashboard."
    )


def _plain(found: Any) -> Mapping[str, Any]:  # noqa: ANN401 - any object of Stripe's library
    """An object of Stripe's library as plain dictionaries."""
    plain: Mapping[str, Any] = found.to_dict()
    return plain
