"""Payments: asked for by who owes, told by providers, written down by operators."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gigawatt.errors import (
    ConflictError,
    DriverPermanentError,
    DriverRetryableError,
    InputError,
    UnknownIdError,
)
from gigawatt.identity.accounts import AccountId, Organisation, OrganisationId
from gigawatt.interfaces.billing import BillingBook
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.payments import (
    PaymentBook,
    PaymentEvent,
    PaymentProvider,
    RefundAnswer,
)
from gigawatt.market.invoice import CENT_MICRO_USD, Invoice
from gigawatt.market.month import day_at
from gigawatt.market.owed import DUE_DAYS, Bill, OpenBill, Owed, owed_of
from gigawatt.market.payment import (
    BANK,
    LIVE,
    Money,
    News,
    NewsKind,
    Payment,
    PaymentState,
    Refund,
    RefundState,
)
from gigawatt.money import format_usd
from gigawatt.units import HOUR_S

ASK_S_MAX = 20.0 * HOUR_S
"""How long a provider is asked for the page of a payment. Ours: providers remember for a day that
they were asked before, and after that would make a second page."""

HELD_EVENT = "payment_held"
"""Event of the trail: a provider told something that does not fit."""
CHARGEBACK_EVENT = "payment_charged_back"
"""Event of the trail: a payer's bank took money back."""


@dataclass(frozen=True, slots=True)
class Overdue:
    """An invoice that should have been paid."""

    open_bill: OpenBill
    organisation_name: str
    day_count: int


