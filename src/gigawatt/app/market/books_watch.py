"""Checks of the books by a server: a row that was changed is told without being asked for."""

import logging
from collections.abc import Callable

from gigawatt.interfaces.billing import BillingBook
from gigawatt.units import DAY_S, HOUR_S

EVERY_S = 1.0 * DAY_S
"""Pause between two checks. Ours: a check reads every row."""

FIRST_S = 1.0 * HOUR_S
"""When a server that was started checks first. Ours: it has other things to catch up on."""

EVENT = "books_damaged"

_log = logging.getLogger("gigawatt.books")


class BooksWatch:
    """Checks the books once a day, and tells the trail of what is wrong."""

    def __init__(
        self, book: BillingBook, tell: Callable[[str, str, float], None], now_s: Callable[[], float]
    ) -> None:
        """Tell by ``tell``: kind of an event, its sentence, and when."""
        self._book = book
        self._tell = tell
        self._now_s = now_s
        self._due_s = now_s() + FIRST_S

    def run_if_due(self) -> None:
        """Check, if it is time."""
        now_s = self._now_s()
        if now_s < self._due_s:
            return
        self._due_s = now_s + EVERY_S
        fault = self._book.check().fault
        if fault is not None:
            _log.error("the books are damaged: %s", fault)
            self._tell(EVENT, f"the books are damaged: {fault}", now_s)
