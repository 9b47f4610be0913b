"""Whether the audit of a home is as it was written, for whoever has no server to ask."""

from gigawatt.app.home import Home
from gigawatt.identity.chain import Anchor, Verdict
from gigawatt.store.call_audit import open_call_audit
from gigawatt.store.open import open_store_at

ALL_ROWS = 1 << 62
"""More rows than there can be."""


def verify_audit(home: Home, anchor: Anchor | None = None) -> Verdict:
    """Check the whole chain; the verdict names the first row that is not as it was written.

    Args:
        home: whose store is read; nothing is changed.
        anchor: a head that was kept elsewhere; without one a tail that was cut off together with
            the head in the database is not found.

    Raises:
        DataError: the store cannot be read, or the chain has lost its head.
    """
    store = open_store_at(home.store_place)
    try:
        return open_call_audit(store).verify(after=0, count_max=ALL_ROWS, anchor=anchor)
    finally:
        store.close()
