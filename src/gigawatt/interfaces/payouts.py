"""What the book of payouts must offer: what providers sent to our bank, and what became of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from gigawatt.market.payout import Payout, PayoutLine

PayoutVerdict = Literal["under_way", "entered", "held"]
"""What became of a payout: the bank does not have it yet; it is in the ledger; or it does not fit
what our books know, nothing was entered, and it is compared again at every look."""


@dataclass(frozen=True, slots=True)
class PayoutRecord:
    """A payout as it was told last, and what became of it.

    Fields:
        fee_micro_usd: what the provider kept; 0 unless it is entered.
        line_count: of what it is made; 0 unless it is entered.
        reason: why it is held; else empty.
        changed_s: when any of this changed last, Unix seconds.
    """

    payout: Payout
    verdict: PayoutVerdict
    fee_micro_usd: int
    line_count: int
    reason: str
    changed_s: float


class PayoutBook(Protocol):
    """The book of payouts; every method is one transaction.

    Raises ``DataError`` and ``StorageFullError`` as the store does.
    """

    def first_s(self, provider: str) -> float | None:
        """When the first payment by a provider was asked for; None for none."""
        ...

    def known(self, provider: str) -> Mapping[str, PayoutRecord]:
        """Payouts that were told, by id."""
        ...

    def take(self, payout: Payout, lines: Sequence[PayoutLine], now_s: float) -> PayoutRecord:
        """Keep a payout with its lines, and enter it if it fits; once, however often it is told."""
        ...

    def newest(self, limit: int) -> tuple[PayoutRecord, ...]:
        """Payouts of all providers, the newest first."""
        ...

    def clearing_micro_usd(self, provider: str) -> int:
        """What a provider still has of ours, by the ledger."""
        ...
