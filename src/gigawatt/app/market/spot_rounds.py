"""Rounds of spot: what is left is sold at one price at each place, to bids that wait."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from gigawatt.app.admission import Admission
from gigawatt.errors import (
    ConflictError,
    ImpossibleError,
    InputError,
    NoCapacityError,
    QuotaError,
    UnknownIdError,
)
from gigawatt.fleet.model import Fleet
from gigawatt.ids import SiteId, TenantId, WaitingId
from gigawatt.intent.prices import GpuPrice, PriceQuestion, Prices
from gigawatt.intent.queue import Why
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.interfaces.spot import SpotBook, SpotRoundRecord
from gigawatt.interfaces.store import OperationRecord
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.promises import Holder
from gigawatt.market.spot import SpotBid, SpotRound, clear_spot
from gigawatt.money import format_usd
from gigawatt.planner.snapshot import Snapshot

TRY_COUNT_MAX = 32
"""Bids of one place that are tried in a round, the best first. Ours."""

WHY_LENGTH_MAX = 1_000

Start = Callable[[WaitingRequest, ClusterRequest, Prices], OperationRecord | Why]
"""Launches what a bid has won, as this request at these prices; or says why not."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where GPUs stand for each other: one type at one site."""

    gpu_type: str
    site_id: SiteId


@dataclass(slots=True)
class RoundOutcome:
    """What comes of the rounds.

    Fields:
        start: launches a winner.
        left_count: winners that may still be launched now.
        reasons: why bids wait.
        started: bids that won and were launched.
    """

    start: Start
    left_count: int
    reasons: dict[WaitingId, Why] = field(default_factory=dict)
    started: set[WaitingId] = field(default_factory=set)


class SpotRounds:
    """Clears the rounds of all places, for one server that has the turn."""

    def __init__(self, admission: Admission, book: SpotBook) -> None:
        """Sell what an admission's control plane has left."""
        self._admission = admission
        self._control = admission.control
        self._book = book

    def serve(
        self,
        bids: Collection[WaitingRequest],
        start: Start,
        count_max: int,
    ) -> RoundOutcome:
        """Clear one round at each place.

        Args:
            bids: those that wait, in any order.
            start: launches a winner.
            count_max: winners that may be launched now.
        """
        outcome, wanted = RoundOutcome(start, count_max), self._wanted()
        for place in places_of(self._control.around.fleet):
            here = [
                bid
                for bid in bids
                if bid.waiting_id not in outcome.started and allows(bid.request, place)
            ]
            if here:
                self._clear(place, here, outcome, is_wanted=place in wanted)
        return outcome

    def _wanted(self) -> set[Place]:
        """Places at which others, who come first, wait for what is asked back."""
        fleet = self._control.around.fleet
        return {
            Place(fleet.node_type(row).gpu_type, SiteId(fleet.sites.ids[fleet.site_of_node[row]]))
            for notice in self._book.open_notices()
            if notice.cause == "waiting"
            for row in [fleet.node_index(min(notice.node_ids))]
        }

    def _clear(
        self, place: Place, bids: list[WaitingRequest], outcome: RoundOutcome, *, is_wanted: bool
    ) -> None:
        floor = self._floor(place)
        if floor is None:
            why = Why("room", f"nobody sells spot of {place.gpu_type} at {place.site_id}")
            outcome.reasons |= {bid.waiting_id: why for bid in bids}
            return
        view, _ = self._control.view_of_holder(_ANYBODY)
        offered = 0 if is_wanted else free_gpus(view, place)
        entrants = self._entrants(place, bids, (view, floor), outcome) if offered else []
        if not offered:
            first = "others come first" if is_wanted else "nothing is left"
            why = Why("room", f"{first} of {place.gpu_type} at {place.site_id}")
            outcome.reasons |= {bid.waiting_id: why for bid in bids}
        offers = [
            SpotBid(bid.waiting_id, bid.gpu_count, _most(bid.request), bid.since_s)
            for bid in entrants
        ]
        cleared = clear_spot(offers, offered, floor)
        sold = self._launch(place, {str(bid.waiting_id): bid for bid in entrants}, cleared, outcome)
        self._book.note_round(
            SpotRoundRecord(
                sequence=0,
                at_s=self._admission.now_s(),
                gpu_type=place.gpu_type,
                site_id=place.site_id,
                price_micro_usd_per_gpu_hour=cleared.price_micro_usd_per_gpu_hour,
                floor_micro_usd_per_gpu_hour=floor,
                offered_gpu_count=offered,
                sold_gpu_count=sold,
                bid_count=len(bids),
            )
        )

    def _floor(self, place: Place) -> int | None:
        """The rate card's price of spot at a place, None where it has none."""
        prices = self._control.ask_prices(
            PriceQuestion(TenantId(""), Term.SPOT, 1, None, self._admission.now_s())
        )
        found = prices.by_place.get((place.gpu_type, place.site_id))
        return None if found is None else found.price_micro_usd_per_gpu_hour

    def _entrants(
        self,
        place: Place,
        bids: list[WaitingRequest],
        ground: tuple[Snapshot, int],
        outcome: RoundOutcome,
    ) -> list[WaitingRequest]:
        """Bids that could be launched at the floor if nobody else bid; the others are told why not.

        A bid that cannot be placed must not make the price for those that can.
        """
        view, floor = ground
        best_first = sorted(bids, key=lambda bid: (-_most(bid.request), bid.since_s))
        found = []
        for bid in best_first[:TRY_COUNT_MAX]:
            why = self._why_not(bid, view, place, floor)
            if why is None:
                found.append(bid)
            else:
                outcome.reasons[bid.waiting_id] = why
        for bid in best_first[TRY_COUNT_MAX:]:
            outcome.reasons[bid.waiting_id] = Why("untried", "better bids were tried first")
        return found

    def _why_not(self, bid: WaitingRequest, view: Snapshot, place: Place, floor: int) -> Why | None:
        try:
            plan = self._control.plan_on(view, _at(bid.request, place), _prices(place, floor))
            self._admission.judge_limits(view, plan)
        except NoCapacityError as error:
            return Why("room", "; ".join(error.reasons or (str(error),))[:WHY_LENGTH_MAX])
        except ImpossibleError as error:
            if error.is_price:
                return Why("room", str(error)[:WHY_LENGTH_MAX])
            return None  # what cannot be is refused when it is launched
        except QuotaError as error:
            return Why("limit", str(error)[:WHY_LENGTH_MAX])
        except (InputError, ConflictError, UnknownIdError):
            return None
        return None

    def _launch(
        self,
        place: Place,
        entrants: Mapping[str, WaitingRequest],
        cleared: SpotRound,
        outcome: RoundOutcome,
    ) -> int:
        """Launch the winners at the price; GPUs sold."""
        price, sold = cleared.price_micro_usd_per_gpu_hour, 0
        for bid_id in cleared.winners:
            bid = entrants[bid_id]
            if outcome.left_count < 1:
                outcome.reasons[bid.waiting_id] = Why("untried", "its turn comes in a moment")
                continue
            request, prices = _at(bid.request, place), _prices(place, price)
            answer = outcome.start(bid, request, prices)
            if isinstance(answer, Why):
                outcome.reasons[bid.waiting_id] = answer
                continue
            outcome.left_count -= 1
            outcome.started.add(bid.waiting_id)
            outcome.reasons.pop(bid.waiting_id, None)
            sold += bid.gpu_count
        for bid_id in cleared.losers:
            outcome.reasons[entrants[bid_id].waiting_id] = _lost(entrants[bid_id], price)
        return sold


