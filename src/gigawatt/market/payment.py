"""Payments: what is asked of a payer, what a provider says came of it, and what that moves.

A provider (a bank, Stripe) tells what happened by *news*. News may come twice, late, and in any
order, so each fact only ever adds: a state of higher rank wins, a refund is known by its id, and
entries of the ledger are sums. Amounts of news are compared with what was asked and never taken.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gigawatt.identity.accounts import AccountId, OrganisationId
from gigawatt.market.closing import account_word, receivable
from gigawatt.market.ledger import CURRENCY, Draft, Posting
from gigawatt.money import format_usd

BANK = "bank"
"""The provider of transfers that people write down."""


class PaymentState(StrEnum):
    """How far a payment is."""

    ASKED = "asked"
    """Kept here; the provider has not answered yet."""
    OPEN = "open"
    """The provider shows a page, and waits for the payer."""
    PROCESSING = "processing"
    """The payer has done their part; the money is under way."""
    EXPIRED = "expired"
    """Nobody paid in time."""
    CANCELLED = "cancelled"
    """It was taken back before anybody paid."""
    FAILED = "failed"
    """The provider refused it, or the money did not come."""
    SETTLED = "settled"
    """The money came."""


LIVE = frozenset({PaymentState.ASKED, PaymentState.OPEN, PaymentState.PROCESSING})
"""States from which money may still come as expected."""

_RANK: Mapping[PaymentState, int] = {
    PaymentState.ASKED: 0,
    PaymentState.OPEN: 1,
    PaymentState.PROCESSING: 2,
    PaymentState.EXPIRED: 3,
    PaymentState.CANCELLED: 3,
    PaymentState.FAILED: 3,
    PaymentState.SETTLED: 4,
}
"""What wins when news come in any order. Money that came outranks everything."""


class RefundState(StrEnum):
    """How far a refund is; what is later here wins when news come in any order."""

    ASKED = "asked"
    """Kept here; the provider has not answered yet."""
    PENDING = "pending"
    """The provider has taken it on."""
    DONE = "done"
    """The money went back."""
    FAILED = "failed"
    """It did not, or came back from the payer's bank."""


_REFUND_RANK = {state: rank for rank, state in enumerate(RefundState)}


class NewsKind(StrEnum):
    """What a provider may tell."""

    PROCESSING = "processing"
    SETTLED = "settled"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUND_PENDING = "refund_pending"
    REFUND_DONE = "refund_done"
    REFUND_FAILED = "refund_failed"
    DISPUTE_WITHDRAWN = "dispute_withdrawn"
    """A payer's bank took the money back."""
    DISPUTE_RETURNED = "dispute_returned"
    """It gave the money back again."""


STATE_OF: Mapping[NewsKind, PaymentState] = {
    NewsKind.PROCESSING: PaymentState.PROCESSING,
    NewsKind.SETTLED: PaymentState.SETTLED,
    NewsKind.FAILED: PaymentState.FAILED,
    NewsKind.EXPIRED: PaymentState.EXPIRED,
}
"""News of a payment itself."""

REFUND_STATE_OF: Mapping[NewsKind, RefundState] = {
    NewsKind.REFUND_PENDING: RefundState.PENDING,
    NewsKind.REFUND_DONE: RefundState.DONE,
    NewsKind.REFUND_FAILED: RefundState.FAILED,
}
"""News of a refund."""


@dataclass(frozen=True, slots=True)
class Payment:
    """Money that is asked for, or came.

    Fields:
        payment_id: ours; the provider knows it too, and makes nothing twice for it.
        invoice_id: what it is for; empty: whatever is owed, the oldest first.
        page_ref: the provider's id of the page; empty for none.
        reference: the provider's id of the money; empty until it is known.
        url: the page where the payer pays; empty for none.
        account_id: who asked for it or wrote it down; empty for nobody here.
        reason: why it is as it is; empty where that needs no word.
    """

    payment_id: str
    organisation_id: OrganisationId
    invoice_id: str
    provider: str
    amount_micro_usd: int
    state: PaymentState
    created_s: float
    changed_s: float
    account_id: AccountId | str = ""
    page_ref: str = ""
    reference: str = ""
    url: str = ""
    expires_s: float | None = None
    reason: str = ""
    currency: str = CURRENCY


