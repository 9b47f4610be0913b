"""News of providers, taken once each: compared with what was asked, kept, and entered."""

import json
from dataclasses import asdict, replace
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from gigawatt.errors import DataError
from gigawatt.interfaces.payments import PaymentEvent, Verdict
from gigawatt.market.payment import (
    REFUND_STATE_OF,
    STATE_OF,
    Dispute,
    Money,
    News,
    NewsKind,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    chargeback_draft,
    later,
    objection,
    payment_draft,
    refund_of,
)
from gigawatt.store.ledger import add_entries
from gigawatt.store.payment_rows import (
    add_refund_row,
    find_payment,
    get_money,
    move_refund,
    payment_of,
    today,
    write_payment,
)
from gigawatt.store.payments_schema import payment_disputes, payment_events, payments


def take(connection: Connection, provider: str, news: News, now_s: float) -> PaymentEvent:
    """Keep news and what follows from them, in a write transaction that holds the lock.

    News of an event that is here already change nothing.
    """
    known = find_event(connection, provider, news.event_id)
    if known is not None:
        return known
    payment = _payment_of(connection, provider, news)
    verdict, reason = _judged(connection, provider, news, payment)
    event = PaymentEvent(
        provider, news, now_s, verdict, reason, "" if payment is None else payment.payment_id
    )
    connection.execute(insert(payment_events), _row(event))
    if verdict == "applied":
        assert payment is not None, "only what is about a payment is applied"
        _apply(connection, payment, news, now_s)
    return event


def _judged(
    connection: Connection, provider: str, news: News, payment: Payment | None
) -> tuple[Verdict, str]:
    if payment is None:
        if news.payment_id:
            return "held", f"it names payment {news.payment_id!r}, which is not here"
        return ("nothing" if news.kind in STATE_OF else "waiting"), ""
    money = get_money(connection, payment.payment_id)
    reason = objection(money, provider, news)
    if reason is not None:
        return "held", reason
    is_early = news.kind not in STATE_OF and payment.state is not PaymentState.SETTLED
    return ("waiting" if is_early else "applied"), ""


def _payment_of(connection: Connection, provider: str, news: News) -> Payment | None:
    """The payment that news are about: by our id, else by the provider's of page or money."""
    if news.payment_id:
        return find_payment(connection, news.payment_id)
    for column, told in (
        (payments.c.page_ref, news.page_ref),
        (payments.c.reference, news.reference),
    ):
        if told:
            query = select(payments).where(payments.c.provider == provider, column == told)
            row = connection.execute(query.limit(1)).one_or_none()
            if row is not None:
                return payment_of(row)
    return None


def _apply(connection: Connection, payment: Payment, news: News, now_s: float) -> None:
    if news.kind in STATE_OF:
        _move_payment(connection, payment, news, now_s)
    elif news.kind in REFUND_STATE_OF:
        _move_refund(connection, payment, news, now_s)
    else:
        _move_dispute(connection, payment, news, now_s)


def _move_payment(connection: Connection, payment: Payment, news: News, now_s: float) -> None:
    after = replace(
        payment,
        state=later(payment.state, STATE_OF[news.kind]),
        page_ref=payment.page_ref or news.page_ref,
        reference=payment.reference or news.reference,
        changed_s=now_s,
    )
    if after.state is not payment.state:
        after = replace(after, reason=news.reason)
    write_payment(connection, after)
    if after.state is PaymentState.SETTLED and payment.state is not PaymentState.SETTLED:
        add_entries(connection, [payment_draft(after, today(now_s))])
        _take_what_waited(connection, after, now_s)


def _take_what_waited(connection: Connection, payment: Payment, now_s: float) -> None:
    """News of refunds and disputes that came before the money did."""
    columns = payment_events.c
    is_about = columns.payment_id == payment.payment_id
    if payment.reference:
        is_about |= columns.reference == payment.reference
    query = select(payment_events).where(
        columns.provider == payment.provider, columns.verdict == "waiting", is_about
    )
    order = (columns.received_s, columns.event_id)
    for row in connection.execute(query.order_by(*order)).all():
        event = event_of(row)
        reason = objection(get_money(connection, payment.payment_id), payment.provider, event.news)
        verdict: Verdict = "applied" if reason is None else "held"
        values = {
            "verdict": verdict, "reason": reason or "", "payment_id": payment.payment_id,
        }  # fmt: skip
        connection.execute(update(payment_events).where(_is(event)).values(values))
        if reason is None:
            _apply(connection, payment, event.news, now_s)


