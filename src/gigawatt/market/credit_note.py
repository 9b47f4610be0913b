"""Credit notes: what an invoice asked too much is taken back, as if it had not been charged.

What was charged was paid in an order: commitments first, then credits, the rest is owed. So what
is taken back comes out of what is owed first, then out of credits, then out of commitments, the
last used first; what comes out of a credit or a commitment can be used again. A commitment itself
is taken back by its own id, as far as nobody drew it. Taxes follow what is owed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gigawatt.errors import InputError
from gigawatt.market.charge import half_up
from gigawatt.market.contract import ContractItem
from gigawatt.market.invoice import CHARGES, Invoice, InvoiceLine, LineKind, with_rounding
from gigawatt.money import format_usd

_PAID_BEFORE = frozenset({LineKind.DRAWDOWN, LineKind.CREDIT})
"""Lines of what paid a part of the charges, in the order in which they did."""
_CHARGED = CHARGES | {LineKind.MINIMUM}
_TAKEN = _CHARGED | {LineKind.CORRECTION}
"""Lines of a note that take charges back: of an amount, or of what became known of a month."""


@dataclass(frozen=True, slots=True)
class CreditWish:
    """What shall be taken back.

    Fields:
        reason: one line, for the document.
        amount_micro_usd: before taxes and before what commitments and credits paid; None for all
            that is left.
        item_id: a commitment that the invoice sold, instead of charges; empty for charges.
    """

    reason: str
    amount_micro_usd: int | None = None
    item_id: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an organisation's contract stands when a note is made.

    Fields:
        month: of the note.
        items: what was agreed, by id.
        used: micro-USD of each item that is used up, by its id.
    """

    month: str
    items: Mapping[str, ContractItem]
    used: Mapping[str, int]


def credit_lines(
    invoice: Invoice, wish: CreditWish, before: Sequence[Invoice], standing: Standing
) -> tuple[InvoiceLine, ...]:
    """Lines of a credit note.

    Args:
        invoice: what is corrected.
        wish: what shall be taken back.
        before: earlier credit notes of the same invoice.
        standing: where the contract stands.

    Raises:
        InputError: it is a credit note itself, less is left than that, or what would be given back
            to has ended.
    """
    if invoice.corrects:
        raise InputError(f"{invoice.invoice_id} is a credit note; correct {invoice.corrects}")
    lines = (
        _purchase_lines(invoice, wish, standing)
        if wish.item_id
        else _charge_lines(invoice, wish, before, standing)
    )
    return _with_taxes(invoice, lines, before)


def charges_left(invoice: Invoice, notes: Sequence[Invoice]) -> int:
    """What is left of an invoice's charges after some credit notes, before taxes, in micro-USD."""
    return _sum(invoice, *_CHARGED) + sum(_sum(note, *_TAKEN) for note in notes)


def returns_of(note: Invoice) -> dict[str, int]:
    """What a credit note gives back to contract items to be used again, by id.

    Below 0 what it takes out of a commitment, so that nobody uses it any more.
    """
    found: dict[str, int] = {}
    for line in note.lines:
        if line.kind in _PAID_BEFORE | {LineKind.COMMITMENT}:
            found[line.item_id] = found.get(line.item_id, 0) + line.amount_micro_usd
    return found


def _charge_lines(
    invoice: Invoice, wish: CreditWish, before: Sequence[Invoice], standing: Standing
) -> list[InvoiceLine]:
    left = charges_left(invoice, before)
    wanted = left if wish.amount_micro_usd is None else wish.amount_micro_usd
    _refuse(invoice, wanted, left)
    correction = InvoiceLine(
        LineKind.CORRECTION, wish.reason, -wanted, subject_id=invoice.invoice_id
    )
    backs = _backs(invoice, wanted, before)
    for line in backs:
        _refuse_ended(invoice, line, standing)
    return [correction, *backs]


def _backs(invoice: Invoice, wanted: int, before: Sequence[Invoice]) -> list[InvoiceLine]:
    """What of an amount goes back to the credits and commitments that paid it, by item."""
    owed = _sum(invoice, *_CHARGED, *_PAID_BEFORE)
    owed += sum(_sum(note, *_TAKEN, *_PAID_BEFORE) for note in before)
    lines: list[InvoiceLine] = []
    rest = wanted - min(wanted, owed)
    for line in reversed([one for one in invoice.lines if one.kind in _PAID_BEFORE]):
        given = sum(_of_item(note, line) for note in before)
        back = min(rest, -line.amount_micro_usd - given)
        if back:
            lines.append(InvoiceLine(line.kind, line.text, back, item_id=line.item_id))
            rest -= back
    assert rest == 0, "what was charged was paid by somebody"
    return lines


@dataclass(frozen=True, slots=True)
class LateNote:
    """Lines that take back what an invoice charged too much, and what they do not take; micro-USD.

    Fields:
        lines: of the note.
        beyond_micro_usd: more than is left of the invoice.
        ended_micro_usd: what would go back to a commitment or a credit that has ended.
    """

    lines: tuple[InvoiceLine, ...]
    beyond_micro_usd: int
    ended_micro_usd: int


