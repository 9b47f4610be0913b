"""Spot: what is left of one kind of GPU, sold at one price for all, again and again.

Uniform price with a floor. Bids are taken in the order of what they would pay at most, and are
served whole or not at all, because half a cluster is none. The first that does not fit ends the
round: the price is what it would have paid. So nobody who lost would have paid more than the
price, and nobody who won pays more than their maximum; what stays unsold is the cost of that
promise. A bid for more than there could ever be is no loser but a mistake, and takes no part.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.errors import InputError


@dataclass(frozen=True, slots=True)
class SpotBid:
    """What one tenant would pay.

    Fields:
        bid_id: unique in the round.
        gpu_count: GPUs wanted, all or none, >= 1.
        price_micro_usd_per_gpu_hour_max: the most that is paid for one of them, >= 0.
        since_s: Unix seconds at which it was made; of equal bids the older one comes first.
    """

    bid_id: str
    gpu_count: int
    price_micro_usd_per_gpu_hour_max: int
    since_s: float


@dataclass(frozen=True, slots=True)
class SpotRound:
    """How a round ended.

    Fields:
        price_micro_usd_per_gpu_hour: what every winner pays.
        winners, losers: ids of bids, the best first.
        unsold_gpu_count: GPUs that nobody got.
    """

    price_micro_usd_per_gpu_hour: int
    winners: tuple[str, ...]
    losers: tuple[str, ...]
    unsold_gpu_count: int


def clear_spot(
    bids: Sequence[SpotBid], gpu_count: int, floor_micro_usd_per_gpu_hour: int
) -> SpotRound:
    """Sell ``gpu_count`` GPUs at one price, at least ``floor_micro_usd_per_gpu_hour``.

    Source: the uniform-price sealed-bid auction (Vickrey 1961, Journal of Finance 16, section IV)
    for indivisible bids, cut at the first that does not fit.

    Raises:
        InputError: a count or price is out of range, or two bids have one id.

    Example:
        >>> bids = [SpotBid("a", 8, 900_000, 0.0), SpotBid("b", 8, 700_000, 0.0)]
        >>> clear_spot(bids, 8, 100_000).price_micro_usd_per_gpu_hour
        700000
    """
    _check(bids, gpu_count, floor_micro_usd_per_gpu_hour)
    order = sorted(
        bids, key=lambda bid: (-bid.price_micro_usd_per_gpu_hour_max, bid.since_s, bid.bid_id)
    )
    left, price, is_open = gpu_count, floor_micro_usd_per_gpu_hour, True
    winners: list[str] = []
    losers: list[str] = []
    for bid in order:
        maximum = bid.price_micro_usd_per_gpu_hour_max
        if is_open and maximum >= price and bid.gpu_count <= left:
            winners.append(bid.bid_id)
            left -= bid.gpu_count
            continue
        losers.append(bid.bid_id)
        if is_open and bid.gpu_count <= gpu_count:
            is_open, price = False, max(price, maximum)
    return SpotRound(price, tuple(winners), tuple(losers), left)


def _check(bids: Sequence[SpotBid], gpu_count: int, floor: int) -> None:
    if gpu_count < 0 or floor < 0:
        raise InputError(
            f"a spot round sells {gpu_count} GPUs from {floor} micro-USD, wanted 0 or more of both"
        )
    if len({bid.bid_id for bid in bids}) < len(bids):
        raise InputError("two bids of a spot round have the same id")
    for bid in bids:
        if bid.gpu_count < 1 or bid.price_micro_usd_per_gpu_hour_max < 0:
            raise InputError(
                f"spot bid {bid.bid_id!r} wants {bid.gpu_count} GPUs for at most"
                f" {bid.price_micro_usd_per_gpu_hour_max} micro-USD, wanted one or more, at no"
                " negative price"
            )
