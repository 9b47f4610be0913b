"""Where a request goes, or why it does not fit: the entry of the room.

Order of wishes: the cheapest GPU type on which it fits when none is named; then the fabric that
``near`` uses; then, exactly, fewest new pods, leaf groups and NVLink domains; then least
fragmentation; then the lowest rows. The answer is a function of the arguments alone.
"""

from collections.abc import Sequence
from dataclasses import replace

from gigawatt.fleet.model import U16, Fleet
from gigawatt.intent.prices import LIST_PRICES, Prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.placement.alternatives import alternatives
from gigawatt.placement.refuse import refuse
from gigawatt.placement.result import Placement, Refusal
from gigawatt.placement.solve import make_ask, solve


def place(
    fleet: Fleet,
    free_gpu_mask: U16,
    request: ClusterRequest,
    near: Sequence[int] = (),
    prices: Prices = LIST_PRICES,
) -> Placement | Refusal:
    """Where the request goes, or why it does not fit; pure and deterministic.

    Args:
        fleet: what exists.
        free_gpu_mask: uint16[N], free GPUs of each node; 0 when the node is unusable.
        request: what is wanted. Caps and ``keep_together`` bind members and spares together.
        near: node rows of an existing cluster whose groups cost nothing to use again. Caps and
            ``keep_together`` do not count these nodes.
        prices: what GPUs cost, for which of them is the cheapest.

    Returns:
        a placement without alternatives (see ``place_with_alternatives``), or a refusal.

    Raises:
        InputError: the request is wrong whatever is free.
        UnknownIdError: a site or an excluded node is not in the fleet.
    """
    ask = make_ask(fleet, free_gpu_mask, request, near, prices)
    return solve(ask) or refuse(ask)


def place_with_alternatives(
    fleet: Fleet,
    free_gpu_mask: U16,
    request: ClusterRequest,
    near: Sequence[int] = (),
    prices: Prices = LIST_PRICES,
) -> Placement | Refusal:
    """``place`` with other ways to serve the request, for a person to choose from; slower.

    Args:
        fleet: as for ``place``.
        free_gpu_mask: as for ``place``.
        request: as for ``place``.
        near: as for ``place``.
        prices: as for ``place``.

    Raises:
        InputError: the request is wrong whatever is free.
        UnknownIdError: a site or an excluded node is not in the fleet.
    """
    ask = make_ask(fleet, free_gpu_mask, request, near, prices)
    placed = solve(ask)
    if placed is None:
        return refuse(ask)
    return replace(placed, alternatives=alternatives(ask, placed))
