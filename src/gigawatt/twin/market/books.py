"""The books of a market replay: events to the meter, usages to invoices, invoices to the ledger.

Every event of money is one line of the event log, from which ``recompute`` finds the same amounts
without any code of this file or of the meter.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import lru_cache

from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.intent.term import Term
from gigawatt.market.charge import ChargeKind, Key
from gigawatt.market.closing import Payer, close, receivable
from gigawatt.market.invoice import LineKind
from gigawatt.market.ledger import Draft, LedgerEntry, Posting, append
from gigawatt.market.meter import (
    MS_PER_HOUR,
    Cut,
    Delivered,
    MembersChanged,
    MeterEvent,
    Promise,
    ReadinessChanged,
    Stopped,
    Usage,
    UsageMeter,
    advance,
    rounded_micro_usd,
)
from gigawatt.market.month import last_day
from gigawatt.market.utilisation import Place
from gigawatt.twin.events import EventLog
from gigawatt.units import DAY_S

CREDIT = "credit"
"""Kind of a line that takes off what a tenant earned by lending."""

ROUNDING = "rounding"
"""Kind of the line that takes an invoice to whole cents."""

LineKey = tuple[str, str, str, str, int]
"""Month ``YYYY-MM``, tenant, term or kind, cluster or reservation, and price in micro-USD."""

Tamper = Callable[[tuple[Usage, ...]], Iterable[Usage]]
"""May change the usages that are billed: a planted fault."""


def as_they_are(usages: tuple[Usage, ...]) -> Iterable[Usage]:
    """The usages themselves."""
    return usages


def month_of(at_s: float) -> str:
    """``YYYY-MM``, UTC."""
    return _month_of_day(int(at_s // DAY_S))


@lru_cache(maxsize=64)
def _month_of_day(day: int) -> str:
    return datetime.fromtimestamp(day * DAY_S, UTC).strftime("%Y-%m")


def next_month_s(at_s: float) -> float:
    """Unix second at which the month after that of ``at_s`` begins."""
    now = datetime.fromtimestamp(at_s, UTC)
    year, month = now.year + now.month // 12, now.month % 12 + 1
    return datetime(year, month, 1, tzinfo=UTC).timestamp()


class _Account:
    """A cluster or reservation: whose it is, its usage meter, and who is credited for what."""

    def __init__(self, key: ClusterId, tenant_id: TenantId, term: Term) -> None:
        self.tenant_id = tenant_id
        self.term = term
        self.meter = UsageMeter(key)
        self.credits: dict[NodeId, tuple[TenantId, int]] = {}


class Books:
    """Meters, amounts and ledger.

    Attributes:
        entries: of the ledger.
        rated: micro-USD times milliseconds an hour of every line, of months under way too.
        posted: micro-USD of every line that is in the ledger.
        usage_count: usages that were billed.
    """

    def __init__(
        self, log: EventLog, place: Place, start_s: float, tamper: Tamper = as_they_are
    ) -> None:
        """Begin at Unix second ``start_s``, which is millisecond 0; GPUs are all of one place."""
        self.entries: list[LedgerEntry] = []
        self.rated: Counter[LineKey] = Counter()
        self.posted: dict[LineKey, int] = {}
        self.usage_count = 0
        self._log = log
        self._place = place
        self._gpu_ms: dict[str, Counter[LineKey]] = {}
        self._start_s = start_s
        self._tamper = tamper
        self._accounts: dict[ClusterId, _Account] = {}

    def open(self, key: ClusterId, tenant_id: TenantId, term: Term, now_ms: int) -> None:
        """A cluster or a reservation begins; it pays for nothing yet."""
        self._accounts[key] = _Account(key, tenant_id, term)
        self._write(now_ms, "open", f"{key} {tenant_id} {term.value}")

    def members(
        self,
        key: ClusterId,
        promises: Mapping[NodeId, Promise],
        credits_of: Mapping[NodeId, tuple[TenantId, int]],
        now_ms: int,
    ) -> None:
        """Its working members are now these; credits are who lends a node, and for how much."""
        account = self._accounts[key]
        account.credits |= credits_of
        text = " ".join(
            f"{node}={p.gpu_count}={p.price_micro_usd_per_gpu_hour}"
            + (f"={credits_of[node][0]}={credits_of[node][1]}" if node in credits_of else "")
            for node, p in sorted(promises.items())
        )
        self._write(now_ms, "members", f"{key} {text}")
        self._advance(account, MembersChanged(now_ms, promises))

    def deliver(self, key: ClusterId, now_ms: int) -> None:
        """Its tenant has it from now on."""
        self._write(now_ms, "deliver", key)
        self._advance(self._accounts[key], Delivered(now_ms))

    def ready(self, key: ClusterId, node: NodeId, now_ms: int, *, is_ready: bool) -> None:
        """A node of it works, or does not."""
        self._write(now_ms, "ready" if is_ready else "unready", f"{key} {node}")
        self._advance(self._accounts[key], ReadinessChanged(now_ms, node, is_ready))

    def stop(self, key: ClusterId, now_ms: int) -> None:
        """It is over."""
        self._write(now_ms, "stop", key)
        self._advance(self._accounts.pop(key), Stopped(now_ms))

    def close_month(self, now_ms: int) -> None:
        """Cut what is under way, and write the invoices of the month that ends now."""
        for account in self._accounts.values():
            self._advance(account, Cut(now_ms))
        self._write(now_ms, "close")
        month = month_of(self._start_s + now_ms / 1000 - 1)
        sums: dict[OrganisationId, dict[Key, int]] = {}
        for line, gpu_ms in self._gpu_ms.pop(month, {}).items():
            mine = sums.setdefault(OrganisationId(line[1]), {})
            mine[self._charged(line)] = gpu_ms
        closing = close(month, [Payer(name, name) for name in sums], sums, {})
        for invoice in closing.invoices:
            for row in invoice.lines:
                what = ROUNDING if row.kind is LineKind.ROUNDING else row.term
                key = (month, invoice.organisation_id, what, row.subject_id, row.price_micro_usd)
                self.posted[key] = row.amount_micro_usd
        for draft in (*closing.drafts, *self._credits(month)):
            self.entries.append(append(self.entries[-1] if self.entries else None, draft))

    def _charged(self, line: LineKey) -> Key:
        _, tenant, term, subject, price = line
        kind = ChargeKind.RESERVATION if term == Term.RESERVED else ChargeKind.GPU
        gpu_type, site_id = self._place
        return Key(
            project_id=TenantId(tenant),
            kind=kind,
            subject_id=subject,
            tag="",
            item=gpu_type,
            term=term,
            site_id=site_id,
            unit="GPU-hour",
            parts_per_unit=MS_PER_HOUR,
            price_micro_usd=price,
        )

    def _credits(self, month: str) -> Iterator[Draft]:
        """Entries of what lending brought each tenant in a month."""
        for key in sorted(key for key in self.rated if key[0] == month and key[2] == CREDIT):
            amount = rounded_micro_usd(self.rated[key])
            self.posted[key] = amount
            if amount:
                owed = receivable(OrganisationId(key[1]))
                postings = (Posting("Expenses:Sell-back", amount), Posting(owed, -amount))
                memo = f"lent by {key[1]} in {month}"
                yield Draft(f"credit/{month}/{key[1]}", last_day(month), memo, postings)

    def _advance(self, account: _Account, event: MeterEvent) -> None:
        account.meter, usages = advance(account.meter, event)
        for usage in self._tamper(usages):
            self.usage_count += 1
            month = month_of(self._start_s + usage.from_ms / 1000)
            price = usage.promise.price_micro_usd_per_gpu_hour
            if price:
                line = month, account.tenant_id, account.term.value, usage.cluster_id, price
                self.rated[line] += usage.rated
                self._gpu_ms.setdefault(month, Counter())[line] += usage.gpu_ms
            credit = account.credits.get(usage.node_id)
            if credit is not None:
                self.rated[month, credit[0], CREDIT, "", 0] += usage.gpu_ms * credit[1]

    def _write(self, now_ms: int, kind: str, details: str = "") -> None:
        self._log.add(now_ms / 1000, kind, details)
