"""What GPU-hours cost for one request: a value for planner and checker, and its question.

The planner looks nothing up. Who keeps the rate card answers a ``PriceQuestion`` with ``Prices``,
and what a plan was made from is bound with its members (ADR-0041).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from gigawatt.fleet.model import Fleet, NodeType
from gigawatt.ids import ReservationId, TenantId
from gigawatt.intent.term import Term

PriceBasis = Literal["list", "card", "negotiated", "reservation", "round"]
"""Where a price is from: the fleet's list, a public row of the rate card, a row for the customer's
organisation, a reservation that was paid for already, or a round of spot."""


@dataclass(frozen=True, slots=True)
class GpuPrice:
    """What a GPU-hour costs, in micro-USD, and where that is from."""

    price_micro_usd_per_gpu_hour: int
    basis: PriceBasis


@dataclass(frozen=True, slots=True)
class Prices:
    """What GPU-hours cost for one request.

    Fields:
        term: what the prices are for.
        by_place: by GPU type and site. What is missing costs the list price of its node type if
            the term is on demand, and cannot be had otherwise.
        fewer: where size matters, steps up to the size asked for: from how many GPUs on each
            costs how many micro-USD an hour, ascending.
    """

    term: Term = Term.ON_DEMAND
    by_place: Mapping[tuple[str, str], GpuPrice] = field(default_factory=dict)
    fewer: Mapping[tuple[str, str], tuple[tuple[int, int], ...]] = field(default_factory=dict)

    def of(self, node_type: NodeType, site_id: str) -> GpuPrice | None:
        """What a GPU-hour on a node type at a site costs; None where nobody set a price."""
        found = self.by_place.get((node_type.gpu_type, site_id))
        if found is None and self.term is Term.ON_DEMAND:
            return GpuPrice(node_type.price_micro_usd_per_gpu_hour, "list")
        return found

    def amount(self, node_type: NodeType, site_id: str, gpu_count: int | None = None) -> int:
        """Micro-USD per GPU-hour, by list where nobody set a price: to compare, not to bind.

        Of so many GPUs, if they are fewer than was asked for.
        """
        steps = self.fewer.get((node_type.gpu_type, site_id), ())
        if gpu_count is not None and steps and gpu_count < steps[-1][0]:
            return [price for least, price in steps if least <= gpu_count][-1]
        found = self.of(node_type, site_id)
        if found is None:
            return node_type.price_micro_usd_per_gpu_hour
        return found.price_micro_usd_per_gpu_hour

    def of_node(self, fleet: Fleet, row: int) -> GpuPrice | None:
        """What a GPU-hour on a node costs; None where nobody set a price."""
        return self.of(fleet.node_type(row), fleet.sites.ids[int(fleet.site_of_node[row])])


LIST_PRICES = Prices()
"""On demand, at the list prices of the fleet."""


@dataclass(frozen=True, slots=True)
class PriceQuestion:
    """For whom, how and when somebody wants GPUs.

    Fields:
        gpu_count: GPUs that the cluster would have, spares left out: volume prices go by it.
        reservation_id: what shall cover them, if they are reserved.
        at_s: Unix seconds.
    """

    tenant_id: TenantId
    term: Term
    gpu_count: int
    reservation_id: ReservationId | None
    at_s: float


AskPrices = Callable[[PriceQuestion], Prices]
"""Who keeps prices; it may read a store, so it is called outside of the core."""


def list_prices(question: PriceQuestion) -> Prices:
    """What is asked where nobody keeps a rate card: list prices on demand, and nothing else."""
    return Prices(question.term)
