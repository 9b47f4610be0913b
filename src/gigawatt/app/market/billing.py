"""Billing: what a month will be billed, its closing, and credit notes."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

from gigawatt.app.market.charges import ChargeSource
from gigawatt.app.market.late_look import LateLook, Owners
from gigawatt.errors import ConflictError, InputError
from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.ids import TenantId
from gigawatt.interfaces.billing import Agreed, BillingBook, ClosedMonth, Correctable
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.reservations import ReservationBook
from gigawatt.interfaces.usage import UsageBook, UsageQuery
from gigawatt.market.charge import Charge, Sums, sum_charges
from gigawatt.market.closing import Closing, Late, Payer, close, invoice_draft
from gigawatt.market.contract import ContractItem
from gigawatt.market.credit_note import CreditWish, Standing, charges_left, credit_lines
from gigawatt.market.invoice import Invoice, charge_lines
from gigawatt.market.ledger import Posting
from gigawatt.market.month import check_month, day_at, month_at, next_month, start_ms

PAGE_COUNT = 1_000
"""Organisations and projects read at once."""


@dataclass(frozen=True, slots=True)
class ClosingPlan:
    """What closing a month would write.

    Fields:
        closing: its invoices and entries.
        notes: what is not billed and why, one sentence each.
        is_over: whether the month has ended, so that it may be closed.
        before: months that are to be closed first, or the reason why none can be; empty if none.
    """

    closing: Closing
    notes: tuple[str, ...]
    is_over: bool
    before: str


@dataclass(frozen=True, slots=True)
class CreditPlan:
    """What a credit note would write.

    Fields:
        note: as it would be if nothing else were written before it.
        postings: of its entry in the ledger; none where it moves no money.
        left_micro_usd: charges of its invoice that could still be taken back then, before taxes.
    """

    note: Invoice
    postings: tuple[Posting, ...]
    left_micro_usd: int


class Billing:
    """The books of money, and what they are written from."""

    def __init__(
        self,
        book: BillingBook,
        usage: UsageBook,
        reservations: ReservationBook,
        directory: Directory,
        now_s: Callable[[], float],
    ) -> None:
        """Bill what was used and promised to the organisations of a directory."""
        self.book = book
        self._usage = usage
        self._reservations = reservations
        self._directory = directory
        self._now_s = now_s

    def plan(self, month: str) -> ClosingPlan:
        """What closing a month would write; nothing is changed.

        A month that is not over is billed up to now.

        Raises:
            InputError: it is no month, has not begun, or is closed.
        """
        agreed = self.book.agreed()
        if check_month(month) <= agreed.closed_month:
            raise InputError(
                f"{month} is closed", next_step=f"See 'gw invoice list --month {month}'."
            )
        if start_ms(month) > self._now_ms():
            raise InputError(f"{month} has not begun")
        source, sums = self._sums(month, agreed, is_running=True)
        late = self._late(month, agreed, is_running=True)
        payers = _payers(self._named(), sums, agreed, late)
        made = close(month, payers, sums, agreed.used, late)
        is_over = self._now_ms() >= start_ms(next_month(month))
        return ClosingPlan(
            made, tuple(sorted(source.notes)), is_over, self._before(month, agreed) or ""
        )

    def close(self, month: str) -> ClosedMonth:
        """Close a month, once; a month that is closed is given as it was.

        Raises:
            ConflictError: a price, an external event or a credit note came meanwhile; close it
                again.
            InputError: it is not over, or an earlier one has to be closed first.
        """
        check_month(month)
        for known in self.book.closings():
            if known.month == month:
                return known
        end_ms = start_ms(next_month(month))
        if self._now_ms() < end_ms:
            raise InputError(
                f"{month} is not over",
                next_step=f"Close it in {next_month(month)}; see it with 'gw billing plan'.",
            )
        # Usage goes on; from here on the month's part of it is written and never changes.
        self._usage.cut(end_ms)
        agreed = self.book.agreed(month)
        before = self._before(month, agreed)
        if before is not None:
            raise InputError(f"{before} is to be closed before {month}")
        _, sums = self._sums(month, agreed, is_running=False)
        late = self._late(month, agreed, is_running=False)
        # Read before the books are locked: a transaction waits for nothing but itself.
        named = self._named()

        def make(now: Agreed) -> Closing:
            if _moved(now) != _moved(agreed):
                raise ConflictError(
                    "a price, an external event or a credit note came meanwhile",
                    next_step="Close again.",
                )
            return close(month, _payers(named, sums, now, late), sums, now.used, late)

        return self.book.close(month, make, self._now_s())

    def credit(self, invoice_id: str, wish: CreditWish) -> Invoice:
        """Take back an invoice, in part or what is left of it, by an entry of this month.

        Raises:
            InputError: it is a credit note, less is left than that, or it was paid by a commitment
                or a credit that has ended.
            UnknownIdError: there is no such invoice.
        """
        on = day_at(self._now_ms())
        return self.book.credit(invoice_id, lambda found: _credit_note(found, wish, on))

    def plan_credit(self, invoice_id: str, wish: CreditWish) -> CreditPlan:
        """What ``credit`` would write now; nothing is changed.

        Raises:
            InputError: as ``credit``.
            UnknownIdError: as ``credit``.
        """
        found = self.book.correctable(invoice_id)
        note = _credit_note(found, wish, day_at(self._now_ms()))
        draft = invoice_draft(note)
        left = charges_left(found.invoice, (*found.before, note))
        return CreditPlan(note, () if draft is None else draft.postings, left)

    def _now_ms(self) -> int:
        return round(self._now_s() * 1000)

    def _late(self, month: str, agreed: Agreed, *, is_running: bool) -> Late:
        """What became known of closed months since they were billed."""
        if not agreed.closed_month:
            return Late()
        first = min(self._used_months(start_ms(agreed.first_month)), default=agreed.first_month)

        def sums(known: str, owners: Owners) -> Sums:
            return self._sums(known, agreed, is_running=is_running, owners=owners)[1]

        return LateLook(self.book, self._reservations, sums).late(month, first, agreed)

    def _sums(
        self,
        month: str,
        agreed: Agreed,
        *,
        is_running: bool,
        owners: Owners = MappingProxyType({}),
    ) -> tuple[ChargeSource, Sums]:
        """Charges of a month; with what is under way, up to now, where it is not cut."""
        source = ChargeSource(month, self.book.tags(), agreed.prices)
        query = UsageQuery(start_ms(month), start_ms(next_month(month)))
        until_ms = min(self._now_ms(), query.to_ms) if is_running else None
        return source, sum_charges(self._charges(source, query, until_ms, owners))

    def _charges(
        self,
        source: ChargeSource,
        query: UsageQuery,
        until_ms: int | None,
        known: Owners = MappingProxyType({}),
    ) -> Iterator[Charge]:
        """All charges of a query; with what is under way, if they are wanted up to a moment."""
        yield from source.usage_charges(self._usage, query, until_ms)
        records = self._reservations.between(
            query.project_ids, query.from_ms / 1000, query.to_ms / 1000
        )
        if records:
            owners = {project.project_id: project.organisation_id for project in self._projects()}
            owners |= known
            to_ms = query.to_ms if until_ms is None else min(until_ms, query.to_ms)
            yield from source.reservation_charges(records, owners, query.from_ms, to_ms)

    def spent_micro_usd(self, project_ids: frozenset[TenantId], month: str) -> int:
        """What projects spent in a month until now, before credits and taxes."""
        at_ms = self._now_ms()
        query = UsageQuery(start_ms(month), at_ms, project_ids=project_ids)
        source = ChargeSource(month, {}, self.book.agreed().prices)
        sums = sum_charges(self._charges(source, query, at_ms))
        lines = (line for mine in sums.values() for line in charge_lines(mine))
        return sum(line.amount_micro_usd for line in lines)

    def promised_micro_usd_per_hour(self, project_ids: frozenset[TenantId]) -> int:
        """What capacity that is promised to projects now costs an hour, used or not."""
        now_s = self._now_s()
        found = self._reservations.between(project_ids, now_s, now_s + 0.001)
        booked = (record for record in found if record.state == "booked")
        return sum(r.gpu_count * r.price_micro_usd_per_gpu_hour for r in booked)

    def _named(self) -> dict[OrganisationId, Payer]:
        """Every organisation with the names that it and its projects have today."""
        projects: dict[OrganisationId, dict[str, str]] = {}
        for project in self._projects():
            projects.setdefault(project.organisation_id, {})[project.project_id] = project.name
        return {
            found.organisation_id: Payer(
                found.organisation_id, found.name, projects.get(found.organisation_id, {})
            )
            for found in self._organisations()
        }

    def _organisations(self) -> Iterator[Organisation]:
        after = ""
        while found := self._directory.organisations(None, after, PAGE_COUNT):
            yield from found
            after = found[-1].organisation_id

    def _projects(self) -> Iterator[Project]:
        after = ""
        while found := self._directory.projects(None, after, PAGE_COUNT):
            yield from found
            after = found[-1].project_id

    def _before(self, month: str, agreed: Agreed) -> str | None:
        """The month that has to be closed before another; None if it is that one's turn."""
        if agreed.closed_month:
            due = next_month(agreed.closed_month)
            return None if month == due else due
        months = self._used_months(start_ms(month)) + [item.from_month for item in agreed.items]
        first = min(months, default=month)
        return first if first < month else None

    def _used_months(self, until_ms: int) -> list[str]:
        """The first month before a moment in which anything was used, if there is one."""
        query = UsageQuery(0, until_ms)
        starts = [record.from_ms for record in self._usage.usages(query)]
        starts += [record.from_ms for record in self._usage.storage_usages(query)]
        starts += [record.at_ms for record in self._usage.external_usages(query)]
        starts += [
            round(record.promise.from_s * 1000)
            for record in self._reservations.between(None, 0.0, until_ms / 1000)
        ]
        return [month_at(min(starts))] if starts else []


