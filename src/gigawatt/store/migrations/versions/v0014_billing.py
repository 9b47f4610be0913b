"""Revision 0014: ledger, invoices, contracts, prices of products, budgets.

Written out once and never changed: what ``billing_schema`` says moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")

_GROWING = (
    "ledger_entry",
    "ledger_posting",
    "invoice",
    "contract_item",
    "contract_use",
    "product_price",
    "closed_month",
)

_REFUSE = (
    "CREATE OR REPLACE FUNCTION gigawatt_only_grows() RETURNS trigger LANGUAGE plpgsql AS $$"
    " BEGIN RAISE EXCEPTION USING MESSAGE = TG_TABLE_NAME || ' only grows'; END $$"
)


def upgrade() -> None:
    """Make the tables, and keep those that only grow from being changed."""
    _make_ledger()
    _make_contracts()
    _make_budgets()
    is_postgres = op.get_bind().dialect.name == "postgresql"
    if is_postgres:
        op.execute(_REFUSE)
    for name in _GROWING:
        if is_postgres:
            op.execute(
                f"CREATE TRIGGER {name}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {name}"
                " EXECUTE FUNCTION gigawatt_only_grows()"
            )
            continue
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER {name}_no_{verb.lower()} BEFORE {verb} ON {name} BEGIN"
                f" SELECT RAISE(ABORT, '{name} only grows'); END"
            )


def _make_ledger() -> None:
    op.create_table(
        "ledger_entry",
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("entry_id", _NAME, nullable=False, unique=True),
        sa.Column("date", _NAME, nullable=False),
        sa.Column("memo", sa.Text, nullable=False),
        sa.Column("currency", _NAME, nullable=False),
        sa.Column("postings", sa.Text, nullable=False),
        sa.Column("digest", _NAME, nullable=False),
    )
    op.create_table(
        "ledger_posting",
        sa.Column("account", _NAME, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "invoice",
        sa.Column("invoice_id", _NAME, primary_key=True),
        sa.Column("organisation_id", _NAME, nullable=False),
        sa.Column("month", _NAME, nullable=False),
        sa.Column("corrects", _NAME, nullable=False),
        sa.Column("total_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("document", sa.Text, nullable=False),
        sa.Column("digest", _NAME, nullable=False),
    )
    op.create_index("ix_invoice_organisation_id", "invoice", ["organisation_id", "invoice_id"])
    op.create_index("ix_invoice_corrects", "invoice", ["corrects"])
    op.create_table(
        "closed_month",
        sa.Column("month", _NAME, primary_key=True),
        sa.Column("closed_s", sa.Double, nullable=False),
        sa.Column("invoice_count", sa.Integer, nullable=False),
        sa.Column("total_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("entry_number", sa.BigInteger, nullable=False),
        sa.Column("entry_digest", _NAME, nullable=False),
    )


def _make_contracts() -> None:
    op.create_table(
        "contract_item",
        sa.Column("item_id", _NAME, primary_key=True),
        sa.Column("organisation_id", _NAME, nullable=False),
        sa.Column("kind", _NAME, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("rate_ppm", sa.Integer, nullable=False),
        sa.Column("from_month", _NAME, nullable=False),
        sa.Column("to_month", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
    )
    op.create_index("ix_contract_item_organisation_id", "contract_item", ["organisation_id"])
    op.create_table(
        "contract_use",
        sa.Column("item_id", _NAME, primary_key=True),
        sa.Column("month", _NAME, primary_key=True),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "product_price",
        sa.Column("price_id", _NAME, primary_key=True),
        sa.Column("product", _NAME, nullable=False),
        sa.Column("price_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("unit", sa.Text, nullable=False),
        sa.Column("parts_per_unit", sa.BigInteger, nullable=False),
        sa.Column("from_month", _NAME, nullable=False),
        sa.Column("organisation_id", _NAME, nullable=True),
        sa.Column("created_s", sa.Double, nullable=False),
    )


def _make_budgets() -> None:
    op.create_table(
        "cost_tag",
        sa.Column("subject_id", _NAME, primary_key=True),
        sa.Column("tag", sa.Text, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
    )
    op.create_table(
        "budget",
        sa.Column("scope", _NAME, primary_key=True),
        sa.Column("scope_id", _NAME, primary_key=True),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("percents", sa.Text, nullable=False),
        sa.Column("is_cap", sa.Boolean, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "budget_alert",
        sa.Column("scope", _NAME, primary_key=True),
        sa.Column("scope_id", _NAME, primary_key=True),
        sa.Column("month", _NAME, primary_key=True),
        sa.Column("percent", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("spent_micro_usd", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
