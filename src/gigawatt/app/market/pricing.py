"""What GPUs cost whom: the rate card, asked for a project.

Where the card has no row, on demand costs the fleet's list price, and no other term is sold.
"""

from dataclasses import dataclass, replace

from gigawatt.errors import UnknownIdError
from gigawatt.fleet.model import Fleet
from gigawatt.identity.accounts import OrganisationId
from gigawatt.ids import SiteId, TenantId
from gigawatt.intent.prices import GpuPrice, PriceBasis, PriceQuestion, Prices
from gigawatt.intent.term import Term
from gigawatt.interfaces.directory import Directory
from gigawatt.interfaces.rates import RateBook
from gigawatt.market.rates import RateCard, RateQuestion


@dataclass(frozen=True, slots=True)
class Pricing:
    """Prices of one fleet, from a book of rates, for projects of a directory."""

    fleet: Fleet
    book: RateBook
    directory: Directory

    def ask(self, question: PriceQuestion) -> Prices:
        """What GPUs cost a project: an ``AskPrices``."""
        if question.term is Term.RESERVED:
            # What was reserved is paid for by its reservation, which says what it covers.
            return Prices(question.term)
        return self.prices(self.card(question.tenant_id, question.term), question)

    def for_months(self, question: PriceQuestion, month_count: int) -> Prices:
        """What GPUs cost a project that reserves them for so many months."""
        card = self.card(question.tenant_id, Term.RESERVED)
        return self.prices(card, replace(question, term=Term.RESERVED), month_count)

    def card(self, tenant_id: TenantId, term: Term) -> RateCard:
        """Every row of a term that a project may be charged by."""
        return RateCard(self.book.rates(self._owner_of(tenant_id), term))

    def prices(self, card: RateCard, question: PriceQuestion, month_count: int = 0) -> Prices:
        """What a card from ``card`` says at every site, for so many months if they are reserved."""
        found: dict[tuple[str, str], GpuPrice] = {}
        fewer: dict[tuple[str, str], tuple[tuple[int, int], ...]] = {}
        owner = self._owner_of(question.tenant_id) if card.rates else None
        sizes = sorted({1, *(rate.gpu_count_min for rate in card.rates)})
        reached = [size for size in sizes if size <= question.gpu_count] or [question.gpu_count]
        places = ((t, s) for t in self._gpu_types() for s in self.fleet.sites.ids if card.rates)
        for gpu_type, site_id in places:
            asked = RateQuestion(
                gpu_type=gpu_type,
                term=question.term,
                site_id=SiteId(site_id),
                organisation_id=owner,
                gpu_count=question.gpu_count,
                month_count=month_count,
                at_s=question.at_s,
            )
            rate = card.find(asked)
            if rate is None:
                continue
            basis: PriceBasis = "card" if rate.organisation_id is None else "negotiated"
            found[gpu_type, site_id] = GpuPrice(rate.price_micro_usd_per_gpu_hour, basis)
            smaller = [(size, card.find(replace(asked, gpu_count=size))) for size in reached]
            fewer[gpu_type, site_id] = tuple(
                (size, self._listed(gpu_type) if r is None else r.price_micro_usd_per_gpu_hour)
                for size, r in smaller
            )
        return Prices(question.term, found, fewer)

    def _gpu_types(self) -> list[str]:
        return sorted({node_type.gpu_type for node_type in self.fleet.node_types})

    def _listed(self, gpu_type: str) -> int:
        """Highest list price of a type: what a size costs that the card begins above."""
        return max(
            node_type.price_micro_usd_per_gpu_hour
            for node_type in self.fleet.node_types
            if node_type.gpu_type == gpu_type
        )

    def _owner_of(self, tenant_id: TenantId) -> OrganisationId | None:
        """Whose a project is; None for one that only the command line knows."""
        try:
            return self.directory.project(tenant_id).organisation_id
        except UnknownIdError:
            return None
