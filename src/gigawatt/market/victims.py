"""Whom to preempt: the spot clusters whose loss does the least harm, and no more than must be.

Harm is what is thrown away: the GPU-seconds since the last checkpoint of every GPU that stops,
plus what it costs to start again. A cluster that runs on fewer nodes gives single nodes; it is
stopped as a whole only when it cannot go below its least size.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.errors import InputError, NoCapacityError


@dataclass(frozen=True, slots=True)
class SpotHolding:
    """One spot cluster that may be asked to give GPUs back.

    Fields:
        cluster_id: whose.
        node_count: nodes it holds, >= 1, all of one size.
        node_count_min: nodes without which it is of no use, 1 to ``node_count``.
        gpus_per_node: GPUs of each of its nodes, >= 1.
        unsaved_s: seconds since its last checkpoint, >= 0.
        restart_s: seconds of the whole cluster that a start or a change of size costs, >= 0.
    """

    cluster_id: str
    node_count: int
    node_count_min: int
    gpus_per_node: int
    unsaved_s: float
    restart_s: float


@dataclass(frozen=True, slots=True)
class Preemption:
    """Nodes that one cluster gives back; all of them when it has to stop."""

    cluster_id: str
    node_count: int
    is_whole: bool
    harm_gpu_s: float


def harm_gpu_s(holding: SpotHolding, node_count: int) -> float:
    """GPU-seconds lost when a cluster gives ``node_count`` nodes back.

    Of those that stop, what they have not saved; of those that stay, what the change costs them.
    """
    stays = holding.node_count - node_count
    lost = node_count * holding.unsaved_s
    if stays and stays >= holding.node_count_min:
        return (lost + stays * holding.restart_s) * holding.gpus_per_node
    return holding.node_count * (holding.unsaved_s + holding.restart_s) * holding.gpus_per_node


def choose_victims(holdings: Sequence[SpotHolding], gpu_count: int) -> tuple[Preemption, ...]:
    """The preemptions that free ``gpu_count`` GPUs or more with the least harm.

    Of equally harmful ones those that free fewer GPUs.

    Exact: a covering knapsack with one choice for each cluster, by dynamic programming over GPUs.

    Raises:
        InputError: a holding is not one.
        NoCapacityError: all of them together are not enough.
    """
    for holding in holdings:
        _check(holding)
    there = sum(holding.node_count * holding.gpus_per_node for holding in holdings)
    if gpu_count > there:
        raise NoCapacityError(
            f"{gpu_count} GPUs are wanted, all spot clusters hold {there}",
            reasons=("only spot clusters are preempted",),
        )
    if gpu_count < 1:
        return ()
    # best[g] is the least (harm, GPUs freed) with which g GPUs or more are free, and by what.
    best: list[tuple[float, int, tuple[Preemption, ...]] | None] = [None] * (gpu_count + 1)
    best[0] = (0.0, 0, ())
    for holding in holdings:
        best = _with(best, _choices(holding))
    found = best[gpu_count]
    assert found is not None, "all together are enough"
    return found[2]


def _with(
    best: list[tuple[float, int, tuple[Preemption, ...]] | None],
    choices: Sequence[tuple[int, Preemption]],
) -> list[tuple[float, int, tuple[Preemption, ...]] | None]:
    """The best answers when one more cluster may give one of ``choices``."""
    top = len(best) - 1
    after = list(best)
    for wanted, kept in enumerate(best):
        if kept is None:
            continue
        for freed, preemption in choices:
            place = min(top, wanted + freed)
            new = (kept[0] + preemption.harm_gpu_s, kept[1] + freed, (*kept[2], preemption))
            old = after[place]
            if old is None or new[:2] < old[:2]:
                after[place] = new
    return after


def _choices(holding: SpotHolding) -> list[tuple[int, Preemption]]:
    """GPUs that each sensible way to take nodes from a cluster frees: single nodes, or all."""
    spare = holding.node_count - holding.node_count_min
    counts = [*range(1, spare + 1), holding.node_count]
    return [
        (
            count * holding.gpus_per_node,
            Preemption(
                holding.cluster_id, count, count == holding.node_count, harm_gpu_s(holding, count)
            ),
        )
        for count in counts
    ]


def _check(holding: SpotHolding) -> None:
    if not 1 <= holding.node_count_min <= holding.node_count or holding.gpus_per_node < 1:
        raise InputError(
            f"spot cluster {holding.cluster_id!r} holds {holding.node_count} nodes and needs"
            f" {holding.node_count_min}, wanted 1 or more and no more than it holds"
        )
    if holding.unsaved_s < 0 or holding.restart_s < 0:
        raise InputError(f"spot cluster {holding.cluster_id!r} has a negative time")
