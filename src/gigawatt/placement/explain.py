"""Why here, and why not: sentences with the numbers and the names behind them."""

from collections.abc import Iterator

import numpy as np

from gigawatt.fleet.model import I64
from gigawatt.intent.request import Level
from gigawatt.money import format_usd
from gigawatt.placement.shape import Shape
from gigawatt.placement.supply import NO_CAP, Supply, count_supply
from gigawatt.placement.whole import Ask, Found, free_nodes, pod_ranks, unit_shapes

WORDS = {
    Level.NODE: "node",
    Level.NVLINK_DOMAIN: "NVLink domain",
    Level.LEAF_GROUP: "leaf group",
    Level.POD: "pod",
    Level.FABRIC: "fabric",
}


def counted(count: int, noun: str) -> str:
    """A count with its noun, e.g. ``1 pod``, ``1,250 nodes``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def why_here(ask: Ask, found: Found) -> tuple[str, ...]:
    """Reasons for a choice of whole nodes, widest level first."""
    shape, choice = found.supply.shape, found.choice
    unit = shape.unit_node_count
    wanted = shape.node_count
    pods, leaves, domains = choice.cost
    kind = "new " if ask.near.pod.any() else ""
    reasons = []
    if pods > 1 or (pods and kind):
        most = choice.most_with_fewer[0] * unit
        reasons.append(
            f"{counted(pods, kind + 'pod')}: with one less, {most:,} of {wanted:,} nodes fit"
        )
    if leaves > 1 or (leaves and kind):
        most = choice.most_with_fewer[1] * unit
        reasons.append(
            f"{counted(leaves, kind + 'leaf group')}: with one less in as many pods, "
            f"at most {most:,} of {wanted:,} nodes fit"
        )
    if domains > 1:
        reasons.append(
            f"{counted(domains, kind + 'NVLink domain')}: the fewest in as many pods and groups"
        )
    if not (pods or leaves) and kind:
        reasons.append("it fits in the leaf groups that the near cluster already uses")
    elif not reasons:
        reasons.append("it fits in one leaf group")
    return tuple(reasons)


def why_type(ask: Ask, shape: Shape, site_id: str) -> tuple[str, ...]:
    """Reason for the type that is taken at a site, when the request left it open."""
    is_only = len({node_type.gpu_type for node_type in ask.fleet.node_types}) == 1
    if ask.request.gpu_type is not None or is_only:
        return ()
    node_type = ask.fleet.node_types[shape.type_index]
    price = format_usd(ask.prices.amount(node_type, site_id))
    return (f"{node_type.gpu_type} at {price} a GPU-hour is the cheapest type on which it fits",)


def _best(level: Level, ids: tuple[str, ...], ranks: I64, wanted: int) -> str:
    """One sentence about the fullest group of a level."""
    best = int(np.argmax(ranks))
    noun = WORDS[level]
    return (
        f"{noun}: no {noun} has room for {counted(wanted, 'node')}, "
        f"the best has {int(ranks[best]):,} ({ids[best]})"
    )


def _ranks(ask: Ask, supply: Supply) -> Iterator[tuple[Level, tuple[str, ...], I64]]:
    """Levels from the widest down to the one asked for, with the room of each group in nodes."""
    fleet = ask.fleet
    pods = pod_ranks(ask, supply.leaf_nodes)
    fabrics = np.bincount(fleet.pods.fabric, pods, len(fleet.fabrics)).astype(np.int64)
    yield Level.FABRIC, fleet.fabrics.ids, fabrics
    if ask.request.keep_together is Level.FABRIC:
        return
    yield Level.POD, fleet.pods.ids, pods
    if ask.request.keep_together is Level.POD:
        return
    yield Level.LEAF_GROUP, fleet.leaf_groups.ids, supply.leaf_nodes[:-1]
    if ask.request.keep_together is not Level.LEAF_GROUP and not ask.index.is_flat:
        yield Level.NVLINK_DOMAIN, fleet.nvlink_domains.ids, supply.domain_nodes


def _units_short(ask: Ask, supply: Supply) -> str | None:
    """A sentence about segments or whole domains, when they are what does not fit."""
    shape = supply.shape
    unit, wanted = shape.unit_node_count, shape.node_count // shape.unit_node_count
    if unit == 1:
        return None
    pods = pod_ranks(ask, supply.leaf_units, unit)
    units = np.bincount(ask.fleet.pods.fabric, pods, len(ask.fleet.fabrics)).astype(np.int64)
    best = int(np.argmax(units))
    if units[best] >= wanted:
        return None
    what = "whole NVLink domain" if shape.whole_domains else f"segment of {unit} nodes"
    plural = what.replace("segment", "segments") if not shape.whole_domains else what + "s"
    return (
        f"NVLink domain: {wanted:,} {plural} are wanted, the best fabric has room for "
        f"{int(units[best]):,} ({ask.fleet.fabrics.ids[best]})"
    )


def _narrowed_by(ask: Ask) -> Iterator[str]:
    """What else narrows the choice, as half sentences."""
    request = ask.request
    if request.spare_count:
        yield f"{counted(request.spare_count, 'spare')} included"
    for per, cap in (
        ("rack", ask.caps.rack),
        ("leaf group", ask.caps.leaf_group),
        ("pod", ask.caps.pod),
    ):
        if cap < NO_CAP:
            yield f"at most {counted(cap, 'node')} a {per}"
    if request.site_ids:
        yield f"only at {', '.join(request.site_ids)}"
    if request.countries:
        yield f"only in {', '.join(request.countries)}"
    if request.excluded_node_ids:
        yield f"{counted(len(request.excluded_node_ids), 'node')} excluded"


def why_not_whole(ask: Ask, shape: Shape) -> tuple[str, ...]:
    """Reasons why whole nodes of one type do not fit, widest level first."""
    free = free_nodes(ask, shape)
    node_type = ask.fleet.node_types[shape.type_index]
    wanted = shape.node_count + ask.request.spare_count
    narrowed = "; ".join(_narrowed_by(ask))
    reasons = [
        f"fleet: {int(free.sum()):,} of {int((ask.fleet.nodes.type == shape.type_index).sum()):,} "
        f"{node_type.name} nodes are wholly free and allowed, {wanted:,} are wanted"
        + (f" ({narrowed})" if narrowed else "")
    ]
    if not free.any():
        return tuple(reasons)
    units = list(unit_shapes(ask, shape))
    if not units:
        reasons.append(
            f"NVLink domain: {shape.node_count:,} nodes are no multiple of a whole domain of "
            f"{node_type.name} nodes"
        )
    for unit_shape in units[:1]:
        supply = count_supply(ask.fleet, ask.index, free, (unit_shape, ask.caps, ask.near))
        reasons.extend(
            _best(level, ids, ranks, wanted)
            for level, ids, ranks in _ranks(ask, supply)
            if int(ranks.max(initial=0)) < wanted
        )
        short = _units_short(ask, supply)
        reasons.extend([short] if short else [])
        reasons.extend(_together_short(ask, shape, reasons))
    return tuple(reasons)


def _together_short(ask: Ask, shape: Shape, reasons: list[str]) -> list[str]:
    """A last sentence when every count alone would do, but not all at once in one group."""
    level = ask.request.keep_together
    if len(reasons) > 1:
        return []
    if level in {Level.NODE, Level.NVLINK_DOMAIN}:
        nodes = counted(shape.node_count + ask.request.spare_count, "node")
        return [f"{WORDS[level]}: {nodes} cannot be in one {WORDS[level]} of this fleet"]
    return [f"{WORDS[level]}: no one {WORDS[level]} keeps all constraints together"]


def why_not_slice(ask: Ask, shape: Shape) -> tuple[str, ...]:
    """Reasons why a slice of a node does not fit."""
    fleet = ask.fleet
    node_type = fleet.node_types[shape.type_index]
    of_type = fleet.nodes.type == shape.type_index
    some = int((of_type & (ask.free_gpu_mask > 0)).sum())
    gpus = int(np.bitwise_count(ask.free_gpu_mask[of_type]).sum())
    narrowed = "; ".join(_narrowed_by(ask))
    return (
        f"node: {counted(some, node_type.name + ' node')} have free GPUs ({gpus:,} in all), but "
        f"too few allowed ones have {shape.slice_gpu_count} that are aligned"
        + (f" ({narrowed})" if narrowed else ""),
    )
