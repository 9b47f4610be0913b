"""Offers: what GPUs would cost, in every way they can be had, the cheapest GPU-hour first.

What is on demand or spot is free now or is not; what is reserved can start when the calendar says.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gigawatt.app.admission import Admission
from gigawatt.app.line import outlook
from gigawatt.app.market.later import earliest_s, whole_nodes
from gigawatt.app.market.pricing import Pricing
from gigawatt.app.market.room import Room
from gigawatt.errors import ImpossibleError, InputError
from gigawatt.fleet.model import Fleet, NodeType
from gigawatt.fleet.slices import offered_sizes
from gigawatt.ids import SiteId, TenantId
from gigawatt.intent.prices import GpuPrice, PriceQuestion
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.reservation import LENGTH_S_MIN, MONTH_S, ReservationRequest
from gigawatt.intent.term import Term
from gigawatt.market.rates import RateCard
from gigawatt.placement.place import place
from gigawatt.placement.result import Placement
from gigawatt.planner.snapshot import Snapshot

ALTERNATIVES_MAX = 8
"""Other ways that are shown. Ours: what a person reads."""


@dataclass(frozen=True, slots=True)
class PriceWish:
    """What somebody would like to know the price of.

    Fields:
        gpu_count: GPUs, rounded up to whole nodes where no node type has so many.
        gpu_type, site_ids: None and empty for any.
        month_count: of a reservation; 0 for the shortest that the card has.
        spare_count: nodes held beside.
        duration_s: for how long, None where nobody said.
        from_s: the first start that is of use, Unix seconds; None for at once.
    """

    tenant_id: TenantId
    gpu_count: int
    gpu_type: str | None = None
    term: Term = Term.ON_DEMAND
    month_count: int = 0
    site_ids: tuple[SiteId, ...] = ()
    spare_count: int = 0
    duration_s: float | None = None
    from_s: float | None = None


@dataclass(frozen=True, slots=True)
class Offer:
    """One way to have GPUs.

    Fields:
        gpu_count: rounded, spares left out; spare_gpu_count: GPUs of the spares.
        month_count: of a reservation, else 0, also for one of so many hours.
        is_free_now: whether it fits now; None where nobody looked, or it is wanted later.
        starts_s: of what is reserved, the first moment at which it fits; None where none is known.
    """

    gpu_type: str
    term: Term
    site_id: SiteId
    gpu_count: int
    spare_gpu_count: int
    month_count: int
    price: GpuPrice
    is_free_now: bool | None = None
    starts_s: float | None = None

    @property
    def price_micro_usd_per_hour(self) -> int:
        """Of all GPUs, spares too."""
        gpu_count = self.gpu_count + self.spare_gpu_count
        return gpu_count * self.price.price_micro_usd_per_gpu_hour

    def total_micro_usd(self, duration_s: float) -> int:
        """For a time in seconds, or the months of the reservation if that is longer; rounded up."""
        duration_ms = max(round(duration_s * 1_000), self.month_count * MS_PER_MONTH)
        return -(-self.price_micro_usd_per_hour * duration_ms // MS_PER_HOUR)


MS_PER_HOUR = 3_600_000
MS_PER_MONTH = round(1000 * MONTH_S)
"""As a reservation counts them."""


@dataclass(frozen=True, slots=True)
class Offers:
    """What was asked for, the other ways, and when it may be had if it is not free now."""

    first: Offer
    others: tuple[Offer, ...]
    wait: str


def make_offers(admission: Admission, pricing: Pricing, wish: PriceWish, room: Room) -> Offers:
    """What a wish costs; the cheapest that can be had comes first, of what was asked for.

    Args:
        admission: what is held and who waits.
        pricing: the rate card.
        wish: what is asked.
        room: what can be promised when.

    Raises:
        ImpossibleError: there are no such GPUs, or nobody set a price for them.
    """
    now_s = admission.now_s()
    look = _Look(admission.control.snapshot(), room, wish)
    found = sorted(_all_offers(pricing, look, now_s), key=lambda offer: _order(offer, wish))
    asked = [offer for offer in found if _is_asked(offer, wish)]
    asked.sort(key=lambda offer: offer.month_count)
    if not asked:
        raise ImpossibleError(
            f"nobody sells {wish.gpu_count:,} {wish.gpu_type or 'GPUs'} {wish.term.value}"
            + (f" at {', '.join(wish.site_ids)}" if wish.site_ids else ""),
            next_step="See 'gw rate list' and 'gw fleet show' for what there is.",
            is_price=True,
        )
    looked = [look.at(offer) for offer in asked]
    first = next((offer for offer in looked if _can_be_had(offer)), looked[0])
    others = [o for o in found if replace(first, is_free_now=None, starts_s=None) != o]
    wait = _wait(admission, look.view, wish, first) if first.is_free_now is False else ""
    shown = [look.at(offer) for offer in others[:ALTERNATIVES_MAX]]
    return Offers(first, tuple(shown), wait)


def _can_be_had(offer: Offer) -> bool:
    return offer.is_free_now is not False or offer.starts_s is not None


def _order(offer: Offer, wish: PriceWish) -> tuple[int, int, int, str, str, str]:
    """What costs least for the time asked for, then the cheapest GPU-hour and the shortest bond."""
    return (
        0 if wish.duration_s is None else offer.total_micro_usd(wish.duration_s),
        offer.price.price_micro_usd_per_gpu_hour,
        offer.month_count,
        offer.gpu_type,
        offer.site_id,
        offer.term.value,
    )


def _is_asked(offer: Offer, wish: PriceWish) -> bool:
    return (
        offer.term is wish.term
        and wish.gpu_type in {None, offer.gpu_type}
        and (not wish.site_ids or offer.site_id in wish.site_ids)
        and (not wish.month_count or offer.month_count == wish.month_count)
    )


def _all_offers(pricing: Pricing, look: "_Look", now_s: float) -> Iterator[Offer]:
    """Every type, site, term and length that has a price; the cheapest of equals."""
    wish = look.wish
    asker = _Asker(pricing, {term: pricing.card(wish.tenant_id, term) for term in Term}, now_s)
    seen = set()
    for node_type, site_id in _sold(pricing.fleet):
        for term, month_count in _terms(asker.cards, wish):
            offer = asker.offer(wish, node_type, site_id, (term, month_count))
            if offer is None or (place_of := _place_of(offer)) in seen:
                continue
            seen.add(place_of)
            yield offer
            if term is Term.ON_DEMAND and look.wants_block(offer):
                block = asker.offer(wish, node_type, site_id, (Term.RESERVED, 0))
                if block is not None:
                    yield block


def _place_of(offer: Offer) -> tuple[object, ...]:
    return offer.gpu_type, offer.site_id, offer.term, offer.month_count, offer.gpu_count


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks the rate card what offers cost."""

    pricing: Pricing
    cards: dict[Term, RateCard]
    now_s: float

    def offer(
        self, wish: PriceWish, node_type: NodeType, site_id: SiteId, how: tuple[Term, int]
    ) -> Offer | None:
        """An offer of a term and months, None where nobody set a price.

        A reservation of hours costs what the same GPUs cost on demand, see ``quotes``.
        """
        term, month_count = how
        gpu_count = rounded(node_type, wish.gpu_count)
        if term is Term.RESERVED:
            gpu_count = whole_nodes(gpu_count, node_type.gpu_count)
        spare_gpu_count = wish.spare_count * min(gpu_count, node_type.gpu_count)
        # Who reserves pays for spares as for the others: all of them make its size.
        sized = gpu_count + (spare_gpu_count if term is Term.RESERVED else 0)
        priced = Term.ON_DEMAND if (term, month_count) == (Term.RESERVED, 0) else term
        question = PriceQuestion(wish.tenant_id, priced, sized, None, self.now_s)
        prices = self.pricing.prices(self.cards[priced], question, month_count)
        price = prices.of(node_type, site_id)
        if price is None:
            return None
        return Offer(
            node_type.gpu_type, term, site_id, gpu_count, spare_gpu_count, month_count, price
        )