def late_note(
    invoice: Invoice, late: Sequence[InvoiceLine], before: Sequence[Invoice], standing: Standing
) -> LateNote:
    """A credit note of what became known of a month after it was billed.

    Args:
        invoice: what is corrected.
        late: lines that sum to 0 or less.
        before: earlier credit notes of the same invoice.
        standing: where the contract stands.
    """
    wanted = -sum(line.amount_micro_usd for line in late)
    assert wanted >= 0, "what is owed in all is no credit"
    taken = min(wanted, max(0, charges_left(invoice, before)))
    backs = _backs(invoice, taken, before)
    live = [line for line in backs if _is_live(line, standing)]
    ended = sum(line.amount_micro_usd for line in backs if line not in live)
    beyond = wanted - taken
    rests = [("is taken back elsewhere", beyond), ("is a credit: what paid it has ended", ended)]
    kept = [
        InvoiceLine(LineKind.CORRECTION, text, amount, subject_id=invoice.invoice_id)
        for text, amount in rests
        if amount
    ]
    return LateNote(_with_taxes(invoice, [*late, *kept, *live], before), beyond, ended)


def _is_live(line: InvoiceLine, standing: Standing) -> bool:
    item = standing.items.get(line.item_id)
    return item is not None and item.is_in_force(standing.month)


def _purchase_lines(invoice: Invoice, wish: CreditWish, standing: Standing) -> list[InvoiceLine]:
    sold = [one for one in invoice.lines if one.kind is LineKind.COMMITMENT]
    if wish.item_id not in {line.item_id for line in sold}:
        names = ", ".join(line.item_id for line in sold) or "none"
        raise InputError(f"{invoice.invoice_id} did not sell {wish.item_id!r}; it sold {names}")
    item = standing.items[wish.item_id]
    left = item.amount_micro_usd - standing.used.get(item.item_id, 0)
    wanted = left if wish.amount_micro_usd is None else wish.amount_micro_usd
    _refuse(invoice, wanted, left)
    return [InvoiceLine(LineKind.COMMITMENT, wish.reason, -wanted, item_id=item.item_id)]


def _refuse(invoice: Invoice, wanted: int, left: int) -> None:
    if 0 < wanted <= left:
        return
    sold = [line.item_id for line in invoice.lines if line.kind is LineKind.COMMITMENT]
    more = f" A commitment is taken back by its own id: {', '.join(sold)}." if sold else ""
    raise InputError(
        f"{wanted} micro-USD of {invoice.invoice_id} shall be credited, and {left} are left",
        next_step=f"Credit no more than {format_usd(left, digits=6)}.{more}",
    )


def _refuse_ended(invoice: Invoice, line: InvoiceLine, standing: Standing) -> None:
    if _is_live(line, standing):
        return
    item = standing.items.get(line.item_id)
    ended = "is gone" if item is None else f"ended in {item.to_month}"
    raise InputError(
        f"{line.item_id} paid a part of {invoice.invoice_id} and {ended}, so nothing can go back"
        " to it",
        next_step="Credit only what was owed beside it, or agree on a credit: 'gw contract add'.",
    )


def _with_taxes(
    invoice: Invoice, lines: list[InvoiceLine], before: Sequence[Invoice]
) -> tuple[InvoiceLine, ...]:
    """The lines with their share of the taxes, to the cent."""
    owed = -sum(line.amount_micro_usd for line in lines)
    left = invoice.net_micro_usd + sum(note.net_micro_usd for note in before)
    if not owed:
        # All of it was prepaid: no money goes back, and no tax.
        return tuple(lines)
    for line in invoice.lines:
        if line.kind is LineKind.TAX:
            rest = line.amount_micro_usd + sum(_of_item(note, line) for note in before)
            share = half_up(line.amount_micro_usd * owed, invoice.net_micro_usd)
            # The last note takes what earlier ones left, so that nothing is lost by rounding.
            tax = rest if owed == left else min(rest, share)
            if tax:
                lines.append(InvoiceLine(LineKind.TAX, line.text, -tax, item_id=line.item_id))
    if owed < left:
        return with_rounding(lines)
    total = invoice.total_micro_usd + sum(note.total_micro_usd for note in before)
    rest = -total - sum(line.amount_micro_usd for line in lines)
    more = (InvoiceLine(LineKind.ROUNDING, "rounding to the cent", rest),) if rest else ()
    return (*lines, *more)


def _sum(document: Invoice, *kinds: LineKind) -> int:
    return document.sum_micro_usd(*kinds)


def _of_item(note: Invoice, line: InvoiceLine) -> int:
    """What a note has of the same kind and contract item."""
    return sum(
        one.amount_micro_usd
        for one in note.lines
        if one.kind is line.kind and one.item_id == line.item_id
    )
