"""``SqlPayouts``: the ``PayoutBook`` on the store's own database (ADR-0047)."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, func, insert, select, update

from gigawatt.interfaces.payouts import PayoutBook, PayoutRecord, PayoutVerdict
from gigawatt.market.payment import money_account
from gigawatt.market.payout import (
    Known,
    Payout,
    PayoutLine,
    PayoutState,
    payout_drafts,
    payout_fees,
    payout_objection,
)
from gigawatt.store.billing_schema import ledger_postings
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.ledger import add_entries
from gigawatt.store.payment_rows import IDS_AT_ONCE, payment_of, today, with_history
from gigawatt.store.payments_schema import payments, payout_lines, payouts
from gigawatt.store.store import SqlStore


class SqlPayouts:
    """The book of payouts; every method is what ``PayoutBook`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def first_s(self, provider: str) -> float | None:
        """When the first payment by a provider was asked for; None for none."""
        query = select(func.min(payments.c.created_s)).where(payments.c.provider == provider)
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one()
        return None if found is None else float(found)

    def known(self, provider: str) -> Mapping[str, PayoutRecord]:
        """Payouts that were told, by id."""
        query = select(payouts).where(payouts.c.provider == provider)
        with self._database.read() as connection:
            found = map(_record_of, connection.execute(query))
            return {record.payout.payout_id: record for record in found}

    def take(self, payout: Payout, lines: Sequence[PayoutLine], now_s: float) -> PayoutRecord:
        """Keep a payout with its lines, and enter it if it fits."""
        with self._database.write() as connection:
            lock_generation(connection)
            before = _find(connection, payout)
            if before is not None and _is_final(before, payout):
                return before
            made = _judged(connection, payout, lines, now_s)
            if before is None:
                connection.execute(insert(payouts), _row(made))
            elif _same(before, made):
                return before
            else:
                is_it = (payouts.c.provider == payout.provider) & (
                    payouts.c.payout_id == payout.payout_id
                )
                connection.execute(update(payouts).where(is_it).values(**_row(made)))
            if made.verdict == "entered":
                add_entries(connection, payout_drafts(payout, lines, today(now_s)))
                if before is None or before.verdict != "entered":
                    _keep_lines(connection, payout, lines)
            return made

    def newest(self, limit: int) -> tuple[PayoutRecord, ...]:
        """Payouts of all providers, the newest first."""
        query = select(payouts).order_by(payouts.c.at_s.desc(), payouts.c.payout_id.desc())
        with self._database.read() as connection:
            return tuple(map(_record_of, connection.execute(query.limit(limit))))

    def clearing_micro_usd(self, provider: str) -> int:
        """What a provider still has of ours, by the ledger."""
        columns = ledger_postings.c
        query = select(func.coalesce(func.sum(columns.amount_micro_usd), 0)).where(
            columns.account == money_account(provider)
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def open_payouts_book(store: SqlStore) -> SqlPayouts:
    """The book of payouts in a store's database."""
    return SqlPayouts(store.database)


def _is_final(before: PayoutRecord, payout: Payout) -> bool:
    """Whether nothing more can be entered: only a payout that the bank had may still fail."""
    is_entered = before.verdict == "entered"
    return is_entered and (
        payout.state is before.payout.state or before.payout.state is PayoutState.FAILED
    )


def _same(before: PayoutRecord, after: PayoutRecord) -> bool:
    told = (before.payout, before.verdict, before.reason)
    return told == (after.payout, after.verdict, after.reason)


def _judged(
    connection: Connection, payout: Payout, lines: Sequence[PayoutLine], now_s: float
) -> PayoutRecord:
    if payout.state is PayoutState.UNDER_WAY:
        return PayoutRecord(payout, "under_way", 0, 0, "", now_s)
    reason = payout_objection(payout, lines, _known(connection, payout, lines))
    if reason is not None:
        return PayoutRecord(payout, "held", 0, 0, reason, now_s)
    return PayoutRecord(payout, "entered", payout_fees(lines), len(lines), "", now_s)


def _known(connection: Connection, payout: Payout, lines: Sequence[PayoutLine]) -> Known:
    """What our books know of what the lines name."""
    names = sorted({line.reference for line in lines if line.reference})
    found = [
        payment_of(row)
        for start in range(0, len(names), IDS_AT_ONCE)
        for row in connection.execute(
            select(payments).where(
                payments.c.provider == payout.provider,
                payments.c.reference.in_(names[start : start + IDS_AT_ONCE]),
            )
        )
    ]
    columns, ids = payout_lines.c, sorted({line.line_id for line in lines})
    paid_out: dict[str, str] = {}
    for start in range(0, len(ids), IDS_AT_ONCE):
        query = select(columns.line_id, columns.payout_id).where(
            columns.provider == payout.provider,
            columns.line_id.in_(ids[start : start + IDS_AT_ONCE]),
        )
        paid_out |= {row[0]: row[1] for row in connection.execute(query)}
    failed = select(payouts.c.payout_id, payouts.c.amount_micro_usd).where(
        payouts.c.provider == payout.provider,
        payouts.c.state == PayoutState.FAILED.value,
        payouts.c.verdict == "entered",
    )
    return Known(
        monies={one.payment.reference: one for one in with_history(connection, found)},
        paid_out=paid_out,
        failed={row[0]: int(row[1]) for row in connection.execute(failed)},
    )


def _keep_lines(connection: Connection, payout: Payout, lines: Sequence[PayoutLine]) -> None:
    rows = [
        {
            "provider": payout.provider,
            "line_id": line.line_id,
            "payout_id": payout.payout_id,
            "kind": line.kind.value,
            "amount_micro_usd": line.amount_micro_usd,
            "fee_micro_usd": line.fee_micro_usd,
        }
        for line in lines
    ]
    if rows:
        connection.execute(insert(payout_lines), rows)


def _find(connection: Connection, payout: Payout) -> PayoutRecord | None:
    query = select(payouts).where(
        payouts.c.provider == payout.provider, payouts.c.payout_id == payout.payout_id
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else _record_of(row)


def _row(record: PayoutRecord) -> dict[str, Any]:
    payout = record.payout
    return {
        "provider": payout.provider,
        "payout_id": payout.payout_id,
        "amount_micro_usd": payout.amount_micro_usd,
        "currency": payout.currency,
        "state": payout.state.value,
        "at_s": payout.at_s,
        "is_itemised": payout.is_itemised,
        "why": payout.reason,
        "verdict": record.verdict,
        "fee_micro_usd": record.fee_micro_usd,
        "line_count": record.line_count,
        "reason": record.reason,
        "changed_s": record.changed_s,
    }


def _record_of(row: Row[Any]) -> PayoutRecord:
    payout = Payout(
        provider=row.provider,
        payout_id=row.payout_id,
        amount_micro_usd=row.amount_micro_usd,
        currency=row.currency,
        state=PayoutState(row.state),
        at_s=row.at_s,
        is_itemised=row.is_itemised,
        reason=row.why,
    )
    verdict: PayoutVerdict = row.verdict
    return PayoutRecord(
        payout, verdict, row.fee_micro_usd, row.line_count, row.reason, row.changed_s
    )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[PayoutBook] = SqlPayouts
