"""From records of usage to charges: summed by what makes a line of an invoice, and still exact."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import ClusterId, TenantId
from gigawatt.intent.term import Term
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.interfaces.usage import (
    ExternalUsage,
    StorageRecord,
    UsageBook,
    UsageQuery,
    UsageRecord,
)
from gigawatt.market.charge import Charge, ChargeKind, Key
from gigawatt.market.meter import MS_PER_HOUR
from gigawatt.market.product import STORAGE, STORAGE_PARTS, STORAGE_UNIT, ProductPrice, price_of

GPU_HOUR = "GPU-hour"

Owners = Mapping[TenantId, OrganisationId]
"""Who pays for a project."""


@dataclass(slots=True)
class ChargeSource:
    """What is needed to price records of one month.

    Fields:
        month: ``YYYY-MM``.
        tags: what tenants call their clusters and file systems in their own books.
        prices: of products.
        notes: what could not be charged, one sentence each; filled while charges are made.
    """

    month: str
    tags: Mapping[str, str]
    prices: Sequence[ProductPrice]
    notes: set[str] = field(default_factory=set)

    def usage_charges(
        self, usage: UsageBook, query: UsageQuery, until_ms: int | None
    ) -> Iterator[Charge]:
        """Charges of what was used in a query; with what is under way, if up to a moment."""
        running, held = (
            ((), ())
            if until_ms is None
            else (usage.under_way(until_ms, query), usage.storage_under_way(until_ms, query))
        )
        yield from self.gpu_charges(chain(running, usage.usages(query)))
        yield from self.storage_charges(chain(held, usage.storage_usages(query)))
        yield from self.external_charges(usage.external_usages(query))

    def reservation_charges(
        self, records: Iterable[ReservationRecord], owners: Owners, from_ms: int, to_ms: int
    ) -> Iterator[Charge]:
        """Charges of promised capacity between two moments, and of cancellations in that time."""
        for record in records:
            owner = owners.get(record.project_id)
            if owner is None:
                self.notes.add(
                    f"reservation {record.reservation_id} is of no project, so nobody is billed"
                )
                continue
            is_cancelled = record.state == "cancelled"
            lasted_ms = min(to_ms, round(record.promise.to_s * 1000)) - max(
                from_ms, round(record.promise.from_s * 1000)
            )
            key = Key(
                project_id=record.project_id,
                kind=ChargeKind.RESERVATION,
                subject_id=record.reservation_id,
                tag=self.tags.get(record.reservation_id, ""),
                item=record.gpu_type,
                term="cancelled" if is_cancelled else Term.RESERVED.value,
                site_id=record.site_id,
                unit="cancellation" if is_cancelled else GPU_HOUR,
                parts_per_unit=1 if is_cancelled else MS_PER_HOUR,
                price_micro_usd=record.charged_micro_usd
                if is_cancelled
                else record.price_micro_usd_per_gpu_hour,
            )
            held = max(0, lasted_ms) * record.gpu_count - record.short_gpu_ms(from_ms, to_ms)
            yield Charge(owner, key, 1 if is_cancelled else held)

    def gpu_charges(self, records: Iterable[UsageRecord]) -> Iterator[Charge]:
        """Charges of GPU time, at the price that was promised when its node joined."""
        quantities: Counter[tuple[object, ...]] = Counter()
        first: dict[tuple[object, ...], UsageRecord] = {}
        for record in records:
            place: tuple[object, ...] = (
                record.cluster_id,
                record.gpu_type,
                record.term,
                record.site_id,
                record.price_micro_usd_per_gpu_hour,
            )
            quantities[place] += record.gpu_ms
            first.setdefault(place, record)
        for place, record in first.items():
            if record.organisation_id is None:
                self.notes.add(f"cluster {record.cluster_id} is of no project, so nobody is billed")
                continue
            key = Key(
                project_id=record.project_id,
                kind=ChargeKind.GPU,
                subject_id=record.cluster_id,
                tag=self.tags.get(record.cluster_id, ""),
                item=record.gpu_type,
                term=record.term.value,
                site_id=record.site_id,
                unit=GPU_HOUR,
                parts_per_unit=MS_PER_HOUR,
                price_micro_usd=record.price_micro_usd_per_gpu_hour,
            )
            yield Charge(record.organisation_id, key, quantities[place])

    def storage_charges(self, records: Iterable[StorageRecord]) -> Iterator[Charge]:
        """Charges of storage; where nobody set a price it is shown and costs nothing."""
        quantities: Counter[ClusterId] = Counter()
        first: dict[ClusterId, StorageRecord] = {}
        for record in records:
            quantities[record.holder_id] += record.byte_ms
            first.setdefault(record.holder_id, record)
        for holder_id, record in first.items():
            if record.organisation_id is None:
                continue
            price = price_of(self.prices, STORAGE, record.organisation_id, self.month)
            if price is None:
                self.notes.add("nobody set a price of storage, so it costs nothing")
            key = Key(
                project_id=record.project_id,
                kind=ChargeKind.STORAGE,
                subject_id=holder_id,
                tag=self.tags.get(holder_id, ""),
                item=STORAGE,
                term="",
                site_id=record.site_id,
                unit=STORAGE_UNIT,
                parts_per_unit=STORAGE_PARTS,
                price_micro_usd=0 if price is None else price.price_micro_usd,
            )
            yield Charge(record.organisation_id, key, quantities[holder_id])

    def external_charges(self, records: Iterable[ExternalUsage]) -> Iterator[Charge]:
        """Charges of what other services measured; without a price it costs nothing."""
        for record in records:
            price = price_of(self.prices, record.kind, record.organisation_id, self.month)
            if price is None:
                self.notes.add(f"nobody set a price of {record.kind}, so it costs nothing")
            key = Key(
                project_id=record.project_id,
                kind=ChargeKind.EXTERNAL,
                subject_id=record.subject or "",
                tag=self.tags.get(record.subject or "", ""),
                item=record.kind,
                term="",
                site_id=None,
                unit=record.unit if price is None else price.unit,
                parts_per_unit=1 if price is None else price.parts_per_unit,
                price_micro_usd=0 if price is None else price.price_micro_usd,
            )
            yield Charge(record.organisation_id, key, record.quantity)
