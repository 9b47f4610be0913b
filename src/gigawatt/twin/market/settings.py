"""How a market is run in the twin: who asks for what, what it costs, and the policy."""

from dataclasses import dataclass, field, replace

from gigawatt.errors import InputError, UnknownIdError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import SiteId
from gigawatt.intent.term import Term
from gigawatt.market.order import ORDER, Order
from gigawatt.market.rates import Rate, RateCard, RateQuestion
from gigawatt.twin.failures import FailureRates
from gigawatt.units import DAY_S, HOUR_S, MINUTE_S


@dataclass(frozen=True, slots=True)
class MarketPolicy:
    """What is sold, and who goes first.

    Fields:
        sells_reserved: demand for reserved capacity gets it; else it comes on demand.
        sells_spot: what is free is sold by spot rounds; else demand for spot is turned away.
        is_lending: reserved nodes that nobody uses are sold by spot, and their tenant is credited.
        patience_s: how long the front of a line may be passed by what fits; 0 is first come, first
            served.
        is_packing: clusters are packed tightly; else spread over the emptiest leaf groups.
    """

    name: str
    sells_reserved: bool = False
    sells_spot: bool = False
    is_lending: bool = False
    patience_s: float = 0.0
    is_packing: bool = True


_ON_DEMAND = MarketPolicy("on_demand")
_SPOT_FILL = replace(_ON_DEMAND, name="spot_fill", sells_spot=True)
_BACKFILL = replace(_SPOT_FILL, name="backfill_spot", patience_s=6.0 * HOUR_S)
_RESERVED = replace(_BACKFILL, name="reserved_spot", sells_reserved=True)
POLICIES = (
    _ON_DEMAND,
    _SPOT_FILL,
    _BACKFILL,
    replace(_BACKFILL, name="spread_spot", is_packing=False),
    _RESERVED,
    replace(_RESERVED, name="sell_back", is_lending=True),
)
"""Policies that are compared; each differs from one before it in one thing."""


def policy_of(name: str) -> MarketPolicy:
    """A policy by its name.

    Raises:
        UnknownIdError: there is none of this name.
    """
    for policy in POLICIES:
        if policy.name == name:
            return policy
    raise UnknownIdError(
        f"no policy {name!r}", next_step=f"Policies are {', '.join(p.name for p in POLICIES)}."
    )


@dataclass(frozen=True, slots=True)
class MarketMix:
    """Who asks. All illustrative: traces say nothing about contracts.

    Fields:
        reserved_share, spot_share: of all jobs, 0 to 1; the rest is asked for on demand.
        tenant_count, reserved_tenant_count: tenants who do not reserve, and who do.
        cover_ratio: reserved GPUs over the mean that the tenant will use in the term, > 0.
        bid_ratio_min, bid_ratio_max: most that a job pays for spot, over the list price; even.
    """

    reserved_share: float = 0.3
    spot_share: float = 0.3
    tenant_count: int = 12
    reserved_tenant_count: int = 4
    cover_ratio: float = 1.3
    bid_ratio_min: float = 0.3
    bid_ratio_max: float = 0.9

    def __post_init__(self) -> None:
        """Refuse what is no mix.

        Raises:
            InputError: a field is out of range.
        """
        shares = (self.reserved_share, self.spot_share, 1.0 - self.reserved_share - self.spot_share)
        if not all(-1e-9 <= share <= 1.0 for share in shares):
            raise InputError(f"shares of demand are {shares}, wanted each 0 to 1")
        if self.tenant_count < 1 or self.reserved_tenant_count < 1 or not self.cover_ratio > 0:
            raise InputError("a mix needs a tenant of each kind, and a cover_ratio above 0")
        if not 0 <= self.bid_ratio_min <= self.bid_ratio_max:
            raise InputError("bids go from bid_ratio_min to bid_ratio_max, which is not below")


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """Inputs of a market replay beside fleet and jobs. Illustrative where no source is named.

    Fields:
        seed: of all chance.
        policy, mix, rates: what is sold how, who asks, what breaks.
        order: of classes: who is served first, and for whom spot gives way.
        reserved_ratio: price of reserved capacity over the list price. Source: headline ratio of a
            one-year AWS savings plan, 0.60.
        floor_ratio: least price of spot over the list price.
        credit_percent: of what spot brings on lent nodes, for the tenant who lends, 0 to 100.
        term_s: length of a reservation; it is renewed at its end.
        launch_s: from commit to hand-over; clean_s: from the end to free nodes.
        notice_s: from being told to being stopped, for spot.
        checkpoint_s: work is kept up to its last whole multiple.
        restart_s: of a job that was interrupted.
        round_s: from one spot round to the next.
        bid_patience_s: how long a bid waits before its tenant goes elsewhere.
        overflow_s: how long a job waits for its tenant's reservation before it is asked for on
            demand.
    """

    seed: int = 7
    policy: MarketPolicy = POLICIES[-1]
    order: Order = ORDER
    mix: MarketMix = field(default_factory=MarketMix)
    rates: FailureRates = field(default_factory=FailureRates)
    reserved_ratio: float = 0.6
    floor_ratio: float = 0.25
    credit_percent: int = 70
    term_s: float = 28.0 * DAY_S
    launch_s: float = 5.0 * MINUTE_S
    clean_s: float = 10.0 * MINUTE_S
    notice_s: float = 2.0 * MINUTE_S
    checkpoint_s: float = 1.0 * HOUR_S
    restart_s: float = 5.0 * MINUTE_S
    round_s: float = 15.0 * MINUTE_S
    bid_patience_s: float = 24.0 * HOUR_S
    overflow_s: float = 1.0 * HOUR_S


@dataclass(frozen=True, slots=True)
class MarketPrices:
    """Micro-USD per GPU-hour: list price, that of a reservation, and the least of spot."""

    on_demand: int
    reserved: int
    spot_floor: int


def prices_of(fleet: Fleet, settings: MarketSettings, at_s: float) -> MarketPrices:
    """Prices of a fleet of one type, asked of a rate card made from its list price.

    Raises:
        InputError: the fleet has several types or fabrics.
    """
    if len(fleet.node_types) != 1 or len(fleet.fabrics) != 1 or len(fleet.sites) != 1:
        raise InputError(
            f"fleet {fleet.name!r} has several types, fabrics or sites, wanted one of each"
        )
    node_type, site_id = fleet.node_types[0], SiteId(fleet.sites.ids[0])
    list_micro_usd = node_type.price_micro_usd_per_gpu_hour
    ratios = {
        Term.ON_DEMAND: 1.0,
        Term.RESERVED: settings.reserved_ratio,
        Term.SPOT: settings.floor_ratio,
    }
    card = RateCard(
        Rate(
            node_type.gpu_type,
            term,
            round(list_micro_usd * ratio),
            at_s,
            month_count_min=int(term is Term.RESERVED),
        )
        for term, ratio in ratios.items()
    )

    def price_micro_usd(term: Term) -> int:
        question = RateQuestion(
            node_type.gpu_type, term, site_id, None, 1, int(term is Term.RESERVED), at_s
        )
        return card.rate(question).price_micro_usd_per_gpu_hour

    return MarketPrices(
        price_micro_usd(Term.ON_DEMAND), price_micro_usd(Term.RESERVED), price_micro_usd(Term.SPOT)
    )
