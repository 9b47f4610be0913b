"""What becomes known of a month after it was billed: put on the next documents, once.

Nothing is noted down of it. What was used in a month, as it is known now, is compared with what
the documents that went out say of that month; the difference is what is billed late. So a change
that comes in any way, and at any time, is billed by the next closing, and after it no difference
is left to be billed again. What is owed more is lines of the next invoice; what was charged too
much is a credit note of the invoice that charged it. Every line names its month and the cause.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.charge import Key, Sums, half_up
from gigawatt.market.contract import ContractItem, ItemKind, short_of
from gigawatt.market.credit_note import Standing, charges_left, late_note
from gigawatt.market.invoice import (
    CHARGES,
    Invoice,
    InvoiceLine,
    LineKind,
    charge_lines,
    charge_text,
)

LATE = "known after it was billed"
"""The cause where nothing says more."""
NEVER = "2099-12"
"""Last month of a credit that does not end: the last that there is."""

Items = Mapping[OrganisationId, Sequence[ContractItem]]


@dataclass(frozen=True, slots=True)
class KnownMonth:
    """What is known now of a month that was billed; causes are by reservation, in words."""

    month: str
    sums: Sums
    causes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class LateChange:
    """What documents lack of one organisation's month, or have too much.

    Fields: bills are the invoices that charged that month, its own first.
    """

    organisation_id: OrganisationId
    month: str
    lines: tuple[InvoiceLine, ...]
    bills: tuple[Invoice, ...]

    @property
    def amount_micro_usd(self) -> int:
        """Before taxes, and before what commitments and credits pay."""
        return sum(line.amount_micro_usd for line in self.lines)

    @property
    def is_owed(self) -> bool:
        """Whether the organisation owes more; else it was charged too much."""
        more = all(line.quantity_parts >= 0 for line in self.lines)
        return self.amount_micro_usd > 0 or (more and self.amount_micro_usd == 0)


@dataclass(slots=True)
class _Billed:
    """What documents say of one organisation's month."""

    parts: dict[tuple[object, ...], int] = field(default_factory=dict)
    lines: dict[tuple[object, ...], InvoiceLine] = field(default_factory=dict)
    charged_micro_usd: int = 0
    short: dict[str, int] = field(default_factory=dict)
    bills: dict[str, Invoice] = field(default_factory=dict)

    def add(self, document: Invoice, line: InvoiceLine) -> None:
        if not document.corrects:
            self.bills[document.invoice_id] = document
        if line.kind is LineKind.MINIMUM:
            self.short[line.item_id] = self.short.get(line.item_id, 0) + line.amount_micro_usd
            return
        name = _name(line)
        self.parts[name] = self.parts.get(name, 0) + line.quantity_parts
        self.lines.setdefault(name, line)
        self.charged_micro_usd += line.amount_micro_usd


def late_changes(
    known: Iterable[KnownMonth], documents: Iterable[Invoice], items: Items
) -> list[LateChange]:
    """Every difference between months as they are known and as they were billed.

    Args:
        known: months that were billed, each once.
        documents: all invoices and credit notes that went out.
        items: what was agreed with each organisation, of any time.
    """
    billed = _billed(documents)
    changes: list[LateChange] = []
    for one in known:
        told = {name for name, month in billed if month == one.month}
        for organisation_id in sorted({*one.sums, *told}):
            before = billed.get((organisation_id, one.month), _Billed())
            lines = _lines(one, one.sums.get(organisation_id, {}), before)
            if lines:
                charged = before.charged_micro_usd + sum(line.amount_micro_usd for line in lines)
                mine = items.get(organisation_id, ())
                lines += _minimum_lines(one.month, mine, before, charged)
                bills = sorted(before.bills.values(), key=lambda bill: bill.month)
                changes.append(LateChange(organisation_id, one.month, tuple(lines), tuple(bills)))
    return changes


def _billed(documents: Iterable[Invoice]) -> dict[tuple[OrganisationId, str], _Billed]:
    found: dict[tuple[OrganisationId, str], _Billed] = {}
    for document in documents:
        for line in document.lines:
            if line.kind in CHARGES or line.kind is LineKind.MINIMUM:
                place = (document.organisation_id, line.month or document.month)
                found.setdefault(place, _Billed()).add(document, line)
    return found


