"""Tables of payments, in the same database as the ledger that they move.

Only states go on; what was told and what was entered stays. Nothing here is of a card.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
)

from gigawatt.store.schema import NAME, Prose, metadata

payments = Table(
    "payment",
    metadata,
    Column("payment_id", NAME, primary_key=True),
    Column("organisation_id", NAME, nullable=False),
    Column("invoice_id", NAME, nullable=False),
    Column("provider", NAME, nullable=False),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column("currency", NAME, nullable=False),
    Column(
        "state",
        NAME,
        CheckConstraint(
            "state IN ('asked', 'open', 'processing', 'expired', 'cancelled', 'failed', 'settled')"
        ),
        nullable=False,
        index=True,
    ),
    Column("account_id", NAME, nullable=False),
    Column("page_ref", NAME, nullable=False),
    Column("reference", NAME, nullable=False),
    Column("url", Text, nullable=False),
    Column("expires_s", Double, nullable=True),
    Column("reason", Prose, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("changed_s", Double, nullable=False),
    CheckConstraint("amount_micro_usd > 0", name="payment_amount"),
)
"""Payments. ``invoice_id``, ``page_ref``, ``reference`` and ``url`` are empty where unknown."""

Index("payment_created", payments.c.created_s, payments.c.payment_id)
Index("payment_organisation", payments.c.organisation_id, payments.c.created_s)
Index("payment_invoice", payments.c.invoice_id)
Index(
    "payment_reference",
    payments.c.provider,
    payments.c.reference,
    unique=True,
    sqlite_where=payments.c.reference != "",
    postgresql_where=payments.c.reference != "",
)

payment_refunds = Table(
    "payment_refund",
    metadata,
    Column("refund_id", NAME, primary_key=True),
    Column("payment_id", NAME, ForeignKey("payment.payment_id"), nullable=False, index=True),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column(
        "state",
        NAME,
        CheckConstraint("state IN ('asked', 'pending', 'done', 'failed')"),
        nullable=False,
        index=True,
    ),
    Column("reason", Prose, nullable=False),
    Column("account_id", NAME, nullable=False),
    Column("reference", NAME, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("changed_s", Double, nullable=False),
    CheckConstraint("amount_micro_usd > 0", name="payment_refund_amount"),
)
"""Money that goes back to payers."""

payment_disputes = Table(
    "payment_dispute",
    metadata,
    Column("payment_id", NAME, ForeignKey("payment.payment_id"), primary_key=True),
    Column("dispute_id", NAME, primary_key=True),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column("is_withdrawn", Boolean, nullable=False),
    Column("is_returned", Boolean, nullable=False),
    Column("changed_s", Double, nullable=False),
)
"""Money that payers' banks took back."""

payment_events = Table(
    "payment_event",
    metadata,
    Column("provider", NAME, primary_key=True),
    Column("event_id", NAME, primary_key=True),
    Column("received_s", Double, nullable=False),
    Column("payment_id", NAME, nullable=False, index=True),
    Column("reference", NAME, nullable=False, index=True),
    Column(
        "verdict",
        NAME,
        CheckConstraint("verdict IN ('applied', 'nothing', 'waiting', 'held')"),
        nullable=False,
        index=True,
    ),
    Column("reason", Prose, nullable=False),
    Column("note", Prose, nullable=False),
    Column("news", Text, nullable=False),
)
"""What providers told, as JSON of what matters to the books; each event once."""

payment_payers = Table(
    "payment_payer",
    metadata,
    Column("provider", NAME, primary_key=True),
    Column("organisation_id", NAME, primary_key=True),
    Column("payer_ref", NAME, nullable=False),
)
"""Organisations as providers know them."""

payouts = Table(
    "payout",
    metadata,
    Column("provider", NAME, primary_key=True),
    Column("payout_id", NAME, primary_key=True),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column("currency", NAME, nullable=False),
    Column(
        "state", NAME, CheckConstraint("state IN ('under_way', 'paid', 'failed')"), nullable=False
    ),
    Column("at_s", Double, nullable=False),
    Column("is_itemised", Boolean, nullable=False),
    Column("why", Prose, nullable=False),
    Column(
        "verdict",
        NAME,
        CheckConstraint("verdict IN ('under_way', 'entered', 'held')"),
        nullable=False,
    ),
    Column("fee_micro_usd", BigInteger, nullable=False),
    Column("line_count", Integer, nullable=False),
    Column("reason", Prose, nullable=False),
    Column("changed_s", Double, nullable=False),
)
"""Money that providers sent to our bank. ``why`` is of one that failed, ``reason`` of one that is
held."""

payout_lines = Table(
    "payout_line",
    metadata,
    Column("provider", NAME, primary_key=True),
    Column("line_id", NAME, primary_key=True),
    Column("payout_id", NAME, nullable=False, index=True),
    Column("kind", NAME, nullable=False),
    Column("amount_micro_usd", BigInteger, nullable=False),
    Column("fee_micro_usd", BigInteger, nullable=False),
)
"""Of what payouts that are in the ledger were made, so that nothing is paid out twice."""
