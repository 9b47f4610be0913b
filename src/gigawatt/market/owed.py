"""What is owed of each invoice: payments find their invoices, and what is too much is credit.

Nothing of this is kept: it follows from the documents and the ledger, so it cannot disagree with
them. What is open of all invoices, less the credit, is the organisation's balance in the ledger.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from gigawatt.identity.accounts import OrganisationId

DUE_DAYS = 30
"""Days from an invoice to when it is overdue, unless the operator says another number. Ours;
Directive 2011/7/EU, article 3, has 30 where nothing was agreed."""


@dataclass(frozen=True, slots=True)
class Bill:
    """An invoice or a credit note in short: ``corrects`` names the invoice of a credit note."""

    invoice_id: str
    organisation_id: OrganisationId
    month: str
    corrects: str
    total_micro_usd: int


@dataclass(frozen=True, slots=True)
class OpenBill:
    """An invoice and what became of it.

    Fields:
        credited_micro_usd: what credit notes took back of it, 0 or more.
        paid_micro_usd: what was paid of it, 0 or more.
        open_micro_usd: what is still owed of it, 0 or more: the total less both.
        due_on: ``YYYY-MM-DD``, the last day on which it is not overdue.
    """

    bill: Bill
    credited_micro_usd: int
    paid_micro_usd: int
    open_micro_usd: int
    due_on: str

    def days_overdue(self, today: str) -> int:
        """Days since it was due; 0 if nothing is owed or there is time."""
        if not self.open_micro_usd:
            return 0
        return max(0, (date.fromisoformat(today) - date.fromisoformat(self.due_on)).days)


@dataclass(frozen=True, slots=True)
class Owed:
    """An organisation's invoices, the oldest first.

    Fields: credit_micro_usd is what was paid or credited beyond all invoices; below 0 only where
    money went back that had paid nothing.
    """

    bills: tuple[OpenBill, ...]
    credit_micro_usd: int

    @property
    def balance_micro_usd(self) -> int:
        """What is owed in all; below 0 for a credit."""
        return sum(bill.open_micro_usd for bill in self.bills) - self.credit_micro_usd


def due_on(issued_on: str, due_days: int) -> str:
    """The last day on which an invoice of a day is not overdue."""
    return (date.fromisoformat(issued_on) + timedelta(days=due_days)).isoformat()


def owed_of(
    bills: Sequence[Bill],
    named: Mapping[str, int],
    balance_micro_usd: int,
    issued: Mapping[str, str],
    due_days: int = DUE_DAYS,
) -> Owed:
    """What is open of each invoice of one organisation.

    A credit note takes from its own invoice, a payment that names one from that; whatever is too
    much there, and what names none, pays the oldest invoice first.

    Args:
        bills: all invoices and credit notes of the organisation.
        named: micro-USD that were paid for an invoice and are still here, by its id.
        balance_micro_usd: what the organisation owes by the ledger.
        issued: ``YYYY-MM-DD`` on which the invoices of a month went out, by month.
        due_days: from then to when they are due.
    """
    invoices = sorted((b for b in bills if not b.corrects), key=_place)
    credited = _credited(bills)
    own = {b.invoice_id: b.total_micro_usd - credited.get(b.invoice_id, 0) for b in invoices}
    mine = {name: amount for name, amount in named.items() if name in own}
    unnamed = sum(own.values()) - sum(mine.values()) - balance_micro_usd
    left = {name: amount - mine.get(name, 0) for name, amount in own.items()}
    free = unnamed + sum(-amount for amount in left.values() if amount < 0)
    found = []
    for bill in invoices:
        name = bill.invoice_id
        open_now = max(0, left[name])
        taken = max(0, min(free, open_now))
        free -= taken
        still = open_now - taken
        gone = bill.total_micro_usd - still
        back = min(credited.get(name, 0), gone)
        due = due_on(issued.get(bill.month, f"{bill.month}-28"), due_days)
        found.append(OpenBill(bill, back, gone - back, still, due))
    return Owed(tuple(found), free)


def _place(bill: Bill) -> tuple[str, str]:
    return (bill.month, bill.invoice_id)


def _credited(bills: Iterable[Bill]) -> dict[str, int]:
    """What credit notes take back, by the invoice that they correct."""
    found: dict[str, int] = {}
    for bill in bills:
        if bill.corrects:
            found[bill.corrects] = found.get(bill.corrects, 0) - bill.total_micro_usd
    return found
