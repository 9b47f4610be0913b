"""Closing a month: invoices for everybody who owes something, and their entries in the books.

What became known of earlier months since they were billed is on them too, or is a credit note
(``market.late``).

Accounts, as beancount writes them; a debit is positive:
    Assets:Receivable:<org>            what an organisation owes
    Assets:Bank                        what it paid
    Income:<kind>[:<term>]:<site>      revenue by kind, term and site
    Income:Minimum, Income:Breakage    what was missing of a minimum; what was left of a commitment
    Income:Corrections                 what credit notes took back
    Income:Rounding                    to the cent
    Expenses:Credits                   what credits paid
    Liabilities:Deferred:<org>         commitments that are paid and not yet drawn
    Liabilities:Tax:<name>             taxes to be passed on
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.charge import Key
from gigawatt.market.contract import ContractItem
from gigawatt.market.credit_note import Standing, returns_of
from gigawatt.market.invoice import (
    CHARGES,
    Invoice,
    InvoiceLine,
    LineKind,
    digest_of,
    invoice_lines,
    invoice_text,
)
from gigawatt.market.late import LateChange, LateNotes
from gigawatt.market.ledger import Draft, Posting
from gigawatt.market.month import last_day

_PLAIN_ACCOUNTS: Mapping[LineKind, str] = {
    LineKind.MINIMUM: "Income:Minimum",
    LineKind.CREDIT: "Expenses:Credits",
    LineKind.CORRECTION: "Income:Corrections",
    LineKind.ROUNDING: "Income:Rounding",
}
"""Accounts that need nothing of the line but its kind."""


@dataclass(frozen=True, slots=True)
class Payer:
    """An organisation as its invoices name it, and what was agreed with it.

    Fields: items are those of any time.
    """

    organisation_id: OrganisationId
    name: str
    project_names: Mapping[str, str] = field(default_factory=dict)
    items: Sequence[ContractItem] = ()


@dataclass(frozen=True, slots=True)
class Closing:
    """What closing a month writes.

    Fields:
        invoices: by number; only of those who owe or owed something.
        drafts: entries for the ledger, in order.
        used: micro-USD of each contract item, by its id, that the month used.
        notes: credit notes of what earlier months were charged too much.
        credits: what is given where such a note cannot go back to what paid it.
    """

    month: str
    invoices: tuple[Invoice, ...]
    drafts: tuple[Draft, ...]
    used: Mapping[str, int]
    notes: tuple[Invoice, ...] = ()
    credits: tuple[ContractItem, ...] = ()

    @property
    def total_micro_usd(self) -> int:
        """What all invoices ask together."""
        return sum(invoice.total_micro_usd for invoice in self.invoices)


@dataclass(frozen=True, slots=True)
class Late:
    """What became known of earlier months, and the credit notes that follow.

    Fields:
        changes: of all organisations.
        before: credit notes of each invoice that went out, the oldest first.
        note_count: of all of them.
    """

    changes: Sequence[LateChange] = ()
    before: Mapping[str, Sequence[Invoice]] = field(default_factory=dict)
    note_count: int = 0


def close(
    month: str,
    payers: Sequence[Payer],
    sums: Mapping[OrganisationId, Mapping[Key, int]],
    used: Mapping[str, int],
    late: Late | None = None,
) -> Closing:
    """What closing a month writes.

    Args:
        month: ``YYYY-MM``.
        payers: everybody who has charges or a contract; the others get nothing.
        sums: parts of each key of charges, by who pays.
        used: micro-USD of each contract item that earlier months used.
        late: what became known of earlier months; None for nothing.
    """
    changes = () if late is None else late.changes
    known = {payer.organisation_id for payer in payers}
    assert known >= {*sums, *(one.organisation_id for one in changes)}, "every charge has a payer"
    notes = _late_notes(month, payers, used, late or Late())
    left = dict(used)
    for note in notes.notes:
        for item_id, amount in returns_of(note).items():
            left[item_id] = left.get(item_id, 0) - amount
    invoices: list[Invoice] = []
    drafts = [draft for note in notes.notes for draft in _drafts(note)]
    used_now: dict[str, int] = {}
    for payer in sorted(payers, key=lambda payer: payer.organisation_id):
        mine = sums.get(payer.organisation_id, {})
        given = [i for i in notes.credits if i.organisation_id == payer.organisation_id]
        more = _owed_lines(changes, payer.organisation_id)
        lines, effect = invoice_lines(mine, [*payer.items, *given], left, month, more)
        used_now |= effect.used()
        if lines:
            number = f"INV-{month}-{len(invoices) + 1:05}"
            invoice = _invoice(number, payer, month, lines)
            invoices.append(invoice)
            drafts += _drafts(invoice)
        drafts += [_breakage(item, lost, month) for item, lost in effect.lost.items()]
    made = (tuple(invoices), tuple(drafts), used_now)
    return Closing(month, *made, tuple(notes.notes), tuple(notes.credits))


def _late_notes(
    month: str, payers: Sequence[Payer], used: Mapping[str, int], late: Late
) -> LateNotes:
    before = {name: list(notes) for name, notes in late.before.items()}
    notes = LateNotes(month, last_day(month), late.note_count, before)
    standing = Standing(month, {i.item_id: i for payer in payers for i in payer.items}, used)
    for change in late.changes:
        if not change.is_owed:
            notes.add(change, standing)
    return notes


def _owed_lines(
    changes: Sequence[LateChange], organisation_id: OrganisationId
) -> list[InvoiceLine]:
    mine = (one for one in changes if one.organisation_id == organisation_id and one.is_owed)
    return [line for change in mine for line in change.lines]


def _invoice(number: str, payer: Payer, month: str, lines: tuple[InvoiceLine, ...]) -> Invoice:
    wanted = {line.project_id for line in lines if line.project_id}
    return Invoice(
        invoice_id=number,
        organisation_id=payer.organisation_id,
        organisation_name=payer.name,
        month=month,
        issued_on=last_day(month),
        lines=lines,
        project_names={name: payer.project_names.get(name, name) for name in sorted(wanted)},
    )


def _drafts(invoice: Invoice) -> list[Draft]:
    draft = invoice_draft(invoice)
    return [] if draft is None else [draft]


def invoice_draft(invoice: Invoice) -> Draft | None:
    """The entry of an invoice or a credit note; None if it moves no money, as of free usage.

    Its memo holds the digest of the document, so that the chain of the ledger covers it too.
    """
    amounts: dict[str, int] = {receivable(invoice.organisation_id): invoice.total_micro_usd}
    for line in invoice.lines:
        account = _account(line, invoice.organisation_id)
        amounts[account] = amounts.get(account, 0) - line.amount_micro_usd
    postings = tuple(Posting(name, amounts[name]) for name in sorted(amounts) if amounts[name])
    if not postings:
        return None
    noun = "credit note" if invoice.corrects else "invoice"
    memo = f"{noun} {invoice.invoice_id}, sha256 {digest_of(invoice_text(invoice))}"
    return Draft(f"invoice/{invoice.invoice_id}", invoice.issued_on, memo, postings)


def _account(line: InvoiceLine, organisation_id: OrganisationId) -> str:
    if line.kind in CHARGES:
        parts = ("Income", line.kind, line.term, line.site_id)
        return ":".join(account_word(part) for part in parts if part)
    if line.kind in {LineKind.COMMITMENT, LineKind.DRAWDOWN}:
        return deferred(organisation_id)
    if line.kind is LineKind.TAX:
        return f"Liabilities:Tax:{account_word(line.text)}"
    return _PLAIN_ACCOUNTS[line.kind]


def _breakage(item: ContractItem, left_micro_usd: int, month: str) -> Draft:
    postings = (
        Posting(deferred(item.organisation_id), left_micro_usd),
        Posting("Income:Breakage", -left_micro_usd),
    )
    memo = f"commitment {item.item_id} ended with this left"
    return Draft(f"breakage/{item.item_id}", last_day(month), memo, postings)


def receivable(organisation_id: OrganisationId) -> str:
    """Account of what an organisation owes."""
    return f"Assets:Receivable:{account_word(organisation_id)}"


def deferred(organisation_id: OrganisationId) -> str:
    """Account of what an organisation paid and did not use yet."""
    return f"Liabilities:Deferred:{account_word(organisation_id)}"


def account_word(text: str) -> str:
    """A text as one word of an account's name.

    Example:
        >>> account_word("org_01ab"), account_word("on_demand"), account_word("MwSt. 19 %")
        ('Org-01ab', 'On-demand', 'MwSt-19')
    """
    plain = re.sub(r"[^A-Za-z0-9]+", "-", text).strip("-") or "X"
    return plain[0].upper() + plain[1:]
