"""Tables of the replicas that share a store: who lives, and who does what only one may do."""

from sqlalchemy import BigInteger, Column, Double, Table

from gigawatt.store.schema import NAME, metadata

__all__ = ["metadata"]


heartbeats = Table(
    "heartbeat",
    metadata,
    Column("worker", NAME, primary_key=True),
    Column("beat", BigInteger, nullable=False),
    Column("started_s", Double, nullable=False),
)
"""One row for each worker that lives; ``beat`` rises while it does. No moment is compared."""

duties = Table(
    "duty",
    metadata,
    Column("name", NAME, primary_key=True),
    Column("worker", NAME, nullable=True),
    Column("done_s", Double, nullable=True),
)
"""What one replica at a time does for all; worker is null while nobody does it."""
