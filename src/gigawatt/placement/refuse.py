"""Why a request does not fit, and what would: fewer GPUs, or one constraint less."""

from collections.abc import Iterator
from dataclasses import replace

from gigawatt.errors import InputError
from gigawatt.fleet.slices import offered_sizes
from gigawatt.intent.request import ClusterRequest, Level
from gigawatt.placement.explain import WORDS, counted, why_not_slice, why_not_whole
from gigawatt.placement.result import Refusal
from gigawatt.placement.shape import Shape, shapes
from gigawatt.placement.solve import answer, solve
from gigawatt.placement.whole import Ask, most_nodes


def _smaller(ask: Ask, shape: Shape) -> int:
    """Most GPUs of one type that fit now under the same constraints, fewer than wanted."""
    node_type = ask.fleet.node_types[shape.type_index]
    per_node = node_type.gpu_count
    whole = 0 if shape.slice_gpu_count else most_nodes(ask, shape) * per_node
    if whole or shape.unit_node_count > 1 or shape.whole_domains:
        return whole
    limit = min(per_node, ask.request.gpu_count)
    for size in reversed([size for size in offered_sizes(node_type) if size < limit]):
        if answer(ask, Shape(shape.type_index, 0, size, 1, whole_domains=False)) is not None:
            return size
    return 0


def _relaxed(request: ClusterRequest) -> Iterator[tuple[str, ClusterRequest]]:
    """The request with one constraint less each, with what was given up."""
    if request.keep_together is not Level.FABRIC:
        word = WORDS[request.keep_together]
        yield f"without keeping it in one {word}", replace(request, keep_together=Level.FABRIC)
    if request.whole_domains:
        yield "without whole NVLink domains", replace(request, whole_domains=False)
    if request.segment_node_count:
        gone = f"without segments of {request.segment_node_count} nodes"
        yield gone, replace(request, segment_node_count=None)
    for rule in request.spread:
        others = tuple(other for other in request.spread if other is not rule)
        gone = f"without the cap of {counted(rule.nodes_max, 'node')} a {rule.per}"
        yield gone, replace(request, spread=others)
    if request.spare_count:
        yield "without spares", replace(request, spare_count=0)
    if request.site_ids or request.countries:
        yield "at any site", replace(request, site_ids=(), countries=())
    if request.excluded_node_ids:
        yield "with no node excluded", replace(request, excluded_node_ids=frozenset())
    if request.gpu_type is not None:
        yield "with another GPU type", replace(request, gpu_type=None)


def would_fit(ask: Ask) -> tuple[str, ...]:
    """What would fit now: the most GPUs of each type as asked, then the count with less asked."""
    counts: dict[str, int] = {}
    for shape in shapes(ask.fleet, ask.request, ask.prices):
        name = ask.fleet.node_types[shape.type_index].gpu_type
        counts[name] = max(counts.get(name, 0), _smaller(ask, shape))
    sentences = [
        f"{counted(count, name + ' GPU')} under the same constraints"
        for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
        if count
    ]
    for gone, request in _relaxed(ask.request):
        try:
            found = solve(ask.asking(request))
        except InputError:
            continue
        if found is not None:
            gpus = counted(request.gpu_count, found.gpu_type + " GPU")
            sentences.append(f"{gpus} {gone}")
    return tuple(sentences)


def refuse(ask: Ask) -> Refusal:
    """The refusal of a request that ``solve`` found no place for."""
    reasons: list[str] = []
    for shape in shapes(ask.fleet, ask.request, ask.prices):
        why = why_not_slice if shape.slice_gpu_count else why_not_whole
        reasons.extend(why(ask, shape))
    empty = replace(ask, free_gpu_mask=ask.fleet.full_gpu_mask_of_node)
    return Refusal(
        reasons=tuple(reasons), would_fit=would_fit(ask), is_impossible=solve(empty) is None
    )
