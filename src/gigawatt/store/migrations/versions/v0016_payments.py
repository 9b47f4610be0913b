"""Revision 0016: payments, their refunds, disputes and events; what credit notes give back.

Written out once and never changed: what the schema modules say moves on, this stays.
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"

_NAME = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables, and keep the one that only grows from being changed."""
    _payments()
    _what_happens_to_them()
    _contract_returns()


def _payments() -> None:
    op.create_table(
        "payment",
        sa.Column("payment_id", _NAME, primary_key=True),
        sa.Column("organisation_id", _NAME, nullable=False),
        sa.Column("invoice_id", _NAME, nullable=False),
        sa.Column("provider", _NAME, nullable=False),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("currency", _NAME, nullable=False),
        sa.Column(
            "state",
            _NAME,
            sa.CheckConstraint(
                "state IN ('asked', 'open', 'processing', 'expired', 'cancelled', 'failed',"
                " 'settled')"
            ),
            nullable=False,
            index=True,
        ),
        sa.Column("account_id", _NAME, nullable=False),
        sa.Column("page_ref", _NAME, nullable=False),
        sa.Column("reference", _NAME, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=True),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
        sa.CheckConstraint("amount_micro_usd > 0", name="payment_amount"),
    )
    op.create_index("payment_created", "payment", ["created_s", "payment_id"])
    op.create_index("payment_organisation", "payment", ["organisation_id", "created_s"])
    op.create_index("payment_invoice", "payment", ["invoice_id"])
    op.create_index(
        "payment_reference",
        "payment",
        ["provider", "reference"],
        unique=True,
        sqlite_where=sa.text("reference != ''"),
        postgresql_where=sa.text("reference != ''"),
    )
    op.create_table(
        "payment_payer",
        sa.Column("provider", _NAME, primary_key=True),
        sa.Column("organisation_id", _NAME, primary_key=True),
        sa.Column("payer_ref", _NAME, nullable=False),
    )


def _what_happens_to_them() -> None:
    op.create_table(
        "payment_refund",
        sa.Column("refund_id", _NAME, primary_key=True),
        sa.Column(
            "payment_id", _NAME, sa.ForeignKey("payment.payment_id"), nullable=False, index=True
        ),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column(
            "state",
            _NAME,
            sa.CheckConstraint("state IN ('asked', 'pending', 'done', 'failed')"),
            nullable=False,
            index=True,
        ),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("account_id", _NAME, nullable=False),
        sa.Column("reference", _NAME, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
        sa.CheckConstraint("amount_micro_usd > 0", name="payment_refund_amount"),
    )
    op.create_table(
        "payment_dispute",
        sa.Column("payment_id", _NAME, sa.ForeignKey("payment.payment_id"), primary_key=True),
        sa.Column("dispute_id", _NAME, primary_key=True),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sa.Column("is_withdrawn", sa.Boolean, nullable=False),
        sa.Column("is_returned", sa.Boolean, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
    )
    op.create_table(
        "payment_event",
        sa.Column("provider", _NAME, primary_key=True),
        sa.Column("event_id", _NAME, primary_key=True),
        sa.Column("received_s", sa.Double, nullable=False),
        sa.Column("payment_id", _NAME, nullable=False, index=True),
        sa.Column("reference", _NAME, nullable=False, index=True),
        sa.Column(
            "verdict",
            _NAME,
            sa.CheckConstraint("verdict IN ('applied', 'nothing', 'waiting', 'held')"),
            nullable=False,
            index=True,
        ),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("news", sa.Text, nullable=False),
    )


def _contract_returns() -> None:
    op.create_table(
        "contract_return",
        sa.Column("note_id", _NAME, primary_key=True),
        sa.Column("item_id", _NAME, primary_key=True),
        sa.Column("amount_micro_usd", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE TRIGGER contract_return_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE"
            " ON contract_return EXECUTE FUNCTION gigawatt_only_grows()"
        )
        return
    for verb in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER contract_return_no_{verb.lower()} BEFORE {verb} ON contract_return"
            " BEGIN SELECT RAISE(ABORT, 'contract_return only grows'); END"
        )