@dataclass(frozen=True, slots=True)
class Refund:
    """Money of a payment that goes back to the payer; ``reference`` is the provider's id."""

    refund_id: str
    payment_id: str
    amount_micro_usd: int
    state: RefundState
    reason: str
    created_s: float
    changed_s: float
    account_id: AccountId | str = ""
    reference: str = ""


@dataclass(frozen=True, slots=True)
class Dispute:
    """Money of a payment that the payer's bank took back, and may have given again."""

    dispute_id: str
    payment_id: str
    amount_micro_usd: int
    is_withdrawn: bool
    is_returned: bool
    changed_s: float

    @property
    def lost_micro_usd(self) -> int:
        """What is gone now."""
        return self.amount_micro_usd if self.is_withdrawn and not self.is_returned else 0


@dataclass(frozen=True, slots=True)
class News:
    """One thing that a provider told, without anything about the payer or their card.

    Fields:
        event_id: the provider's; twice the same is once.
        at_s: when it happened, by the provider's clock.
        payment_id, refund_id: ours, if the provider sent them back; else empty.
        page_ref, reference: the provider's ids of page and money; empty where it named none.
        object_id: the provider's id of a refund or a dispute; else empty.
        amount_micro_usd: what it says was moved; only ever compared. ``currency`` in capitals.
    """

    event_id: str
    kind: NewsKind
    at_s: float
    amount_micro_usd: int
    currency: str
    payment_id: str = ""
    refund_id: str = ""
    page_ref: str = ""
    reference: str = ""
    object_id: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Money:
    """A payment with everything that happened to it."""

    payment: Payment
    refunds: Sequence[Refund] = ()
    disputes: Sequence[Dispute] = ()

    @property
    def refunded_micro_usd(self) -> int:
        """What went back to the payer."""
        return sum(r.amount_micro_usd for r in self.refunds if r.state is RefundState.DONE)

    @property
    def refunding_micro_usd(self) -> int:
        """What went back, or may still."""
        return sum(r.amount_micro_usd for r in self.refunds if r.state is not RefundState.FAILED)

    @property
    def charged_back_micro_usd(self) -> int:
        """What payers' banks took and did not give again."""
        return sum(dispute.lost_micro_usd for dispute in self.disputes)

    @property
    def kept_micro_usd(self) -> int:
        """What came and is still here: what counts as paid; below 0 if more went than came."""
        came = self.payment.amount_micro_usd if self.payment.state is PaymentState.SETTLED else 0
        return came - self.refunded_micro_usd - self.charged_back_micro_usd


def later(before: PaymentState, after: PaymentState) -> PaymentState:
    """The state that holds after both were told, in whatever order; of equal rank the first."""
    return after if _RANK[after] > _RANK[before] else before


def later_refund(before: RefundState, after: RefundState) -> RefundState:
    """The state of a refund that holds after both were told, in whatever order."""
    return max(before, after, key=_REFUND_RANK.__getitem__)


def objection(money: Money, provider: str, news: News) -> str | None:
    """Why news does not fit the payment that it is said to be about; None if it does."""
    payment = money.payment
    if payment.provider != provider:
        return f"payment {payment.payment_id} is by {payment.provider}, not by {provider}"
    for noun, known, told in (
        ("page", payment.page_ref, news.page_ref),
        ("reference", payment.reference, news.reference),
    ):
        if known and told and known != told:
            return f"its {noun} is {told!r}, and that of {payment.payment_id} is {known!r}"
    if news.currency != payment.currency:
        return f"it is in {news.currency!r}, and {payment.payment_id} is in {payment.currency}"
    return _amount_objection(money, news)