def _sold(fleet: Fleet) -> list[tuple[NodeType, SiteId]]:
    """Node types and the sites that have them, the cheapest by list first."""
    there = set(zip(fleet.nodes.type.tolist(), fleet.site_of_node.tolist(), strict=True))
    found = [(fleet.node_types[row], SiteId(fleet.sites.ids[site])) for row, site in there]
    return sorted(found, key=lambda one: (one[0].price_micro_usd_per_gpu_hour, one[0].name, one[1]))


def _terms(cards: dict[Term, RateCard], wish: PriceWish) -> list[tuple[Term, int]]:
    """Terms, and lengths of reservations: those where the card changes, and the one asked for."""
    lengths = {rate.month_count_min for rate in cards[Term.RESERVED].rates}
    if wish.month_count:
        lengths |= {wish.month_count}
    return [(Term.ON_DEMAND, 0), (Term.SPOT, 0), *((Term.RESERVED, n) for n in sorted(lengths))]


def rounded(node_type: NodeType, gpu_count: int) -> int:
    """The least number of GPUs, at least ``gpu_count``, that nodes of a type can be given as."""
    sizes = [size for size in offered_sizes(node_type) if size >= gpu_count]
    if sizes:
        return min(sizes)
    return -(-gpu_count // node_type.gpu_count) * node_type.gpu_count


def _request(wish: PriceWish, offer: Offer) -> ClusterRequest:
    return ClusterRequest(
        tenant_id=wish.tenant_id,
        name="price",
        gpu_count=offer.gpu_count,
        gpu_type=offer.gpu_type,
        site_ids=(offer.site_id,),
        spare_count=wish.spare_count,
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Looks whether offers can be had, and when: what is held now, and what is promised later."""

    view: Snapshot
    room: Room
    wish: PriceWish

    def at(self, offer: Offer) -> Offer:
        """The offer, with whether it fits now, or when it could start."""
        if offer.term is Term.RESERVED:
            starts_s = earliest_s(self.room, self._reservation(offer))
            is_now = starts_s is not None and starts_s <= self.room.now_s
            return replace(offer, starts_s=starts_s, is_free_now=is_now or None)
        if self._is_for_later:
            return offer
        try:
            found = place(self.room.fleet, self.view.free_gpu_mask, _request(self.wish, offer))
        except InputError:
            return replace(offer, is_free_now=False)
        return replace(offer, is_free_now=isinstance(found, Placement))

    def wants_block(self, offer: Offer) -> bool:
        """Whether to offer the time asked for as a reservation too: on demand is of no use."""
        if self.wish.duration_s is None or self.wish.duration_s < LENGTH_S_MIN:
            return False
        is_asked = self.wish.term is Term.RESERVED or self._is_for_later
        return is_asked or not self.at(offer).is_free_now

    @property
    def _is_for_later(self) -> bool:
        return self.wish.from_s is not None and self.wish.from_s > self.room.now_s

    def _reservation(self, offer: Offer) -> ReservationRequest:
        length_s = max(offer.month_count * MONTH_S, self.wish.duration_s or 0.0)
        return ReservationRequest(
            tenant_id=self.wish.tenant_id,
            name="price",
            gpu_count=offer.gpu_count + offer.spare_gpu_count,
            gpu_type=offer.gpu_type,
            from_s=self.wish.from_s if self._is_for_later else None,
            length_s=length_s,
            site_ids=(offer.site_id,),
        )


def _wait(admission: Admission, view: Snapshot, wish: PriceWish, offer: Offer) -> str:
    """When it may be had: what the queue knows."""
    places = admission.places_of(_request(wish, offer))
    gpu_count = offer.gpu_count + offer.spare_gpu_count
    expected = outlook(admission, view, places, gpu_count)
    when = "" if expected.wait_s is None else f"about {expected.wait_s / 3_600:,.1f} h; "
    return f"{when}{expected.basis}"
