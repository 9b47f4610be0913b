"""What a price is: an offer as its source words it, and a quote that may enter an index.

An offer is kept as it was read, with its place and its source. A quote is an offer that passed
every guard of ``screening``: a positive integer price in micro-USD for one GPU for one hour, in one
cell. A cell is what is the same product over time; an index compares a cell only with itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from gigawatt.errors import InputError


class Term(StrEnum):
    """How long the buyer is bound; two terms never share an elementary index."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED_1M = "reserved_1m"
    RESERVED_3M = "reserved_3m"
    RESERVED_6M = "reserved_6m"
    RESERVED_1Y = "reserved_1y"
    RESERVED_2Y = "reserved_2y"
    RESERVED_3Y = "reserved_3y"
    RESERVED_5Y = "reserved_5y"


class PriceKind(StrEnum):
    """How the price is known: published, agreed in a deal, or billed and measured."""

    LIST = "list"
    TRANSACTION = "transaction"
    METERED = "metered"


class PriceBasis(StrEnum):
    """What the price buys for an hour.

    GPU: one GPU with its share of the node. NODE: the whole node. FROM: a teaser, "from $X".
    COMPONENT: the GPU alone, its CPU and memory billed apart.
    """

    GPU = "gpu"
    NODE = "node"
    FROM = "from"
    COMPONENT = "component"


@dataclass(frozen=True, slots=True, order=True)
class Gpu:
    """A GPU as a product: the same chip with other memory or form factor is another product.

    Fields: name such as "H100"; form_factor such as "SXM", "PCIe" or "" if its source does not say;
    memory_gbyte, 10**9 bytes, 0 if its source does not say.
    """

    name: str
    form_factor: str = ""
    memory_gbyte: int = 0

    @property
    def label(self) -> str:
        """Readable name, e.g. "H100-SXM-80GB"."""
        memory = f"{self.memory_gbyte}GB" if self.memory_gbyte else ""
        return "-".join(part for part in (self.name, self.form_factor, memory) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One price as its source words it.

    Fields:
        place: where it was read, e.g. "panel.csv line 7"; complaints name it.
        day: the day the price was valid.
        provider, region, sku: seller; region class such as "na"; product name, "" if there is one.
        gpu, term: what is sold and for how long.
        gpu_count: GPUs of the node, None if unknown; below 1 is a share of a GPU.
        price_micro: micro-units of ``currency`` per hour for what ``basis`` says; None if its
            source publishes none, which is not the same as 0.
        currency: ISO 4217 code, recorded by the source, never assumed.
        quantity_gpu_hours: GPU-hours sold at this price, None if secret.
        source, retrieved: who published it, and on which day it was read.
    """

    place: str
    day: date
    provider: str
    gpu: Gpu
    term: Term
    price_micro: int | None
    currency: str
    source: str
    retrieved: date
    region: str = ""
    sku: str = ""
    gpu_count: float | None = None
    basis: PriceBasis = PriceBasis.GPU
    kind: PriceKind = PriceKind.LIST
    quantity_gpu_hours: float | None = None

    @property
    def name(self) -> str:
        """Place, seller, product, term and day, for complaints."""
        return f"{self.place} ({self.provider} {self.gpu.label} {self.term} {self.day})"


@dataclass(frozen=True, slots=True, order=True)
class Series:
    """What one sub-index is about: a list price is no transaction, and spot is no contract."""

    gpu: Gpu
    term: Term
    kind: PriceKind

    @property
    def label(self) -> str:
        """Readable name, e.g. "H100-SXM-80GB on_demand list"."""
        return f"{self.gpu.label} {self.term.value} {self.kind.value}"


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """The same product over time: what is compared only with itself.

    Fields: as in ``Offer``; node_gpu_count is 0 if unknown.
    """

    gpu: Gpu
    term: Term
    provider: str
    region: str
    node_gpu_count: int
    sku: str
    kind: PriceKind

    @property
    def series(self) -> Series:
        """The sub-index that the cell belongs to."""
        return Series(self.gpu, self.term, self.kind)

    @property
    def label(self) -> str:
        """Readable name, e.g. "acme H100-SXM-80GB on_demand us 8x"."""
        node = f"{self.node_gpu_count}x" if self.node_gpu_count else ""
        parts = (self.provider, self.gpu.label, self.term.value, self.region, node, self.sku)
        return " ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Quote:
    """One price that may enter an index.

    Fields: cell, day; price_micro_usd_per_gpu_hour > 0; quantity_gpu_hours > 0 or None; offer is
    what the source said, the provenance.
    """

    cell: Cell
    day: date
    price_micro_usd_per_gpu_hour: int
    quantity_gpu_hours: float | None
    offer: Offer

    @property
    def month(self) -> str:
        """Calendar month of the price, "YYYY-MM"."""
        return f"{self.day:%Y-%m}"


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Own sales of one product on one day: what was metered and billed.

    Fields: day; seller is our own name; gpu, term; gpu_hours > 0; amount_micro_usd billed for them;
    region class, "" if there is one.
    """

    day: date
    seller: str
    gpu: Gpu
    term: Term
    gpu_hours: float
    amount_micro_usd: int
    region: str = ""


def offers_of_usage(rows: Sequence[UsageRow], source: str) -> tuple[Offer, ...]:
    """Metered offers of own usage: billed amount over GPU-hours, with the hours as quantity.

    Args:
        rows: usage; at most one row per day, seller, GPU, term and region.
        source: name of the ledger.

    Raises:
        InputError: hours are not positive.
    """
    offers = []
    for number, row in enumerate(rows, 1):
        place = f"{source} row {number}"
        if not row.gpu_hours > 0:
            raise InputError(f"{place}: {row.gpu_hours} GPU-hours, wanted more than 0")
        offers.append(
            Offer(
                place=place,
                day=row.day,
                provider=row.seller,
                gpu=row.gpu,
                term=row.term,
                price_micro=round(row.amount_micro_usd / row.gpu_hours),
                currency="USD",
                source=source,
                retrieved=row.day,
                region=row.region,
                kind=PriceKind.METERED,
                quantity_gpu_hours=row.gpu_hours,
            )
        )
    return tuple(offers)
