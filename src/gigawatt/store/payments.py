"""``SqlPayments``: the ``PaymentBook`` on the store's own database (ADR-0047)."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, func, insert, select

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.interfaces.payments import (
    OwedFacts,
    Page,
    PaymentBook,
    PaymentEvent,
    PaymentQuery,
    RefundAnswer,
    Verdict,
)
from gigawatt.market.closing import receivable
from gigawatt.market.month import last_day
from gigawatt.market.owed import Bill
from gigawatt.market.payment import (
    LIVE,
    Money,
    News,
    Payment,
    PaymentState,
    Refund,
    RefundState,
    later,
    payment_draft,
)
from gigawatt.money import format_usd
from gigawatt.store import payment_news
from gigawatt.store.billing_schema import closed_months, invoices, ledger_postings
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.ledger import add_entries
from gigawatt.store.payment_rows import (
    add_refund_row,
    find_payment,
    get_money,
    move_refund,
    named_amounts,
    payment_of,
    payment_row,
    refund_of_row,
    today,
    with_history,
    write_payment,
)
from gigawatt.store.payments_schema import (
    payment_events,
    payment_payers,
    payment_refunds,
    payments,
)
from gigawatt.store.store import SqlStore

_LIVE = [state.value for state in sorted(LIVE)]


class SqlPayments:
    """The book of payments; every method is what ``PaymentBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def ask(self, payment: Payment) -> Payment:
        """Keep a payment that is asked for; the live one of the same invoice instead."""
        with self._database.write() as connection:
            lock_generation(connection)
            columns = payments.c
            live = select(payments).where(
                columns.invoice_id == payment.invoice_id, columns.state.in_(_LIVE)
            )
            row = connection.execute(live.order_by(columns.created_s).limit(1)).one_or_none()
            if row is None:
                connection.execute(insert(payments), payment_row(payment))
                return payment
            found = payment_of(row)
            if (found.amount_micro_usd, found.provider) != (
                payment.amount_micro_usd,
                payment.provider,
            ):
                raise ConflictError(
                    f"{found.payment_id} asks {format_usd(found.amount_micro_usd)} for"
                    f" {found.invoice_id} by {found.provider} and is {found.state.value}",
                    next_step=f"Pay that one, or run 'gw payment cancel {found.payment_id}' first.",
                )
            return found

    def note_page(self, payment_id: str, page: Page, now_s: float) -> Payment:
        """Keep the page of a payment."""
        with self._database.write() as connection:
            lock_generation(connection)
            found = get_money(connection, payment_id).payment
            after = replace(
                found,
                state=later(found.state, PaymentState.OPEN),
                page_ref=found.page_ref or page.page_ref,
                reference=found.reference or page.reference,
                url=page.url,
                expires_s=page.expires_s,
                changed_s=now_s,
            )
            return write_payment(connection, after)

    def end(self, payment_id: str, state: PaymentState, reason: str, now_s: float) -> Payment:
        """Say that a payment failed, expired or was cancelled, unless the money came meanwhile."""
        with self._database.write() as connection:
            lock_generation(connection)
            found = get_money(connection, payment_id).payment
            after = later(found.state, state)
            if after is found.state:
                return found
            ended = replace(found, state=after, reason=reason, changed_s=now_s)
            return write_payment(connection, ended)

    def record(self, payment: Payment, now_s: float) -> Payment:
        """Keep money that came, with its entry; the same reference and content is kept once."""
        draft = payment_draft(payment, today(now_s))
        with self._database.write() as connection:
            lock_generation(connection)
            columns = payments.c
            query = select(payments).where(
                columns.provider == payment.provider, columns.reference == payment.reference
            )
            row = connection.execute(query).one_or_none()
            if row is None:
                add_entries(connection, [draft])
                connection.execute(insert(payments), payment_row(payment))
                return payment
            found = payment_of(row)
            if (found.organisation_id, found.invoice_id, found.amount_micro_usd) != (
                payment.organisation_id,
                payment.invoice_id,
                payment.amount_micro_usd,
            ):
                raise ConflictError(
                    f"payment {payment.reference!r} is in the books and says something else",
                    next_step=f"See 'gw payment show {found.payment_id}'.",
                )
            return found

    def get(self, payment_id: str) -> Money:
        """A payment with all that happened to it."""
        with self._database.read() as connection:
            return get_money(connection, payment_id)

    def find(self, query: PaymentQuery) -> tuple[Money, ...]:
        """Payments, the newest first."""
        columns = payments.c
        wanted = select(payments).order_by(columns.created_s.desc(), columns.payment_id.desc())
        if query.organisation_ids is not None:
            wanted = wanted.where(columns.organisation_id.in_(sorted(query.organisation_ids)))
        if query.invoice_id is not None:
            wanted = wanted.where(columns.invoice_id == query.invoice_id)
        if query.states is not None:
            wanted = wanted.where(columns.state.in_(sorted(s.value for s in query.states)))
        with self._database.read() as connection:
            before = find_payment(connection, query.before) if query.before else None
            if before is not None:
                same = (columns.created_s == before.created_s) & (
                    columns.payment_id < before.payment_id
                )
                wanted = wanted.where((columns.created_s < before.created_s) | same)
            rows = connection.execute(wanted.limit(query.limit)).all()
            return with_history(connection, [payment_of(row) for row in rows])

    def add_refund(self, refund: Refund) -> Money:
        """Keep a refund that is asked for."""
        with self._database.write() as connection:
            lock_generation(connection)
            money = get_money(connection, refund.payment_id)
            payment = money.payment
            if payment.state is not PaymentState.SETTLED:
                raise ConflictError(
                    f"{payment.payment_id} is {payment.state.value}, so nothing can go back of it",
                    next_step=f"See 'gw payment show {payment.payment_id}'.",
                )
            left = (
                payment.amount_micro_usd - money.refunding_micro_usd - money.charged_back_micro_usd
            )
            if refund.amount_micro_usd > left:
                raise ConflictError(
                    f"{format_usd(refund.amount_micro_usd)} shall go back of {payment.payment_id},"
                    f" and {format_usd(left)} of it are here",
                    next_step="Refund less.",
                )
            asked = replace(refund, state=RefundState.ASKED)
            add_refund_row(connection, asked)
            told = (refund.state, refund.reference, refund.created_s)
            move_refund(connection, payment, asked, told)
            return get_money(connection, refund.payment_id)

    def note_refund(self, refund_id: str, answer: RefundAnswer, now_s: float) -> Money:
        """Keep how far a refund is, with the entry that follows."""
        with self._database.write() as connection:
            lock_generation(connection)
            is_it = payment_refunds.c.refund_id == refund_id
            row = connection.execute(select(payment_refunds).where(is_it)).one_or_none()
            if row is None:
                raise UnknownIdError(f"no refund {refund_id!r}")
            refund = refund_of_row(row)
            payment = get_money(connection, refund.payment_id).payment
            move_refund(connection, payment, refund, (answer.state, answer.reference, now_s))
            return get_money(connection, refund.payment_id)

    def refunds_asked(self) -> tuple[tuple[Payment, Refund], ...]:
        """Refunds to which no provider has answered yet."""
        columns = payment_refunds.c
        query = select(payment_refunds).where(columns.state == RefundState.ASKED.value)
        with self._database.read() as connection:
            found = [refund_of_row(row) for row in connection.execute(query)]
            return tuple((get_money(connection, r.payment_id).payment, r) for r in found)

    def take(self, provider: str, news: News, now_s: float) -> PaymentEvent:
        """Keep news, and what follows from them; the same event is taken once."""
        with self._database.write() as connection:
            lock_generation(connection)
            return payment_news.take(connection, provider, news, now_s)

    def events(self, verdict: Verdict | None, limit: int) -> tuple[PaymentEvent, ...]:
        """News that were taken, the newest first."""
        columns = payment_events.c
        query = select(payment_events).order_by(columns.received_s.desc(), columns.event_id)
        if verdict is not None:
            query = query.where(columns.verdict == verdict)
        with self._database.read() as connection:
            return tuple(map(payment_news.event_of, connection.execute(query.limit(limit))))

    def resolve(self, provider: str, event_id: str, note: str, now_s: float) -> PaymentEvent:
        """Say that a person looked at news that are held."""
        with self._database.write() as connection:
            lock_generation(connection)
            event = payment_news.find_event(connection, provider, event_id)
            if event is None:
                raise UnknownIdError(f"no payment event {event_id!r} of {provider!r}")
            if event.verdict != "held" or event.note:
                what = "was looked at" if event.note else f"is {event.verdict}, not held"
                raise ConflictError(
                    f"payment event {event_id!r} {what}", next_step="See 'gw payment events'."
                )
            return payment_news.set_note(connection, event, f"{today(now_s)}: {note}")

    def payer_ref(self, provider: str, organisation_id: OrganisationId) -> str:
        """A provider's id of an organisation; empty while it has none."""
        with self._database.read() as connection:
            return _payer_ref(connection, provider, organisation_id)

    def keep_payer_ref(self, provider: str, organisation_id: OrganisationId, ref: str) -> str:
        """Keep a provider's id of an organisation, unless there is one; the one that is kept."""
        with self._database.write() as connection:
            lock_generation(connection)
            found = _payer_ref(connection, provider, organisation_id)
            if found:
                return found
            row = {"provider": provider, "organisation_id": organisation_id, "payer_ref": ref}
            connection.execute(insert(payment_payers), row)
            return ref

    def owed_facts(self, organisation_ids: Collection[OrganisationId] | None) -> OwedFacts:
        """What is owed follows from this; None for everybody."""
        with self._database.read() as connection:
            bills = _bills(connection, organisation_ids)
            whose = {bill.organisation_id for bill in bills}
            return OwedFacts(
                bills=bills,
                named=named_amounts(_paid(connection, organisation_ids)),
                balances=_balances(connection, whose.union(organisation_ids or ())),
                issued={
                    row.month: max(today(row.closed_s), last_day(row.month))
                    for row in connection.execute(select(closed_months))
                },
            )


