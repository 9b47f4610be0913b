"""Stripe's balance, as payouts: what was sent to the bank, and the transactions of which it is.

| reporting category | line |
|---|---|
| charge | payment |
| refund, refund_failure | refund, and one that came back |
| dispute, dispute_reversal | dispute, and one that was won |
| fee, tax | fee |
| payout | the payout itself: not a line of it, but compared with it |
| payout_reversal | a payout that failed |
| any other | what our books have no word for |

Source: docs.stripe.com/reports/reporting-categories and docs.stripe.com/payouts/reconciliation, of
the API version that the library is pinned to.
"""

from collections.abc import Mapping
from typing import Any

from gigawatt.drivers.stripe.messages import id_of
from gigawatt.errors import DriverPermanentError
from gigawatt.market.invoice import CENT_MICRO_USD
from gigawatt.market.payout import Payout, PayoutLine, PayoutLineKind, PayoutState

_KINDS: Mapping[str, PayoutLineKind] = {
    "charge": PayoutLineKind.PAYMENT,
    "refund": PayoutLineKind.REFUND,
    "refund_failure": PayoutLineKind.REFUND_FAILED,
    "dispute": PayoutLineKind.DISPUTE,
    "dispute_reversal": PayoutLineKind.DISPUTE_RETURNED,
    "fee": PayoutLineKind.FEE,
    "tax": PayoutLineKind.FEE,
    "payout_reversal": PayoutLineKind.PAYOUT_FAILED,
}
OWN = "payout"
"""Category of a payout's own transaction."""
_STATES: Mapping[str, PayoutState] = {
    "paid": PayoutState.PAID,
    "failed": PayoutState.FAILED,
    "canceled": PayoutState.FAILED,
}
SAID_MAX = 200


def payout_of(name: str, about: Mapping[str, Any]) -> Payout:
    """A payout of Stripe; one of which Stripe still adds up the parts is under way.

    Raises:
        DriverPermanentError: it lacks what a payout has.
    """
    try:
        state = _STATES.get(str(about["status"]), PayoutState.UNDER_WAY)
        is_adding = about.get("reconciliation_status") == "in_progress"
        return Payout(
            provider=name,
            payout_id=str(about["id"]),
            amount_micro_usd=_micro_usd(about["amount"]),
            currency=str(about["currency"]).upper(),
            state=PayoutState.UNDER_WAY if is_adding else state,
            at_s=float(about["created"]),
            is_itemised=bool(about["automatic"]),
            reason=str(about.get("failure_message") or about.get("failure_code") or "")[:SAID_MAX],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DriverPermanentError(f"a payout of Stripe does not read: {error!r}") from error


def line_of(about: Mapping[str, Any]) -> PayoutLine:
    """A line of a payout, from a transaction whose source was expanded.

    Raises:
        DriverPermanentError: it lacks what a transaction has.
    """
    try:
        said = str(about["reporting_category"])
        source = about.get("source")
        reference = id_of(source.get("payment_intent")) if isinstance(source, Mapping) else ""
        return PayoutLine(
            line_id=str(about["id"]),
            kind=_KINDS.get(said, PayoutLineKind.OTHER),
            amount_micro_usd=_micro_usd(about["amount"]),
            fee_micro_usd=_micro_usd(about["fee"]),
            net_micro_usd=_micro_usd(about["net"]),
            currency=str(about["currency"]).upper(),
            reference=reference,
            object_id=id_of(source),
            said=said,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DriverPermanentError(
            f"a transaction of Stripe's balance does not read: {error!r}"
        ) from error


def _micro_usd(cents: object) -> int:
    if not isinstance(cents, int) or isinstance(cents, bool):
        raise TypeError(f"an amount is {cents!r}")
    return cents * CENT_MICRO_USD