_ANYBODY = Holder(TenantId(""), Term.SPOT)


def _lost(bid: WaitingRequest, price_micro_usd: int) -> Why:
    most = _most(bid.request)
    dear, said = format_usd(price_micro_usd, digits=4), format_usd(most, digits=4)
    if most >= price_micro_usd:
        return Why("room", f"{bid.gpu_count:,} GPUs are more than a round at {dear} had left")
    return Why("room", f"the price of the round was {dear}, at most {said} was bid")


def _most(request: ClusterRequest) -> int:
    most = request.price_micro_usd_per_gpu_hour_max
    assert most is not None, "who wants spot says the most that they pay"
    return most


def _at(request: ClusterRequest, place: Place) -> ClusterRequest:
    return replace(request, gpu_type=place.gpu_type, site_ids=(place.site_id,))


def _prices(place: Place, price_micro_usd: int) -> Prices:
    return Prices(Term.SPOT, {(place.gpu_type, place.site_id): GpuPrice(price_micro_usd, "round")})


def free_gpus(view: Snapshot, place: Place) -> int:
    """GPUs that are free at a place."""
    fleet = view.fleet
    kinds = [row for row, kind in enumerate(fleet.node_types) if kind.gpu_type == place.gpu_type]
    there = np.isin(fleet.nodes.type, kinds)
    there &= fleet.site_of_node == fleet.sites.index_of[place.site_id]
    return int(np.bitwise_count(view.free_gpu_mask[there]).sum())


def places_of(fleet: Fleet) -> list[Place]:
    """Every type at every site, in one order."""
    there = set(zip(fleet.nodes.type.tolist(), fleet.site_of_node.tolist(), strict=True))
    found = {(fleet.node_types[kind].gpu_type, fleet.sites.ids[site]) for kind, site in there}
    return [Place(gpu_type, SiteId(site_id)) for gpu_type, site_id in sorted(found)]


def allows(request: ClusterRequest, place: Place) -> bool:
    """Whether a request may go to a place."""
    return request.gpu_type in {None, place.gpu_type} and (
        not request.site_ids or place.site_id in request.site_ids
    )
