"""The table of rates, in the same database as the store's."""

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Table

from gigawatt.store.schema import NAME, SEQUENCE, Prose, metadata

rates = Table(
    "rate",
    metadata,
    Column("sequence", SEQUENCE, primary_key=True),
    Column("gpu_type", NAME, nullable=False),
    Column("term", NAME, nullable=False),
    Column("price_micro_usd_per_gpu_hour", BigInteger, nullable=False),
    Column("valid_from_s", Double, nullable=False),
    Column("valid_to_s", Double, nullable=True),
    Column("site_id", NAME, nullable=False),
    Column("organisation_id", NAME, nullable=False),
    Column("gpu_count_min", Integer, nullable=False),
    Column("month_count_min", Integer, nullable=False),
    Column("currency", NAME, nullable=False),
    Column("note", Prose, nullable=False),
    Column("set_by", NAME, nullable=False),
    Column("set_at_s", Double, nullable=False),
)
"""Rows are added, and never changed or removed. Site and organisation are empty for all of them,
so that the index below sees two rows for all as equal. An organisation that is gone stays named."""

Index(
    "rate_kind",
    rates.c.gpu_type,
    rates.c.term,
    rates.c.site_id,
    rates.c.organisation_id,
    rates.c.gpu_count_min,
    rates.c.month_count_min,
    rates.c.valid_from_s,
    unique=True,
)
