"""Payouts: what a provider sends on to our bank, what it is made of, and what the provider keeps.

A payout is only entered if every one of its lines is money that our own books know, of the same
amount, and the lines come to what was sent. What the provider keeps of a line is a fee: it is its
own price, which nobody here can know, so all that is asked of it is that the sums are right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gigawatt.market.closing import account_word
from gigawatt.market.ledger import CURRENCY, Draft, Posting
from gigawatt.market.payment import Money, PaymentState, RefundState, money_account
from gigawatt.money import format_usd


class PayoutState(StrEnum):
    """How far a payout is."""

    UNDER_WAY = "under_way"
    """The provider has not said yet that the bank has it, or what it is made of."""
    PAID = "paid"
    """The bank has it."""
    FAILED = "failed"
    """The bank gave it back, or it was called off; a later payout has the money."""


class PayoutLineKind(StrEnum):
    """What a line of a payout is."""

    PAYMENT = "payment"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    DISPUTE = "dispute"
    DISPUTE_RETURNED = "dispute_returned"
    FEE = "fee"
    PAYOUT_FAILED = "payout_failed"
    OTHER = "other"
    """Something that our books have no word for."""


@dataclass(frozen=True, slots=True)
class PayoutLine:
    """One movement at the provider.

    Fields:
        line_id: the provider's.
        amount_micro_usd: positive is money for us; net is what is left of it after the fee.
        reference: the provider's id of the money, as in ``Payment``; empty where there is none.
        object_id: the provider's id of a refund, a dispute or a payout; else empty.
        said: what the provider calls such a line.
    """

    line_id: str
    kind: PayoutLineKind
    amount_micro_usd: int
    fee_micro_usd: int
    net_micro_usd: int
    currency: str
    reference: str = ""
    object_id: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Payout:
    """Money that a provider sends to our bank; below 0 where it takes some.

    Fields:
        is_itemised: whether the provider says of what it is.
        at_s: when it was made, Unix seconds.
    """

    provider: str
    payout_id: str
    amount_micro_usd: int
    currency: str
    state: PayoutState
    at_s: float
    is_itemised: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Known:
    """What our books know of what a payout names.

    Fields:
        monies: payments by the provider's id of their money.
        paid_out: payout that had a line before, by the line's id.
        failed: micro-USD of payouts that failed, by their ids.
    """

    monies: Mapping[str, Money]
    paid_out: Mapping[str, str]
    failed: Mapping[str, int]


def payout_objection(payout: Payout, lines: Sequence[PayoutLine], known: Known) -> str | None:
    """Why a payout cannot be entered; None if it can."""
    if payout.currency != CURRENCY:
        return f"it is in {payout.currency!r}, and the books are in {CURRENCY}"
    if not payout.is_itemised:
        return f"{payout.provider} does not say what it is made of, as of any that is made by hand"
    for line in lines:
        reason = _line_objection(payout, line, known)
        if reason is not None:
            return f"{line.line_id}: {reason}"
    if len({line.line_id for line in lines}) < len(lines):
        return "it names a line twice"
    total = sum(line.net_micro_usd for line in lines)
    if total != payout.amount_micro_usd:
        wanted = format_usd(payout.amount_micro_usd)
        return f"its lines come to {format_usd(total)}, and {wanted} were sent"
    return None


def _line_objection(payout: Payout, line: PayoutLine, known: Known) -> str | None:
    if line.currency != CURRENCY:
        return f"it is in {line.currency!r}, and the books are in {CURRENCY}"
    if line.net_micro_usd != line.amount_micro_usd - line.fee_micro_usd:
        return (
            f"{format_usd(line.amount_micro_usd)} less a fee of {format_usd(line.fee_micro_usd)}"
            f" is not {format_usd(line.net_micro_usd)}"
        )
    before = known.paid_out.get(line.line_id, payout.payout_id)
    if before != payout.payout_id:
        return f"payout {before} had it already"
    return None if line.kind is PayoutLineKind.FEE else _unknown(payout, line, known)


def _unknown(payout: Payout, line: PayoutLine, known: Known) -> str | None:
    """Why a line is not money that our books moved; None if it is."""
    if line.kind is PayoutLineKind.OTHER:
        return f"the books know no {line.said!r}"
    if line.kind is PayoutLineKind.PAYOUT_FAILED:
        return _compared(line, known.failed.get(line.object_id), f"payout {line.object_id}")
    money = known.monies.get(line.reference)
    if money is None or money.payment.provider != payout.provider:
        return f"it is of {line.reference or line.said!r}, which is not here"
    return _compared(line, *_known_amount(line, money))


def _known_amount(line: PayoutLine, money: Money) -> tuple[int | None, str]:
    """What our books moved for such a line, None for nothing; and what they call it."""
    name = money.payment.payment_id
    if line.kind is PayoutLineKind.PAYMENT:
        came = money.payment.state is PaymentState.SETTLED
        return (money.payment.amount_micro_usd if came else None), f"payment {name}"
    if line.kind in {PayoutLineKind.REFUND, PayoutLineKind.REFUND_FAILED}:
        is_back = line.kind is PayoutLineKind.REFUND_FAILED
        # One that failed went out before it came back, so our books may have both, or neither.
        wanted = {RefundState.FAILED} if is_back else {RefundState.DONE, RefundState.FAILED}
        for refund in money.refunds:
            if refund.reference == line.object_id and refund.state in wanted:
                sign = 1 if is_back else -1
                return sign * refund.amount_micro_usd, f"refund {refund.refund_id}"
        return None, f"refund {line.object_id} of {name}"
    is_return = line.kind is PayoutLineKind.DISPUTE_RETURNED
    for dispute in money.disputes:
        if dispute.dispute_id == line.object_id and (
            dispute.is_returned if is_return else dispute.is_withdrawn
        ):
            amount = dispute.amount_micro_usd
            return (amount if is_return else -amount), f"dispute {dispute.dispute_id}"
    return None, f"dispute {line.object_id} of {name}"


def _compared(line: PayoutLine, wanted: int | None, what: str) -> str | None:
    if wanted is None:
        return f"the books have no {what} that is done"
    if line.amount_micro_usd != wanted:
        moved = format_usd(line.amount_micro_usd)
        return f"it moves {moved}, and {what} moved {format_usd(wanted)}"
    return None


def fees_account(provider: str) -> str:
    """Account of what a provider keeps."""
    return f"Expenses:Fees:{account_word(provider)}"


def payout_fees(lines: Sequence[PayoutLine]) -> int:
    """What a provider keeps of some lines, and takes besides, in micro-USD."""
    taken = sum(line.amount_micro_usd for line in lines if line.kind is PayoutLineKind.FEE)
    return sum(line.fee_micro_usd for line in lines) - taken


def payout_drafts(payout: Payout, lines: Sequence[PayoutLine], on: str) -> list[Draft]:
    """Entries of a payout whose lines were found right; of one that failed also what undoes it."""
    fees = payout_fees(lines)
    name = f"payout/{payout.provider}/{payout.payout_id}"
    memo = f"payout {payout.payout_id} of {payout.provider}"
    amounts = {
        "Assets:Bank": payout.amount_micro_usd,
        fees_account(payout.provider): fees,
        money_account(payout.provider): -payout.amount_micro_usd - fees,
    }
    drafts = [_draft(name, on, memo, amounts)]
    if payout.state is PayoutState.FAILED:
        back = {
            "Assets:Bank": -payout.amount_micro_usd,
            money_account(payout.provider): payout.amount_micro_usd,
        }
        drafts.append(_draft(f"{name}/failed", on, f"{memo} failed", back))
    # What comes to nothing moves nothing.
    return [draft for draft in drafts if draft.postings]


def _draft(entry_id: str, on: str, memo: str, amounts: Mapping[str, int]) -> Draft:
    postings = tuple(Posting(account, amount) for account, amount in amounts.items() if amount)
    return Draft(entry_id, on, memo, postings)