def _payer_ref(connection: Connection, provider: str, organisation_id: OrganisationId) -> str:
    columns = payment_payers.c
    query = select(columns.payer_ref).where(
        columns.provider == provider, columns.organisation_id == organisation_id
    )
    return connection.execute(query).scalar_one_or_none() or ""


def _bills(
    connection: Connection, organisation_ids: Collection[OrganisationId] | None
) -> tuple[Bill, ...]:
    columns = invoices.c
    query = select(
        columns.invoice_id,
        columns.organisation_id,
        columns.month,
        columns.corrects,
        columns.total_micro_usd,
    ).order_by(columns.month, columns.invoice_id)
    if organisation_ids is not None:
        query = query.where(columns.organisation_id.in_(sorted(organisation_ids)))
    return tuple(
        Bill(row[0], OrganisationId(row[1]), *row[2:]) for row in connection.execute(query)
    )


def _paid(
    connection: Connection, organisation_ids: Collection[OrganisationId] | None
) -> tuple[Money, ...]:
    """Settled payments that name an invoice."""
    columns = payments.c
    query = select(payments).where(
        columns.state == PaymentState.SETTLED.value, columns.invoice_id != ""
    )
    if organisation_ids is not None:
        query = query.where(columns.organisation_id.in_(sorted(organisation_ids)))
    return with_history(connection, [payment_of(row) for row in connection.execute(query)])


def _balances(
    connection: Connection, organisation_ids: Collection[OrganisationId]
) -> Mapping[OrganisationId, int]:
    columns = ledger_postings.c
    query = select(columns.account, func.sum(columns.amount_micro_usd)).group_by(columns.account)
    accounts = {receivable(name): name for name in organisation_ids}
    query = query.where(columns.account.like("Assets:Receivable:%"))
    return {
        accounts[row[0]]: int(row[1])
        for row in connection.execute(query)
        if row[0] in accounts and row[1]
    }


def open_payments_book(store: SqlStore) -> SqlPayments:
    """The book of payments in a store's database."""
    return SqlPayments(store.database)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[PaymentBook] = SqlPayments