def _move_refund(connection: Connection, payment: Payment, news: News, now_s: float) -> None:
    refund = refund_of(get_money(connection, payment.payment_id), news)
    if refund is None:
        # Somebody sent it back at the provider's own desk.
        refund = Refund(
            refund_id=f"{payment.provider}-{news.object_id}",
            payment_id=payment.payment_id,
            amount_micro_usd=news.amount_micro_usd,
            state=RefundState.ASKED,
            reason=news.reason or f"sent back at {payment.provider}",
            created_s=now_s,
            changed_s=now_s,
            reference=news.object_id,
        )
        add_refund_row(connection, refund)
    move_refund(connection, payment, refund, (REFUND_STATE_OF[news.kind], news.object_id, now_s))


def _move_dispute(connection: Connection, payment: Payment, news: News, now_s: float) -> None:
    money = get_money(connection, payment.payment_id)
    is_return = news.kind is NewsKind.DISPUTE_RETURNED
    before = _dispute(money, news.object_id)
    dispute = before or Dispute(
        dispute_id=news.object_id,
        payment_id=payment.payment_id,
        amount_micro_usd=news.amount_micro_usd,
        is_withdrawn=False,
        is_returned=False,
        changed_s=now_s,
    )
    if dispute.is_returned if is_return else dispute.is_withdrawn:
        return
    after = replace(
        dispute,
        is_withdrawn=dispute.is_withdrawn or not is_return,
        is_returned=dispute.is_returned or is_return,
        changed_s=now_s,
    )
    if before is None:
        connection.execute(insert(payment_disputes), asdict(after))
    else:
        columns = payment_disputes.c
        is_it = (columns.payment_id == after.payment_id) & (columns.dispute_id == after.dispute_id)
        connection.execute(update(payment_disputes).where(is_it).values(asdict(after)))
    draft = chargeback_draft(payment, after, today(now_s), is_return=is_return)
    add_entries(connection, [draft])


def _dispute(money: Money, dispute_id: str) -> Dispute | None:
    return next((d for d in money.disputes if d.dispute_id == dispute_id), None)


def find_event(connection: Connection, provider: str, event_id: str) -> PaymentEvent | None:
    """News that were taken; None if they were not."""
    columns = payment_events.c
    query = select(payment_events).where(columns.provider == provider, columns.event_id == event_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else event_of(row)


def event_of(row: Row[Any]) -> PaymentEvent:
    """The news of a row.

    Raises:
        DataError: they do not read.
    """
    try:
        fields = json.loads(row.news)
        news = News(**{**fields, "kind": NewsKind(fields["kind"])})
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"payment event {row.event_id!r} does not read") from error
    return PaymentEvent(
        row.provider, news, row.received_s, row.verdict, row.reason, row.payment_id, row.note
    )


def set_note(connection: Connection, event: PaymentEvent, note: str) -> PaymentEvent:
    """Keep what a person wrote of news."""
    connection.execute(update(payment_events).where(_is(event)).values(note=note))
    return replace(event, note=note)


def _is(event: PaymentEvent) -> Any:  # noqa: ANN401 - SQLAlchemy's own type of a condition
    columns = payment_events.c
    return (columns.provider == event.provider) & (columns.event_id == event.news.event_id)


def _row(event: PaymentEvent) -> dict[str, Any]:
    return {
        "provider": event.provider,
        "event_id": event.news.event_id,
        "received_s": event.received_s,
        "payment_id": event.payment_id,
        "reference": event.news.reference,
        "verdict": event.verdict,
        "reason": event.reason,
        "note": event.note,
        "news": json.dumps(asdict(event.news), sort_keys=True),
    }
