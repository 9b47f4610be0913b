"""What is measured during a replay, and figures made of it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from gigawatt.fleet.model import I64, U16, Fleet
from gigawatt.placement.result import Spread

SIZE_LIMITS = (4, 8, 64, 256, 10_000_000)
SIZE_NAMES = ("1-4", "8", "16-64", "72-256", "> 256")
"""Classes of jobs by GPUs."""


def size_class(gpu_count: int) -> str:
    """Name of the class of a job of so many GPUs."""
    return next(
        name for name, limit in zip(SIZE_NAMES, SIZE_LIMITS, strict=True) if gpu_count <= limit
    )


@dataclass(frozen=True, slots=True)
class Sample:
    """The fleet at one moment.

    Fields (GPUs unless said otherwise):
        held: held by clusters; free: free on usable nodes; unusable: not held, node out of service.
        queued_job_count, queued: what waits.
        running_job_count: clusters handed over.
        largest_in_leaf_group, largest_in_pod, largest_in_fabric: largest cluster of whole nodes
            that one group could take now.
        whole_node: free GPUs on wholly free nodes; the rest of the free ones is stranded for
            clusters of whole nodes.
    """

    at_s: float
    held: int
    free: int
    unusable: int
    queued_job_count: int
    queued: int
    running_job_count: int
    largest_in_leaf_group: int
    largest_in_pod: int
    largest_in_fabric: int
    whole_node: int


def largest_clusters(fleet: Fleet, free_gpu_mask: U16) -> tuple[int, int, int, int]:
    """GPUs of the largest cluster of whole nodes in one leaf group, pod, fabric, and of all."""
    is_whole = free_gpu_mask == fleet.full_gpu_mask_of_node
    gpus = np.where(is_whole, fleet.gpu_count_of_node, 0)
    levels = (fleet.nodes.leaf_group, fleet.pod_of_node, fleet.fabric_of_node)
    in_leaf, in_pod, in_fabric = (int(np.bincount(level, weights=gpus).max()) for level in levels)
    return in_leaf, in_pod, in_fabric, int(gpus.sum())


def fewest_leaf_groups(fleet: Fleet, node_rows: Sequence[int]) -> int:
    """Leaf groups that so many nodes of this fabric and type need at least, were all free."""
    fabric = fleet.fabric_of_node[node_rows[0]]
    node_type = fleet.nodes.type[node_rows[0]]
    alike = (fleet.fabric_of_node == fabric) & (fleet.nodes.type == node_type)
    sizes: I64 = np.sort(np.bincount(fleet.nodes.leaf_group[alike]))[::-1].astype(np.int64)
    return int(np.searchsorted(np.cumsum(sizes), len(node_rows))) + 1


@dataclass(frozen=True, slots=True)
class Placed:
    """One cluster at its commit.

    Fields: leaf groups used and needed at least, and hops between its farthest nodes.
    """

    at_s: float
    gpu_count: int
    spread: Spread
    leaf_group_count_min: int

    @property
    def ratio(self) -> float:
        """Leaf groups used over those needed at least, >= 1."""
        return self.spread.leaf_group_count / self.leaf_group_count_min


@dataclass(frozen=True, slots=True)
class Served:
    """One job that got its cluster: how long it waited for room, then for the hand-over, in s."""

    gpu_count: int
    wait_s: float
    ready_s: float
    is_carried: bool


@dataclass(slots=True)
class Metrics:
    """Everything measured, in order of time.

    Fields: counts are of the whole replay, the final release included.
    """

    samples: list[Sample] = field(default_factory=list)
    placed: list[Placed] = field(default_factory=list)
    served: list[Served] = field(default_factory=list)
    proof_count: int = 0
    cluster_pair_count: int = 0
    entry_count: int = 0
    drift_count: int = 0
    repair_count: int = 0
    resumed_count: int = 0


def quantiles(values: Iterable[float]) -> dict[str, float | int | None]:
    """Count, median, 95th percentile and maximum; None of nothing."""
    found = np.array(list(values), dtype=np.float64)
    if not len(found):
        return {"count": 0, "p50": None, "p95": None, "max": None}
    p50, p95 = np.quantile(found, [0.5, 0.95]).tolist()
    return {"count": len(found), "p50": p50, "p95": p95, "max": float(found.max())}


def by_size(rows: Iterable[tuple[int, float]]) -> dict[str, dict[str, float | int | None]]:
    """Quantiles of values by class of size; classes without any are left out."""
    groups: dict[str, list[float]] = {name: [] for name in SIZE_NAMES}
    for gpu_count, value in rows:
        groups[size_class(gpu_count)].append(value)
    return {name: quantiles(values) for name, values in groups.items() if values}
