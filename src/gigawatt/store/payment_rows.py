"""Rows of payments, refunds and disputes, and the values that they stand for."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from gigawatt.errors import UnknownIdError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.month import day_at
from gigawatt.market.payment import (
    Dispute,
    Money,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    later_refund,
    refund_draft,
    refund_failed_draft,
)
from gigawatt.store.ledger import add_entries
from gigawatt.store.payments_schema import payment_disputes, payment_refunds, payments

IDS_AT_ONCE = 500
"""Ids that one query names. SQLite takes 32,766 variables in one statement."""


def today(now_s: float) -> str:
    """The day of a moment, as entries carry it."""
    return day_at(round(now_s * 1000))


def payment_row(payment: Payment) -> dict[str, Any]:
    """The row of a payment."""
    return {**asdict(payment), "state": payment.state.value}


def payment_of(row: Row[Any]) -> Payment:
    """The payment of a row."""
    fields = dict(row._mapping)  # noqa: SLF001 - SQLAlchemy's public name for a row
    fields["state"] = PaymentState(fields["state"])
    fields["organisation_id"] = OrganisationId(fields["organisation_id"])
    return Payment(**fields)


def refund_of_row(row: Row[Any]) -> Refund:
    """The refund of a row."""
    fields = dict(row._mapping)  # noqa: SLF001 - as above
    return Refund(**{**fields, "state": RefundState(fields["state"])})


def find_payment(connection: Connection, payment_id: str) -> Payment | None:
    """A payment by our id; None if there is none."""
    row = connection.execute(
        select(payments).where(payments.c.payment_id == payment_id)
    ).one_or_none()
    return None if row is None else payment_of(row)


def get_money(connection: Connection, payment_id: str) -> Money:
    """A payment with all that happened to it.

    Raises:
        UnknownIdError: there is none.
    """
    payment = find_payment(connection, payment_id)
    if payment is None:
        raise UnknownIdError(f"no payment {payment_id!r}", next_step="See 'gw payment list'.")
    return with_history(connection, [payment])[0]


def with_history(connection: Connection, found: Sequence[Payment]) -> tuple[Money, ...]:
    """Payments with their refunds and disputes, in the same order."""
    refunds: dict[str, list[Refund]] = {}
    disputes: dict[str, list[Dispute]] = {}
    ids = [payment.payment_id for payment in found]
    for start in range(0, len(ids), IDS_AT_ONCE):
        some = ids[start : start + IDS_AT_ONCE]
        query = select(payment_refunds).where(payment_refunds.c.payment_id.in_(some))
        order = (payment_refunds.c.created_s, payment_refunds.c.refund_id)
        for row in connection.execute(query.order_by(*order)):
            refunds.setdefault(row.payment_id, []).append(refund_of_row(row))
        taken = select(payment_disputes).where(payment_disputes.c.payment_id.in_(some))
        for row in connection.execute(taken.order_by(payment_disputes.c.dispute_id)):
            dispute = Dispute(**row._mapping)  # noqa: SLF001 - as above
            disputes.setdefault(row.payment_id, []).append(dispute)
    return tuple(
        Money(p, refunds.get(p.payment_id, ()), disputes.get(p.payment_id, ())) for p in found
    )


def write_payment(connection: Connection, payment: Payment) -> Payment:
    """Keep what a payment is now."""
    is_it = payments.c.payment_id == payment.payment_id
    connection.execute(update(payments).where(is_it).values(payment_row(payment)))
    return payment


def add_refund_row(connection: Connection, refund: Refund) -> None:
    """Keep a new refund."""
    row = {**asdict(refund), "state": refund.state.value}
    connection.execute(insert(payment_refunds), row)


def move_refund(
    connection: Connection, payment: Payment, refund: Refund, told: tuple[RefundState, str, float]
) -> None:
    """Keep how far a refund is, with its entry: when it is done, and when what was done failed.

    ``told`` is the state, the provider's id, and when it was told here.
    """
    state, reference, now_s = told
    after = later_refund(refund.state, state)
    values = {"reference": refund.reference or reference, "changed_s": now_s, "state": after.value}
    is_it = payment_refunds.c.refund_id == refund.refund_id
    connection.execute(update(payment_refunds).where(is_it).values(values))
    if after is refund.state:
        return
    if after is RefundState.DONE:
        add_entries(connection, [refund_draft(payment, refund, today(now_s))])
    elif after is RefundState.FAILED and refund.state is RefundState.DONE:
        add_entries(connection, [refund_failed_draft(payment, refund, today(now_s))])


def named_amounts(found: Iterable[Money]) -> dict[str, int]:
    """What is here of payments for invoices, by invoice."""
    amounts: dict[str, int] = {}
    for money in found:
        name = money.payment.invoice_id
        if name and money.kept_micro_usd:
            amounts[name] = amounts.get(name, 0) + money.kept_micro_usd
    return amounts
