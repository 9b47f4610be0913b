"""Tables of money, in the same database as the store's.

The database itself keeps them from being changed: every one but tags and budgets only grows.
"""

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    Column,
    Double,
    Index,
    Integer,
    Table,
    Text,
    event,
)

from gigawatt.store.schema import NAME, Prose, metadata

"""Ids, months and dates, sorted byte by byte on both engines."""

ledger_entries = Table(
    "ledger_entry",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("entry_id", NAME, nullable=False, unique=True),
    Column("date", NAME, nullable=False),
    Column("memo", Prose, nullable=False),
    Column("currency", NAME, nullable=False),
    Column("postings", Text, nullable=False),
    Column("digest", NAME, nullable=False),
)
"""The ledger. Postings are JSON: account and micro-USD of each."""

ledger_postings = Table(
    "ledger_posting",
    metadata,
    Column("account", NAME, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("amount_micro_usd", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Where to find an account's entries; what counts is what the entry itself says."""

invoices = Table(
    "invoice",
    metadata,
    Column("invoice_id", NAME, primary_key=True),
    Column("organisation_id", NAME, nullable=False),
    Column("month", NAME, nullable=False),
    Column("corrects", NAME, nullable=False),
    Column("total_micro_usd", BigInteger, nullable=False),
    Column("document", Text, nullable=False),
    Column("digest", NAME, nullable=False),
)
"""Invoices and credit notes. Document is JSON; ``corrects`` is empty for an invoice."""

Index("ix_invoice_organisation_id", invoices.c.organisation_id, invoices.c.invoice_id)
Index("ix_invoice_corrects", invoices.c.corrects)

contract_items = Table(
    "contract_item",
    metadata,
    Column("item_id", NAME, primary_key=True),
    Column("organisation_id", NAME, nullable=False, index=True),
    Column("kind", NAME, nullable=False),
    Column("name", Prose, nullable=False),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column("rate_ppm", Integer, nullable=False),
    Column("from_month", NAME, nullable=False),
    Column("to_month", NAME, nullable=False),
    Column("created_s", Double, nullable=False),
)

contract_uses = Table(
    "contract_use",
    metadata,
    Column("item_id", NAME, primary_key=True),
    Column("month", NAME, primary_key=True),
    Column("amount_micro_usd", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What a closed month used of a commitment or a credit."""

contract_returns = Table(
    "contract_return",
    metadata,
    Column("note_id", NAME, primary_key=True),
    Column("item_id", NAME, primary_key=True),
    Column("amount_micro_usd", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""What a credit note gave back to a commitment or a credit to be used again; below 0 what it took
back of a commitment that was bought, so that nobody uses it any more."""

product_prices = Table(
    "product_price",
    metadata,
    Column("price_id", NAME, primary_key=True),
    Column("product", NAME, nullable=False),
    Column("price_micro_usd", BigInteger, nullable=False),
    Column("unit", Prose, nullable=False),
    Column("parts_per_unit", BigInteger, nullable=False),
    Column("from_month", NAME, nullable=False),
    Column("organisation_id", NAME, nullable=True),
    Column("created_s", Double, nullable=False),
)
"""Prices of storage and of external products; a TiB-hour has less than 2**62 parts."""

closed_months = Table(
    "closed_month",
    metadata,
    Column("month", NAME, primary_key=True),
    Column("closed_s", Double, nullable=False),
    Column("invoice_count", Integer, nullable=False),
    Column("total_micro_usd", BigInteger, nullable=False),
    Column("entry_number", BigInteger, nullable=False),
    Column("entry_digest", NAME, nullable=False),
)

cost_tags = Table(
    "cost_tag",
    metadata,
    Column("subject_id", NAME, primary_key=True),
    Column("tag", Prose, nullable=False),
    Column("changed_s", Double, nullable=False),
)
"""What tenants call clusters and file systems in their own books."""

budgets = Table(
    "budget",
    metadata,
    Column("scope", NAME, primary_key=True),
    Column("scope_id", NAME, primary_key=True),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column("percents", Text, nullable=False),
    Column("is_cap", Boolean, nullable=False),
    Column("changed_s", Double, nullable=False),
    sqlite_with_rowid=False,
)
"""Budgets of projects and organisations, for each month. Percents are JSON."""

budget_alerts = Table(
    "budget_alert",
    metadata,
    Column("scope", NAME, primary_key=True),
    Column("scope_id", NAME, primary_key=True),
    Column("month", NAME, primary_key=True),
    Column("percent", Integer, primary_key=True, autoincrement=False),
    Column("at_s", Double, nullable=False),
    Column("spent_micro_usd", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""That a share of a budget was reached in a month; each is told once."""

GROWING = (
    ledger_entries,
    ledger_postings,
    invoices,
    contract_items,
    contract_uses,
    contract_returns,
    product_prices,
    closed_months,
)
"""Tables whose rows are never changed or removed."""

_REFUSE = (
    "CREATE OR REPLACE FUNCTION gigawatt_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$"
    " BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' only grows'; END $$"
)


def _after_create(table: Table, dialect: str, statement: str) -> None:
    made = DDL(statement)  # type: ignore[no-untyped-call]
    event.listen(table, "after_create", made.execute_if(dialect=dialect))


for _table in GROWING:
    for _verb in ("UPDATE", "DELETE"):
        _after_create(
            _table,
            "sqlite",
            f"CREATE TRIGGER {_table.name}_no_{_verb.lower()} BEFORE {_verb} ON {_table.name}"
            f" BEGIN SELECT RAISE(ABORT, '{_table.name} only grows'); END",
        )
    _after_create(_table, "postgresql", _REFUSE)
    _after_create(
        _table,
        "postgresql",
        f"CREATE TRIGGER {_table.name}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE"
        f" ON {_table.name} EXECUTE FUNCTION gigawatt_only_grows()",
    )
