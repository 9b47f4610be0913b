"""Other ways to serve a request that was placed, each found by the same search."""

from collections.abc import Iterator
from dataclasses import replace

from gigawatt.errors import InputError
from gigawatt.ids import SiteId
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.money import format_usd
from gigawatt.placement.explain import WORDS, counted
from gigawatt.placement.result import Alternative, Placement
from gigawatt.placement.shape import shapes
from gigawatt.placement.solve import solve
from gigawatt.placement.whole import Ask, most_nodes

ALTERNATIVES_MAX = 4


def _other_requests(ask: Ask, placed: Placement) -> Iterator[tuple[str, ClusterRequest]]:
    """The same on another GPU type, and at another site."""
    fleet, request = ask.fleet, ask.request
    for gpu_type in sorted({node_type.gpu_type for node_type in fleet.node_types}):
        if gpu_type != placed.gpu_type:
            yield f"on {gpu_type}", replace(request, gpu_type=gpu_type)
    here = fleet.sites.ids[int(fleet.fabrics.site[placed.fabric])]
    for site_id in fleet.sites.ids:
        if site_id != here and (not request.site_ids or site_id in request.site_ids):
            wanted = replace(request, gpu_type=placed.gpu_type, site_ids=(SiteId(site_id),))
            yield f"at {site_id}", wanted


def _tighter(ask: Ask, placed: Placement) -> Iterator[tuple[str, ClusterRequest]]:
    """Fewer GPUs, all in one group of a level that the placement spans several of."""
    request = replace(ask.request, gpu_type=placed.gpu_type)
    shape = shapes(ask.fleet, request, ask.prices)[0]
    counts = (
        (Level.POD, placed.spread.pod_count),
        (Level.LEAF_GROUP, placed.spread.leaf_group_count),
    )
    for level, count in counts:
        if count < 2 or shape.slice_gpu_count:
            continue
        narrow = replace(request, keep_together=level)
        nodes = most_nodes(ask.asking(narrow), shape)
        gpus = nodes * ask.fleet.node_types[shape.type_index].gpu_count
        if gpus:
            yield f"in one {WORDS[level]}", replace(narrow, gpu_count=gpus)


def alternatives(ask: Ask, placed: Placement) -> tuple[Alternative, ...]:
    """Other ways to serve the request, cheapest first, at most ``ALTERNATIVES_MAX``."""
    found: list[Alternative] = []
    for how, request in (*_other_requests(ask, placed), *_tighter(ask, placed)):
        try:
            other = solve(ask.asking(request))
        except InputError:
            continue
        if other is None:
            continue
        price = format_usd(other.price_micro_usd_per_hour)
        groups = counted(other.spread.leaf_group_count, "leaf group")
        found.append(
            Alternative(
                sentence=(
                    f"{counted(request.gpu_count, other.gpu_type + ' GPU')} {how}: {groups} in "
                    f"{counted(other.spread.pod_count, 'pod')}, {price} an hour"
                ),
                gpu_type=other.gpu_type,
                site_id=ask.fleet.sites.ids[int(ask.fleet.fabrics.site[other.fabric])],
                spread=other.spread,
                price_micro_usd_per_hour=other.price_micro_usd_per_hour,
            )
        )
    cheapest = sorted(found, key=lambda way: (way.price_micro_usd_per_hour, way.sentence))
    return tuple(cheapest[:ALTERNATIVES_MAX])
