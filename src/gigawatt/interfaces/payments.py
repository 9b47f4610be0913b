"""What a provider of payments and the book of payments must offer.

A provider takes money for us and tells what came of it; we never see a card. The book keeps what
was asked and what was told, and writes the ledger in the same transaction.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.owed import Bill
from gigawatt.market.payment import Money, News, Payment, PaymentState, Refund, RefundState
from gigawatt.market.payout import Payout, PayoutLine

Verdict = Literal["applied", "nothing", "waiting", "held"]
"""What became of news: it counted; it is not about us; it waits for the payment that it is about;
or it does not fit, and a person has to look."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of the provider on which a payment is paid.

    Fields: reference is the provider's id of the money, empty while there is none.
    """

    page_ref: str
    url: str
    expires_s: float | None
    reference: str = ""


@dataclass(frozen=True, slots=True)
class RefundAnswer:
    """What a provider said to a refund: its id there, and how far it is."""

    reference: str
    state: RefundState


@dataclass(frozen=True, slots=True)
class Limits:
    """The least and the most that one payment may be, in micro-USD."""

    amount_micro_usd_min: int
    amount_micro_usd_max: int


class PaymentProvider(Protocol):
    """Somebody who takes money for us. Methods wait for a network; none is called in a transaction.

    Every method raises ``DriverRetryableError`` where nobody answers, and
    ``DriverPermanentError`` where the provider refuses.
    """

    @property
    def name(self) -> str:
        """One word, as in ``Payment.provider``."""
        ...

    @property
    def limits(self) -> Limits:
        """What one payment may be."""
        ...

    def register(self, organisation_id: OrganisationId, name: str) -> str:
        """The provider's id of an organisation as a payer; asked twice, it is the same one."""
        ...

    def ask(self, payment: Payment, payer_ref: str) -> Page:
        """The page of a payment; asked again with the same payment, it is the same page."""
        ...

    def look(self, payment: Payment) -> Sequence[News]:
        """What came of a payment until now, as news that may have been told before."""
        ...

    def cancel(self, payment: Payment) -> None:
        """Take the page down; nothing to do where it is down already."""
        ...

    def refund(self, payment: Payment, refund: Refund) -> RefundAnswer:
        """Send money back; asked again with the same refund, it goes back once."""
        ...

    def payouts(self, since_s: float) -> Sequence[Payout]:
        """What was sent to our bank, or is on its way, and made after a moment in Unix seconds."""
        ...

    def payout_lines(self, payout: Payout) -> Sequence[PayoutLine]:
        """Of what a payout is made."""
        ...

    def read(self, body: bytes, signature: str) -> News | None:
        """The news in a message from outside; None if it is about nothing of ours.

        Raises:
            UnauthenticatedError: it is not signed by the provider, or too long ago.
            InputError: it is signed and does not read.
        """
        ...


@dataclass(frozen=True, slots=True)
class PaymentEvent:
    """News that were taken, and what became of them.

    Fields:
        payment_id: what they are about; empty while nobody knows.
        reason: why they are held; else empty.
        note: what a person wrote who looked at it; empty until then.
    """

    provider: str
    news: News
    received_s: float
    verdict: Verdict
    reason: str
    payment_id: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class PaymentQuery:
    """Which payments are wanted; None for all. ``before`` is an id; the newest come first."""

    organisation_ids: Collection[OrganisationId] | None = None
    invoice_id: str | None = None
    states: Collection[PaymentState] | None = None
    before: str = ""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class OwedFacts:
    """What follows from documents, payments and ledger, of one moment.

    Fields:
        bills: invoices and credit notes.
        named: micro-USD that were paid for an invoice and are still here, by its id.
        balances: micro-USD that organisations owe by the ledger; 0 is left out.
        issued: ``YYYY-MM-DD`` on which the invoices of a month went out, by month.
    """

    bills: tuple[Bill, ...]
    named: Mapping[str, int]
    balances: Mapping[OrganisationId, int]
    issued: Mapping[str, str]


class PaymentBook(Protocol):
    """The book of payments; every method is one transaction.

    Raises ``DataError`` and ``StorageFullError`` as the store does.
    """

    def ask(self, payment: Payment) -> Payment:
        """Keep a payment that is asked for; the live one of the same invoice and amount instead.

        Raises:
            ConflictError: the invoice has a live payment of another amount.
        """
        ...

    def note_page(self, payment_id: str, page: Page, now_s: float) -> Payment:
        """Keep the page of a payment."""
        ...

    def end(self, payment_id: str, state: PaymentState, reason: str, now_s: float) -> Payment:
        """Say that a payment failed, expired or was cancelled, unless the money came meanwhile."""
        ...

    def record(self, payment: Payment, now_s: float) -> Payment:
        """Keep money that came, with its entry; the same reference and content is kept once.

        Raises:
            ConflictError: a payment of this reference says something else.
        """
        ...

    def get(self, payment_id: str) -> Money:
        """A payment with all that happened to it.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def find(self, query: PaymentQuery) -> tuple[Money, ...]:
        """Payments, the newest first."""
        ...

    def add_refund(self, refund: Refund) -> Money:
        """Keep a refund that is asked for, or one that was sent, with its entry.

        Raises:
            ConflictError: the payment is not settled, or less of it is still here.
            UnknownIdError: there is no such payment.
        """
        ...

    def note_refund(self, refund_id: str, answer: RefundAnswer, now_s: float) -> Money:
        """Keep how far a refund is, with the entry that follows."""
        ...

    def refunds_asked(self) -> tuple[tuple[Payment, Refund], ...]:
        """Refunds to which no provider has answered yet."""
        ...

    def take(self, provider: str, news: News, now_s: float) -> PaymentEvent:
        """Keep news, and what follows from them; the same event is taken once."""
        ...

    def events(self, verdict: Verdict | None, limit: int) -> tuple[PaymentEvent, ...]:
        """News that were taken, the newest first."""
        ...

    def resolve(self, provider: str, event_id: str, note: str, now_s: float) -> PaymentEvent:
        """Say that a person looked at news that are held.

        Raises:
            ConflictError: they are not held, or somebody looked at them.
            UnknownIdError: there are none.
        """
        ...

    def payer_ref(self, provider: str, organisation_id: OrganisationId) -> str:
        """A provider's id of an organisation; empty while it has none."""
        ...

    def keep_payer_ref(self, provider: str, organisation_id: OrganisationId, ref: str) -> str:
        """Keep a provider's id of an organisation, unless there is one; the one that is kept."""
        ...

    def owed_facts(self, organisation_ids: Collection[OrganisationId] | None) -> OwedFacts:
        """What is owed follows from this; None for everybody."""
        ...