def _name(line: InvoiceLine) -> tuple[object, ...]:
    """What a line is of, whatever it was called: tags change, and name nothing."""
    what = (line.project_id, line.kind, line.subject_id, line.item, line.term, line.site_id)
    return (*what, line.unit, line.parts_per_unit, line.price_micro_usd)


def _lines(one: KnownMonth, sums: Mapping[Key, int], before: _Billed) -> list[InvoiceLine]:
    """A line for each charge that is not what was billed, with the difference."""
    now: dict[tuple[object, ...], InvoiceLine] = {}
    for line in charge_lines(sums):
        name = _name(line)
        more = now[name].quantity_parts if name in now else 0
        now[name] = replace(line, quantity_parts=line.quantity_parts + more)
    found: list[InvoiceLine] = []
    for name, line in {**before.lines, **now}.items():
        parts = now[name].quantity_parts if name in now else 0
        parts -= before.parts.get(name, 0)
        if not parts:
            continue
        cause = one.causes.get(line.subject_id, "") if parts < 0 else ""
        found.append(
            replace(
                line,
                text=f"{charge_text(line.item, line.term)}, {one.month}: {cause or LATE}",
                amount_micro_usd=half_up(parts * line.price_micro_usd, line.parts_per_unit),
                quantity_parts=parts,
                month=one.month,
            )
        )
    return found


def _minimum_lines(
    month: str, items: Sequence[ContractItem], before: _Billed, charged_micro_usd: int
) -> list[InvoiceLine]:
    """What a month's minimums miss more, or less, now that its charges are others."""
    short = short_of(items, month, max(0, charged_micro_usd))
    return [
        InvoiceLine(
            LineKind.MINIMUM, f"{item.name}, {month}", more, item_id=item.item_id, month=month
        )
        for item in items
        if item.kind is ItemKind.MINIMUM
        and (more := short.get(item, 0) - before.short.get(item.item_id, 0))
    ]


@dataclass(slots=True)
class LateNotes:
    """Credit notes of late changes, one after the other, and credits where nothing can go back.

    Fields:
        month, issued_on: of the notes.
        count: notes that there were before.
        before: credit notes of each invoice, the oldest first.
        notes, credits: what was made until now.
    """

    month: str
    issued_on: str
    count: int
    before: dict[str, list[Invoice]]
    notes: list[Invoice] = field(default_factory=list)
    credits: list[ContractItem] = field(default_factory=list)

    def add(self, change: LateChange, standing: Standing) -> None:
        """Take back what one change says, from the invoices that charged it."""
        lines: Sequence[InvoiceLine] = change.lines
        for bill in change.bills:
            before = self.before.setdefault(bill.invoice_id, [])
            if lines is not change.lines and charges_left(bill, before) <= 0:
                continue
            made = late_note(bill, lines, before, standing)
            note = self._note(bill, made.lines)
            before.append(note)
            if made.ended_micro_usd:
                self._give(note, change, made.ended_micro_usd)
            if not made.beyond_micro_usd:
                return
            text = f"{change.month}: what {note.invoice_id} leaves"
            lines = [InvoiceLine(LineKind.CORRECTION, text, -made.beyond_micro_usd)]

    def _note(self, bill: Invoice, lines: tuple[InvoiceLine, ...]) -> Invoice:
        self.count += 1
        note = replace(
            bill,
            invoice_id=f"CN-{self.month}-{self.count:05}",
            month=self.month,
            issued_on=self.issued_on,
            lines=lines,
            corrects=bill.invoice_id,
        )
        self.notes.append(note)
        return note

    def _give(self, note: Invoice, change: LateChange, amount_micro_usd: int) -> None:
        """A credit in the place of what has ended, so that nothing owed is lost."""
        item = ContractItem(
            item_id=f"ctr_{note.invoice_id.lower()}",
            organisation_id=change.organisation_id,
            kind=ItemKind.CREDIT,
            name=f"for {change.month}, {note.invoice_id}",
            amount_micro_usd=amount_micro_usd,
            rate_ppm=0,
            from_month=self.month,
            to_month=NEVER,
        )
        self.credits.append(item)