class Payments:
    """The book of payments, and who takes money for us."""

    def __init__(
        self,
        book: PaymentBook,
        bills: BillingBook,
        directory: Directory,
        new_id: Callable[[str], str],
        now_s: Callable[[], float],
    ) -> None:
        """Only transfers are taken until ``providers`` is set."""
        self.book = book
        self.providers: Mapping[str, PaymentProvider] = {}
        self.due_days = DUE_DAYS
        self.tell: Callable[[str, str, float], None] = lambda kind, sentence, at_s: None
        self._bills = bills
        self._directory = directory
        self._new_id = new_id
        self._now_s = now_s

    def owed(self, organisation_id: OrganisationId) -> Owed:
        """What an organisation owes, invoice by invoice."""
        return self.owed_by(frozenset({organisation_id}))[organisation_id]

    def owed_by(
        self, organisation_ids: frozenset[OrganisationId] | None
    ) -> dict[OrganisationId, Owed]:
        """What organisations owe, of everybody who has an invoice if None."""
        facts = self.book.owed_facts(organisation_ids)
        bills: dict[OrganisationId, list[Bill]] = {
            name: [] for name in sorted(organisation_ids or ())
        }
        for bill in facts.bills:
            bills.setdefault(bill.organisation_id, []).append(bill)
        return {
            name: owed_of(
                mine, facts.named, facts.balances.get(name, 0), facts.issued, self.due_days
            )
            for name, mine in bills.items()
        }

    def overdue(self) -> list[Overdue]:
        """Invoices that should have been paid, the oldest first. Nothing is done about them."""
        today = day_at(round(self._now_s() * 1000))
        found = [
            (bill, days)
            for owed in self.owed_by(None).values()
            for bill in owed.bills
            if (days := bill.days_overdue(today))
        ]
        found.sort(key=lambda pair: (-pair[1], pair[0].bill.invoice_id))
        names = {bill.bill.organisation_id: "" for bill, _ in found}
        for name in names:
            named = self._organisation(name)
            names[name] = name if named is None else named.name
        return [Overdue(bill, names[bill.bill.organisation_id], days) for bill, days in found]

    def pay(self, invoice: Invoice, amount_micro_usd: int | None, account_id: AccountId) -> Payment:
        """A payment of what is open of an invoice, or of a part, with the page where to pay it.

        The live payment of the same amount is given again.

        Raises:
            ConflictError: nothing is open, or a payment of another amount is live.
            DriverPermanentError: the provider refuses; the payment has failed.
            DriverRetryableError: the provider does not answer; it is asked again by itself.
            InputError: it is a credit note, or no provider takes such an amount.
        """
        provider = self._provider_for(invoice)
        still = self._open_of(invoice)
        wanted = still if amount_micro_usd is None else amount_micro_usd
        limits = provider.limits
        if not still:
            raise ConflictError(
                f"nothing is open of {invoice.invoice_id}",
                next_step="See 'gw billing statement' for how it was paid.",
            )
        if wanted > still or wanted % CENT_MICRO_USD:
            raise InputError(
                f"{format_usd(wanted, digits=6)} of {invoice.invoice_id} shall be paid, and"
                f" {format_usd(still)} are open; wanted whole cents, and no more than that"
            )
        if not limits.amount_micro_usd_min <= wanted <= limits.amount_micro_usd_max:
            raise InputError(
                f"{provider.name} takes {format_usd(limits.amount_micro_usd_min)} to"
                f" {format_usd(limits.amount_micro_usd_max)} at once, not {format_usd(wanted)}",
                next_step="Pay by bank transfer with the invoice's number, or a part: --amount.",
            )
        now_s = self._now_s()
        asked = Payment(
            payment_id=self._new_id("pay"),
            organisation_id=invoice.organisation_id,
            invoice_id=invoice.invoice_id,
            provider=provider.name,
            amount_micro_usd=wanted,
            state=PaymentState.ASKED,
            created_s=now_s,
            changed_s=now_s,
            account_id=account_id,
        )
        kept = self.book.ask(asked)
        if kept.expires_s is not None and kept.expires_s <= now_s:
            # Nobody told us yet what came of a page that is over.
            self.refresh(kept.payment_id)
            kept = self.book.ask(asked)
        return self.ask_provider(kept) if kept.state is PaymentState.ASKED else kept

    def _provider_for(self, invoice: Invoice) -> PaymentProvider:
        if invoice.corrects:
            raise InputError(f"{invoice.invoice_id} is a credit note; nobody pays it")
        if not self.providers:
            raise InputError(
                "no provider takes payments here",
                next_step="Pay by bank transfer with the invoice's number; the operator can set a"
                " provider up, see docs/billing.md.",
            )
        return next(iter(self.providers.values()))

    def _open_of(self, invoice: Invoice) -> int:
        for bill in self.owed(invoice.organisation_id).bills:
            if bill.bill.invoice_id == invoice.invoice_id:
                return bill.open_micro_usd
        raise AssertionError(f"{invoice.invoice_id} is one of its organisation's")

    def ask_provider(self, payment: Payment) -> Payment:
        """The payment with its page; the provider makes none twice. Errors as ``pay``."""
        provider = self._provider(payment.provider)
        try:
            page = provider.ask(payment, self._payer_ref(provider, payment.organisation_id))
        except DriverPermanentError as error:
            self.book.end(payment.payment_id, PaymentState.FAILED, str(error), self._now_s())
            raise
        except DriverRetryableError as error:
            raise DriverRetryableError(
                f"{payment.payment_id} is kept, and {provider.name} gave no page for it: {error}",
                next_step="It is asked again by itself; see"
                f" 'gw payment show {payment.payment_id}'.",
            ) from error
        return self.book.note_page(payment.payment_id, page, self._now_s())

    def _payer_ref(self, provider: PaymentProvider, organisation_id: OrganisationId) -> str:
        found = self.book.payer_ref(provider.name, organisation_id)
        if found:
            return found
        known = self._organisation(organisation_id)
        name = organisation_id if known is None else known.name
        made = provider.register(organisation_id, name)
        return self.book.keep_payer_ref(provider.name, organisation_id, made)

    def _organisation(self, organisation_id: OrganisationId) -> Organisation | None:
        try:
            return self._directory.organisation(organisation_id)
        except UnknownIdError:
            return None

    def _provider(self, name: str) -> PaymentProvider:
        found = self.providers.get(name)
        if found is None:
            raise UnknownIdError(
                f"no provider {name!r} takes payments here",
                next_step="The operator sets it up in payments.yaml, see docs/billing.md.",
            )
        return found

    def record(
        self,
        organisation_id: OrganisationId,
        reference: str,
        amount_micro_usd: int,
        invoice: Invoice | None,
        account_id: AccountId,
    ) -> Payment:
        """Write down money that came by bank today; the same reference is written once.

        Raises:
            ConflictError: a payment of this reference says something else.
            InputError: the invoice is another organisation's, or a credit note.
        """
        if invoice is not None and (invoice.organisation_id != organisation_id or invoice.corrects):
            raise InputError(f"{invoice.invoice_id} is no invoice of {organisation_id}")
        if amount_micro_usd <= 0:
            raise InputError(f"payment {reference!r} is of {amount_micro_usd} micro-USD")
        now_s = self._now_s()
        made = Payment(
            payment_id=self._new_id("pay"),
            organisation_id=organisation_id,
            invoice_id="" if invoice is None else invoice.invoice_id,
            provider=BANK,
            amount_micro_usd=amount_micro_usd,
            state=PaymentState.SETTLED,
            created_s=now_s,
            changed_s=now_s,
            account_id=account_id,
            reference=reference,
        )
        return self.book.record(made, now_s)

    def refresh(self, payment_id: str) -> Money:
        """A payment after its provider was asked what came of it.

        Raises:
            DriverError: the provider does not answer, or refuses.
        """
        payment = self.book.get(payment_id).payment
        if payment.state is PaymentState.ASKED:
            self.ask_provider(payment)
        elif payment.provider != BANK:
            for news in self._provider(payment.provider).look(payment):
                self._take(payment.provider, news)
        return self.book.get(payment_id)

    def cancel(self, payment_id: str) -> Money:
        """Take a payment back that nobody has paid.

        Raises:
            ConflictError: it is not live, or the money is under way.
            DriverError: the provider does not answer, or it was paid there meanwhile.
        """
        payment = self.book.get(payment_id).payment
        if payment.state not in LIVE or payment.state is PaymentState.PROCESSING:
            raise ConflictError(
                f"{payment_id} is {payment.state.value}, so it cannot be cancelled",
                next_step=f"See 'gw payment show {payment_id}'.",
            )
        if payment.state is PaymentState.ASKED:
            # The provider may have made a page of which we do not know; now we do.
            payment = self.ask_provider(payment)
        self._provider(payment.provider).cancel(payment)
        self.book.end(payment_id, PaymentState.CANCELLED, "cancelled here", self._now_s())
        return self.book.get(payment_id)

    def refund(
        self, payment_id: str, amount_micro_usd: int | None, reason: str, account_id: AccountId
    ) -> Money:
        """Send money of a payment back, or all that is here of it; what is owed rises by it.

        A refund of a transfer only writes down that a person sent the money.

        Raises:
            ConflictError: the payment is not settled, or less of it is here.
            DriverPermanentError: the provider refuses; the refund has failed.
            DriverRetryableError: the provider does not answer; it is asked again by itself.
            InputError: the amount is not of whole cents.
        """
        money = self.book.get(payment_id)
        left = (
            money.payment.amount_micro_usd
            - money.refunding_micro_usd
            - money.charged_back_micro_usd
        )
        wanted = left if amount_micro_usd is None else amount_micro_usd
        if wanted <= 0 or (wanted % CENT_MICRO_USD and money.payment.provider != BANK):
            raise InputError(
                f"{format_usd(wanted, digits=6)} of {payment_id} shall go back;"
                " wanted whole cents, and more than none"
            )
        now_s, is_bank = self._now_s(), money.payment.provider == BANK
        asked = Refund(
            refund_id=self._new_id("rfd"),
            payment_id=payment_id,
            amount_micro_usd=wanted,
            state=RefundState.DONE if is_bank else RefundState.ASKED,
            reason=reason,
            created_s=now_s,
            changed_s=now_s,
            account_id=account_id,
        )
        kept = self.book.add_refund(asked)
        return kept if is_bank else self.send_refund(kept.payment, asked)

    def send_refund(self, payment: Payment, refund: Refund) -> Money:
        """Ask the provider for a refund; it sends none twice. Errors as ``refund``."""
        try:
            answer = self._provider(payment.provider).refund(payment, refund)
        except DriverPermanentError:
            answer = RefundAnswer("", RefundState.FAILED)
            self.book.note_refund(refund.refund_id, answer, self._now_s())
            raise
        except DriverRetryableError as error:
            raise DriverRetryableError(
                f"refund {refund.refund_id} is kept, and {payment.provider} did not take it: "
                f"{error}",
                next_step="It is asked again by itself; see"
                f" 'gw payment show {payment.payment_id}'.",
            ) from error
        return self.book.note_refund(refund.refund_id, answer, self._now_s())

    def take(self, provider: str, body: bytes, signature: str) -> PaymentEvent | None:
        """What became of a message of a provider; None if it is about nothing of ours.

        Raises:
            InputError: it is signed and does not read.
            UnauthenticatedError: it is not signed by the provider.
            UnknownIdError: there is no such provider here.
        """
        news = self._provider(provider).read(body, signature)
        return None if news is None else self._take(provider, news)

    def _take(self, provider: str, news: News) -> PaymentEvent:
        now_s = self._now_s()
        event = self.book.take(provider, news, now_s)
        if event.received_s == now_s and event.verdict == "held":
            self.tell(HELD_EVENT, f"{provider} event {news.event_id}: {event.reason}", now_s)
        if event.received_s == now_s and news.kind is NewsKind.DISPUTE_WITHDRAWN:
            amount = format_usd(news.amount_micro_usd)
            what = f"{amount} of {event.payment_id or news.reference} were charged back"
            self.tell(CHARGEBACK_EVENT, what, now_s)
        return event
