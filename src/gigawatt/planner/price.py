"""What a request's GPUs may cost: the nodes it can afford, the price its members are bound to.

A price belongs to the member for as long as it stays, so what the rate card says later changes
nothing that was promised (ADR-0041).
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gigawatt.boundary.target import Member
from gigawatt.errors import ImpossibleError
from gigawatt.fleet.model import U16, Fleet
from gigawatt.intent.prices import GpuPrice, Prices
from gigawatt.intent.request import ClusterRequest
from gigawatt.intent.term import Term
from gigawatt.money import format_usd

Kind = tuple[int, int]
"""Row of a node type, row of a site."""


def bound_price(fleet: Fleet, member: Member) -> int:
    """Micro-USD per GPU-hour that a member costs; the list price if none was bound yet."""
    if member.price_micro_usd_per_gpu_hour is not None:
        return member.price_micro_usd_per_gpu_hour
    return fleet.node_type(fleet.node_index(member.node_id)).price_micro_usd_per_gpu_hour


def price_of(fleet: Fleet, members: Sequence[Member]) -> int:
    """What members cost together, spares included, in micro-USD per hour."""
    return sum(member.gpu_mask.bit_count() * bound_price(fleet, member) for member in members)


def priced(fleet: Fleet, prices: Prices, members: Sequence[Member]) -> tuple[Member, ...]:
    """Members that are bound to what their nodes cost now."""
    bound = []
    for member in members:
        found = prices.of_node(fleet, fleet.node_index(member.node_id))
        assert found is not None, f"only what has a price is chosen, not {member.node_id}"
        price = found.price_micro_usd_per_gpu_hour
        bound.append(replace(member, term=prices.term, price_micro_usd_per_gpu_hour=price))
    return tuple(bound)


def affordable(fleet: Fleet, free_gpu_mask: U16, request: ClusterRequest, prices: Prices) -> U16:
    """uint16[N]: free GPUs of nodes that have a price, and none above what the request allows.

    Raises:
        ImpossibleError: none of the nodes that the request allows has such a price.
    """
    most = request.price_micro_usd_per_gpu_hour_max
    if most is None and prices.term is Term.ON_DEMAND:
        return free_gpu_mask
    wanted, good = _kinds(fleet, request, prices), np.zeros(len(fleet.nodes), np.bool_)
    if not wanted:
        # No such nodes at all: placement says which there are.
        return free_gpu_mask
    for (type_row, site), found in wanted.items():
        if found is not None and (most is None or found.price_micro_usd_per_gpu_hour <= most):
            good |= (fleet.nodes.type == type_row) & (fleet.site_of_node == site)
    if not good.any():
        raise _too_dear(fleet, request, wanted)
    return np.where(good, free_gpu_mask, 0).astype(np.uint16)


def _kinds(fleet: Fleet, request: ClusterRequest, prices: Prices) -> dict[Kind, GpuPrice | None]:
    """Price by node type and site, of those that the request allows."""
    there = set(zip(fleet.nodes.type.tolist(), fleet.site_of_node.tolist(), strict=True))
    found = {}
    for type_row, site in sorted(there):
        node_type, site_id = fleet.node_types[type_row], fleet.sites.ids[site]
        is_wanted = (
            request.gpu_type in {None, node_type.gpu_type}
            and (not request.site_ids or site_id in request.site_ids)
            and (not request.countries or fleet.sites.country[site] in request.countries)
        )
        if is_wanted:
            found[type_row, site] = prices.of(node_type, site_id)
    return found


def _too_dear(
    fleet: Fleet, request: ClusterRequest, wanted: dict[Kind, GpuPrice | None]
) -> ImpossibleError:
    known = {kind: price for kind, price in wanted.items() if price is not None}
    if not known:
        names = ", ".join(sorted({fleet.node_types[row].gpu_type for row, _ in wanted}))
        return ImpossibleError(
            f"nobody set a price for {names} {request.term.value} where {request.name!r} may be",
            next_step="See the rate card with 'gw rate list', or ask for another term.",
            is_price=True,
        )
    least = min(known, key=lambda kind: (known[kind].price_micro_usd_per_gpu_hour, kind))
    price = known[least].price_micro_usd_per_gpu_hour
    most = request.price_micro_usd_per_gpu_hour_max or 0
    return ImpossibleError(
        f"the cheapest GPUs that could serve {request.name!r} cost {format_usd(price, digits=4)}"
        f" a GPU-hour ({fleet.node_types[least[0]].gpu_type} at {fleet.sites.ids[least[1]]}),"
        f" at most {format_usd(most, digits=4)} was said",
        next_step="Say a higher price, or leave it out.",
        is_price=True,
    )