def _amount_objection(money: Money, news: News) -> str | None:
    told, asked = news.amount_micro_usd, money.payment.amount_micro_usd
    name = money.payment.payment_id
    if news.kind in STATE_OF:
        same = told == asked
        return None if same else f"it is of {format_usd(told)}, and {name} asks {format_usd(asked)}"
    if news.kind in REFUND_STATE_OF:
        known = refund_of(money, news)
        if known is not None and known.amount_micro_usd != told:
            wanted = format_usd(known.amount_micro_usd)
            return f"it refunds {format_usd(told)}, and {known.refund_id} is of {wanted}"
        others = money.refunding_micro_usd if known is None else 0
        if known is None and told + others > asked:
            return f"it refunds {format_usd(told)} more of {name}, which is {format_usd(asked)}"
        return None if told > 0 else f"it refunds {format_usd(told)}"
    return _dispute_objection(money, news)


def _dispute_objection(money: Money, news: News) -> str | None:
    told, asked = news.amount_micro_usd, money.payment.amount_micro_usd
    name = money.payment.payment_id
    if not 0 < told <= asked:
        return f"it takes {format_usd(told)} back of {name}, which is {format_usd(asked)}"
    before = next((d for d in money.disputes if d.dispute_id == news.object_id), None)
    if before is not None and before.amount_micro_usd != told:
        return f"it is of {format_usd(told)}, and was of {format_usd(before.amount_micro_usd)}"
    return None


def refund_of(money: Money, news: News) -> Refund | None:
    """The refund that news is about: by our id, else by the provider's; None if it is new."""
    for refund in money.refunds:
        if refund.refund_id == news.refund_id or (
            news.object_id and refund.reference == news.object_id
        ):
            return refund
    return None


def money_account(provider: str) -> str:
    """Account where money of a provider is, until it is paid out to the bank."""
    return "Assets:Bank" if provider == BANK else f"Assets:Clearing:{account_word(provider)}"


def payment_draft(payment: Payment, on: str) -> Draft:
    """The entry of money that came."""
    is_bank = payment.provider == BANK
    name = payment.reference if is_bank else f"{payment.provider}/{payment.payment_id}"
    what = payment.reference if is_bank else f"{payment.payment_id} by {payment.provider}"
    memo = f"payment {what}" + (f" for {payment.invoice_id}" if payment.invoice_id else "")
    return _draft(f"payment/{name}", on, memo, payment, payment.amount_micro_usd)


def refund_draft(payment: Payment, refund: Refund, on: str) -> Draft:
    """The entry of money that went back to a payer."""
    memo = f"refund {refund.refund_id} of {payment.payment_id}"
    return _draft(f"refund/{refund.refund_id}", on, memo, payment, -refund.amount_micro_usd)


def refund_failed_draft(payment: Payment, refund: Refund, on: str) -> Draft:
    """The entry of a refund that came back."""
    memo = f"refund {refund.refund_id} of {payment.payment_id} failed"
    return _draft(f"refund/{refund.refund_id}/failed", on, memo, payment, refund.amount_micro_usd)


def chargeback_draft(payment: Payment, dispute: Dispute, on: str, *, is_return: bool) -> Draft:
    """The entry of money that a payer's bank took back, or gave again."""
    amount = dispute.amount_micro_usd if is_return else -dispute.amount_micro_usd
    name = f"chargeback/{payment.provider}/{dispute.dispute_id}" + "/returned" * is_return
    memo = f"chargeback {dispute.dispute_id} of {payment.payment_id}" + " returned" * is_return
    return _draft(name, on, memo, payment, amount)


def _draft(entry_id: str, on: str, memo: str, payment: Payment, amount_micro_usd: int) -> Draft:
    """An entry that moves what an organisation owes to where the money is."""
    postings = (
        Posting(money_account(payment.provider), amount_micro_usd),
        Posting(receivable(payment.organisation_id), -amount_micro_usd),
    )
    return Draft(entry_id, on, memo, postings)