def _moved(agreed: Agreed) -> tuple[object, ...]:
    """What a closing was made from, and somebody may change meanwhile."""
    return agreed.prices, agreed.newest_external, agreed.note_count


def _credit_note(found: Correctable, wish: CreditWish, on: str) -> Invoice:
    """The note that follows, dated on a day.

    Raises:
        InputError: as ``Billing.credit``.
    """
    items = {item.item_id: item for item in found.agreed.items}
    standing = Standing(on[:7], items, found.agreed.used)
    return replace(
        found.invoice,
        invoice_id=f"CN-{on[:7]}-{found.agreed.note_count + 1:05}",
        month=on[:7],
        issued_on=on,
        lines=credit_lines(found.invoice, wish, found.before, standing),
        corrects=found.invoice.invoice_id,
    )


def _payers(
    named: Mapping[OrganisationId, Payer], sums: Sums, agreed: Agreed, late: Late
) -> list[Payer]:
    """Everybody who has charges or a contract; one that was removed is called by its id."""
    items: dict[OrganisationId, list[ContractItem]] = {}
    for item in agreed.items:
        items.setdefault(item.organisation_id, []).append(item)
    return [
        replace(
            named.get(organisation_id, Payer(organisation_id, organisation_id)),
            items=items.get(organisation_id, ()),
        )
        for organisation_id in {*sums, *items, *(one.organisation_id for one in late.changes)}
    ]
