"""Calls of money: closings, invoices, contracts, and the ledger."""

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def plan_closing(month: str) -> Call[doc.ClosingPlan]:
    """What closing a month would bill."""
    return Call("GET", path_of("billing", "months", month, "plan"), doc.ClosingPlan)


def close_month(month: str) -> Call[doc.Closing]:
    """Close a month: its invoices go out; twice is the same as once."""
    return Call("POST", path_of("billing", "months", month, verb="close"), doc.Closing)


def list_closings() -> Call[doc.Page[doc.Closing]]:
    """Closed months, the newest first."""
    return Call("GET", path_of("billing", "months"), doc.Page[doc.Closing])


def list_invoices(
    *,
    organisation_id: str | None = None,
    month: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Invoice]]:
    """Invoices and credit notes without their lines, the newest first."""
    query = query_of(organisation_id=organisation_id, month=month, cursor=cursor, limit=limit)
    return Call("GET", path_of("invoices"), doc.Page[doc.Invoice], query)


def get_invoice(invoice_id: str) -> Call[doc.Invoice]:
    """One invoice or credit note with its lines."""
    return Call("GET", path_of("invoices", invoice_id), doc.Invoice)


def get_invoice_file(
    invoice_id: str, *, file_format: doc.InvoiceFormat | None = None
) -> Call[bytes]:
    """An invoice as a file: PDF, HTML or CSV."""
    path = path_of("invoices", invoice_id, "file")
    return Call("GET", path, bytes, query_of(file_format=file_format))


def create_credit_note(invoice_id: str, wanted: doc.CreateCreditNote) -> Call[doc.Invoice]:
    """Take an invoice back, in part or what is left of it."""
    path = path_of("invoices", invoice_id, "credit-notes")
    return Call("POST", path, doc.Invoice, body=wanted)


def plan_credit_note(invoice_id: str, wanted: doc.CreateCreditNote) -> Call[doc.CreditNotePlan]:
    """What a credit note would write; nothing is changed."""
    path = path_of("invoices", invoice_id, "credit-notes", "plan")
    return Call("POST", path, doc.CreditNotePlan, body=wanted)


def get_statement(organisation_id: str) -> Call[doc.Statement]:
    """What an organisation owes, and how it came to that."""
    return Call("GET", path_of("organisations", organisation_id, "statement"), doc.Statement)


def list_contract_items(organisation_id: str) -> Call[doc.Page[doc.ContractItem]]:
    """What was agreed with an organisation."""
    path = path_of("organisations", organisation_id, "contract-items")
    return Call("GET", path, doc.Page[doc.ContractItem])


def create_contract_item(
    organisation_id: str, item: doc.CreateContractItem
) -> Call[doc.ContractItem]:
    """Agree on a commitment, a credit, a minimum or a tax."""
    path = path_of("organisations", organisation_id, "contract-items")
    return Call("POST", path, doc.ContractItem, body=item)


def list_product_prices() -> Call[doc.Page[doc.ProductPrice]]:
    """Prices of storage and of what other services measure."""
    return Call("GET", path_of("product-prices"), doc.Page[doc.ProductPrice])


def create_product_price(price: doc.CreateProductPrice) -> Call[doc.ProductPrice]:
    """Set a price from a month on."""
    return Call("POST", path_of("product-prices"), doc.ProductPrice, body=price)


def check_ledger() -> Call[doc.LedgerVerdict]:
    """Whether the books are as they were written."""
    return Call("GET", path_of("ledger", "verdict"), doc.LedgerVerdict)


def export_ledger() -> Call[str]:
    """The ledger in the language of beancount."""
    return Call("GET", path_of("ledger", "beancount"), str)


def set_cost_tag(cluster_id: str, tag: str) -> Call[doc.CostTag]:
    """Call a cluster so on invoices."""
    path = path_of("clusters", cluster_id, "cost-tag")
    return Call("PUT", path, doc.CostTag, body=doc.SetCostTag(tag=tag))
