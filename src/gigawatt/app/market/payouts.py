"""Payouts: what providers sent to our bank, compared with the books and entered."""

from collections.abc import Callable

from gigawatt.app.market.payments import Payments
from gigawatt.interfaces.payments import PaymentProvider
from gigawatt.interfaces.payouts import PayoutBook, PayoutRecord
from gigawatt.market.payout import Payout, PayoutState
from gigawatt.units import DAY_S

BEFORE_S = 1.0 * DAY_S
"""How long before our first payment by a provider its payouts are asked for. Ours: a clock may be
behind; what is older is of a time before us."""

HELD_EVENT = "payout_held"
"""Event of the trail: a payout does not fit the books, so it was not entered."""
FAILED_EVENT = "payout_failed"
"""Event of the trail: the bank gave a payout back."""


class Payouts:
    """The book of payouts, and the providers who are asked."""

    def __init__(
        self,
        book: PayoutBook,
        payments: Payments,
        tell: Callable[[str, str, float], None],
        now_s: Callable[[], float],
    ) -> None:
        """Ask nobody yet; providers are those of ``payments``."""
        self.book = book
        self._payments = payments
        self._tell = tell
        self._now_s = now_s

    def refresh(self) -> int:
        """Ask providers what they paid out, and enter what fits; how many payouts changed.

        Raises:
            DriverError: a provider does not answer, or refuses.
        """
        return sum(self._refresh(provider) for provider in self._payments.providers.values())

    def _refresh(self, provider: PaymentProvider) -> int:
        first_s = self.book.first_s(provider.name)
        if first_s is None:
            return 0
        known = self.book.known(provider.name)
        found = sorted(provider.payouts(first_s - BEFORE_S), key=lambda p: (p.at_s, p.payout_id))
        return sum(self._take(provider, payout, known.get(payout.payout_id)) for payout in found)

    def _take(self, provider: PaymentProvider, payout: Payout, before: PayoutRecord | None) -> bool:
        is_same = before is not None and before.payout.state is payout.state
        if is_same and before is not None and before.verdict != "held":
            return False
        # Lines are asked for where they count: what is held is compared again.
        wants_lines = payout.state is not PayoutState.UNDER_WAY and payout.is_itemised
        lines = provider.payout_lines(payout) if wants_lines else ()
        now_s = self._now_s()
        after = self.book.take(payout, lines, now_s)
        is_news = before is None or (before.verdict, before.reason) != (after.verdict, after.reason)
        if after.verdict == "held" and is_news:
            self._tell(HELD_EVENT, f"{payout.provider} payout {payout.payout_id}: {after.reason}",
                       now_s)  # fmt: skip
        if payout.state is PayoutState.FAILED and not is_same:
            why = f": {payout.reason}" if payout.reason else ""
            self._tell(FAILED_EVENT, f"{payout.provider} payout {payout.payout_id} failed{why}",
                       now_s)  # fmt: skip
        return is_news or not is_same
