"""Looking at months that are closed: what is known of them now, beside what was billed of them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import TenantId
from gigawatt.interfaces.billing import Agreed, BillingBook
from gigawatt.interfaces.reservations import ReservationBook, ReservationRecord
from gigawatt.market.charge import Sums
from gigawatt.market.closing import Late
from gigawatt.market.contract import ContractItem
from gigawatt.market.gap import Gap
from gigawatt.market.invoice import Invoice, LineKind
from gigawatt.market.late import KnownMonth, late_changes
from gigawatt.market.month import next_month, start_ms

PAGE_COUNT = 1_000
"""Documents read at once."""
NAMED_MAX = 3
"""Nodes that a line names; of more it says how many. Ours."""

Owners = Mapping[TenantId, OrganisationId]


@dataclass(frozen=True, slots=True)
class LateLook:
    """Compares closed months with their documents.

    Fields: sums gives the charges of a month, with who pays for some projects, whatever the
    directory says of them today.
    """

    book: BillingBook
    reservations: ReservationBook
    sums: Callable[[str, Owners], Sums]

    def late(self, month: str, first: str, agreed: Agreed) -> Late:
        """What closing a month has to put right of the months before it.

        Args:
            month: the one that is closed.
            first: the first in which anything was used; ``month`` for none before it.
            agreed: contracts of everybody.
        """
        if first >= month:
            return Late()
        documents = tuple(self._documents())
        notes = sorted((one for one in documents if one.corrects), key=lambda one: one.invoice_id)
        before: dict[str, list[Invoice]] = {}
        for note in notes:
            before.setdefault(note.corrects, []).append(note)
        items: dict[OrganisationId, list[ContractItem]] = {}
        for item in agreed.items:
            items.setdefault(item.organisation_id, []).append(item)
        owners = _owners(documents)
        known = (self._known(one, owners) for one in _months(first, month))
        return Late(late_changes(known, documents, items), before, len(notes))

    def _documents(self) -> Iterator[Invoice]:
        last = ""
        while found := self.book.invoices(None, None, last, PAGE_COUNT):
            yield from found
            last = found[-1].invoice_id

    def _known(self, month: str, owners: Owners) -> KnownMonth:
        from_ms, to_ms = start_ms(month), start_ms(next_month(month))
        records = self.reservations.between(None, from_ms / 1000, to_ms / 1000)
        causes = {
            str(record.reservation_id): cause
            for record in records
            if (cause := _cause(record, from_ms, to_ms))
        }
        return KnownMonth(month, self.sums(month, owners), causes)


def _months(first: str, end: str) -> Iterator[str]:
    while first < end:
        yield first
        first = next_month(first)


def _owners(documents: tuple[Invoice, ...]) -> Owners:
    """Who was billed for a project's reservations; who pays today may be another, or nobody."""
    return {
        TenantId(line.project_id): document.organisation_id
        for document in reversed(documents)
        for line in document.lines
        if line.kind is LineKind.RESERVATION
    }


def _cause(record: ReservationRecord, from_ms: int, to_ms: int) -> str:
    """Which nodes of a reservation could not be had between two moments; empty for none."""
    out = sorted({gap.node_id for gap in record.gaps if _counts(record, gap, from_ms, to_ms)})
    if not out:
        return ""
    more = f" and {len(out) - NAMED_MAX:,} more" if len(out) > NAMED_MAX else ""
    return f"{', '.join(out[:NAMED_MAX])}{more} could not be had"


def _counts(record: ReservationRecord, gap: Gap, from_ms: int, to_ms: int) -> bool:
    begin_s = max(from_ms / 1000, record.promise.from_s, gap.since_s)
    end_s = min(to_ms / 1000, record.promise.to_s)
    if gap.until_s is not None:
        end_s = min(end_s, gap.until_s)
    return not gap.is_growth and begin_s < end_s
