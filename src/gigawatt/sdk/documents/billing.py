"""Documents of money: closings, invoices, contracts, and the ledger."""

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Name, Reason, Request

MonthText = Annotated[str, StringConstraints(pattern=r"^20[0-9]{2}-(0[1-9]|1[0-2])$")]
MicroUsd = Annotated[int, Field(ge=1, le=10**18)]

LineKindName = Literal[
    "gpu",
    "reservation",
    "storage",
    "external",
    "minimum",
    "commitment",
    "drawdown",
    "credit",
    "correction",
    "tax",
    "rounding",
]
ContractKind = Literal["commitment", "credit", "minimum", "tax"]
InvoiceFormat = Literal["pdf", "html", "csv"]


class InvoiceLine(Answer):
    """One line: its amount is exact but for one rounding, half up, to the micro-dollar.

    ``quantity_parts`` of ``parts_per_unit`` each cost a share of the price of one ``unit``. Where
    ``month`` is not empty, the line is for that month, and became known after it was billed; what
    was charged too much then has a quantity below 0.
    """

    kind: LineKindName
    text: str
    amount_micro_usd: int
    project_id: str
    subject_id: str
    tag: str
    item: str
    term: str
    site_id: str
    unit: str
    quantity_parts: int
    parts_per_unit: int
    price_micro_usd: int
    item_id: str
    month: str


class Invoice(Answer):
    """An invoice, or a credit note if ``corrects`` names one; the total is whole cents.

    Net, tax and rounding add up to the total. What was credited and paid of it, and what is open,
    add up to the total too; of a credit note all three are null, as is when it is due.
    """

    id: str
    organisation_id: str
    organisation_name: str
    month: str
    issued_on: date
    corrects: str | None = None
    currency: str
    net_micro_usd: int
    tax_micro_usd: int
    rounding_micro_usd: int
    total_micro_usd: int
    credited_micro_usd: int | None = None
    paid_micro_usd: int | None = None
    open_micro_usd: int | None = None
    due_on: date | None = None
    overdue_day_count: int = 0
    line_count: int
    lines: list[InvoiceLine] | None = None


class ClosingPlan(Answer):
    """What closing a month would bill. Long lists hold their first lines; the counts are of all.

    ``close_first`` is an earlier month that is not closed yet. ``credit_notes`` take back what
    earlier months were charged too much; the total of invoices does not count them.
    """

    month: str
    is_over: bool
    close_first: str | None = None
    invoice_count: int
    entry_count: int
    total_micro_usd: int
    invoices: list[Invoice]
    credit_note_count: int
    credit_notes: list[Invoice]
    notes: list[str]


class Closing(Answer):
    """A month whose invoices are out; the last entry of the ledger then is an anchor to keep."""

    month: str
    closed_at: datetime
    invoice_count: int
    total_micro_usd: int
    entry_number: int
    entry_digest: str


class CreateCreditNote(Request):
    """Take back an invoice: so much of its charges before taxes, or all that is left of them.

    What commitments and credits paid of that goes back to them, and can be used again. ``item_id``
    is a commitment that the invoice sold: then that is taken back, as far as nobody drew it.
    """

    reason: Reason
    net_micro_usd: MicroUsd | None = None
    item_id: Id | None = None


class LedgerPosting(Answer):
    """One side of an entry of the ledger; positive is debit. The sides sum to zero."""

    account: str
    amount_micro_usd: int


class CreditNotePlan(Answer):
    """What a credit note would write; nothing is kept of it.

    ``left_micro_usd`` is what could still be taken back then of its invoice's charges, before
    taxes; ``owed_micro_usd`` what its organisation owes now, ``owed_then_micro_usd`` afterwards.
    """

    note: Invoice
    postings: list[LedgerPosting]
    left_micro_usd: int
    owed_micro_usd: int
    owed_then_micro_usd: int


StatementKind = Literal["invoice", "credit_note", "payment", "refund", "chargeback", "other"]


class StatementLine(Answer):
    """One movement of what is owed; positive is more.

    ``subject_id`` is the invoice, the payment, the refund or the dispute that it is of.
    """

    entry_number: int
    date: date
    kind: StatementKind
    subject_id: str
    memo: str
    amount_micro_usd: int


class Statement(Answer):
    """What an organisation owes, and how it came to that. The newest lines; the sum is of all.

    ``open_micro_usd`` is open of all invoices, ``credit_micro_usd`` was paid or credited beyond
    them; what is owed is the one less the other.
    """

    organisation_id: str
    owed_micro_usd: int
    open_micro_usd: int
    credit_micro_usd: int
    overdue_micro_usd: int
    line_count: int
    lines: list[StatementLine]


class CreateContractItem(Request):
    """Something to agree on: an amount, or a tax rate in parts per million."""

    kind: ContractKind
    name: Name
    amount_micro_usd: MicroUsd | None = None
    rate_ppm: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    from_month: MonthText
    to_month: MonthText


class ContractItem(Answer):
    """What was agreed; ``used_micro_usd`` is of closed months, less what credit notes gave back."""

    id: str
    organisation_id: str
    kind: ContractKind
    name: str
    amount_micro_usd: int
    used_micro_usd: int
    rate_ppm: int
    from_month: str
    to_month: str


class CreateProductPrice(Request):
    """What a unit costs from a month on: of a known product, or of another external event.

    Known are "storage" by the TiB-hour, "sandbox.cpu_seconds" by the CPU-hour, and
    "network.egress_bytes" by the GiB; of others unit and parts have to be said.
    """

    product: Name
    price_micro_usd: Annotated[int, Field(ge=0, le=10_000_000_000)]
    unit: Name | None = None
    parts_per_unit: Annotated[int, Field(ge=1, le=10**12)] | None = None
    from_month: MonthText
    organisation_id: Id | None = None


class ProductPrice(Answer):
    """A price of storage, or of what another service measures."""

    id: str
    product: str
    price_micro_usd: int
    unit: str
    parts_per_unit: int
    from_month: str
    organisation_id: str | None = None


class LedgerVerdict(Answer):
    """Whether the books are as they were written; ``fault`` names the first row that is not."""

    is_whole: bool
    fault: str | None = None
    entry_count: int
    invoice_count: int
    last_number: int
    last_digest: str


class SetCostTag(Request):
    """What the tenant calls a cluster in its own books; empty for nothing."""

    tag: Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")]


class CostTag(Answer):
    """What the tenant calls a cluster in its own books."""

    cluster_id: str
    tag: str
