"""Quotas: GPUs (spares included), clusters and bytes of storage a project may hold at once."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gigawatt.errors import QuotaError
from gigawatt.identity.accounts import Project
from gigawatt.ids import TenantId
from gigawatt.units import TIB

WAITING_COUNT_DEFAULT = 100
"""Requests of one project that may wait where nobody said otherwise. Ours."""

STORAGE_BYTES_DEFAULT = 100 * TIB
"""Storage of a project that nobody granted another number. Ours: room to begin with, and a bound
to what a stolen key can take."""

_ASK = "Ask for fewer, release a cluster, or ask the operator for a larger quota."


@dataclass(frozen=True, slots=True)
class Limits:
    """What a project may hold beside its count of GPUs; None and absent types have no limit.

    Fields:
        gpu_count_max_by_type: GPUs of one type, spares included.
        cluster_count_max: clusters that hold anything.
        waiting_count_max: requests that wait for room; ``WAITING_COUNT_DEFAULT`` when None.
    """

    gpu_count_max_by_type: Mapping[str, int] = field(default_factory=dict)
    cluster_count_max: int | None = None
    waiting_count_max: int | None = None


@dataclass(frozen=True, slots=True)
class Held:
    """What a project holds now, or wants more: GPUs by type, and clusters."""

    gpu_count_by_type: Mapping[str, int] = field(default_factory=dict)
    cluster_count: int = 0


def check_quota(project: Project, held_count: int, more_count: int) -> None:
    """Refuse to let a project hold more than it may; giving back is never refused.

    Args:
        project: whose quota it is.
        held_count: GPUs that it holds now, >= 0.
        more_count: GPUs that it wants beside them; negative when it gives back.

    Raises:
        QuotaError: says granted, held and wanted.
    """
    if more_count > 0 and held_count + more_count > project.gpu_count_max:
        raise QuotaError(
            f"project {project.project_id!r} may hold {project.gpu_count_max:,} GPUs, holds"
            f" {held_count:,} and wants {more_count:,} more (spares count)",
            next_step=_ASK,
        )


def check_limits(project_id: TenantId, limits: Limits, held: Held, more: Held) -> None:
    """Refuse more GPUs of a type, or more clusters, than the limits allow.

    Args:
        project_id: for the sentence.
        limits: what it may hold.
        held: what it holds now.
        more: what it wants beside that; what it gives back is negative and never refused.

    Raises:
        QuotaError: says granted, held and wanted.
    """
    for gpu_type, count in sorted(more.gpu_count_by_type.items()):
        granted = limits.gpu_count_max_by_type.get(gpu_type)
        now = held.gpu_count_by_type.get(gpu_type, 0)
        if granted is not None and count > 0 and now + count > granted:
            raise QuotaError(
                f"project {project_id!r} may hold {granted:,} GPUs of type {gpu_type!r}, holds"
                f" {now:,} and wants {count:,} more (spares count)",
                next_step=_ASK,
            )
    most = limits.cluster_count_max
    if most is not None and more.cluster_count > 0 and held.cluster_count + 1 > most:
        raise QuotaError(
            f"project {project_id!r} may hold {most:,} clusters and holds {held.cluster_count:,}",
            next_step="Release a cluster, or ask the operator for a larger quota.",
        )


def check_storage_quota(
    project: Project, granted_bytes: int, held_bytes: int, more_bytes: int
) -> None:
    """Refuse to promise a project more storage than it may have; giving back is never refused.

    Args:
        project: whose quota it is.
        granted_bytes: what it may have.
        held_bytes: quotas of its file systems and of those of its clusters, >= 0.
        more_bytes: what it wants beside them; negative when it gives back.

    Raises:
        QuotaError: says granted, held and wanted.
    """
    if more_bytes > 0 and held_bytes + more_bytes > granted_bytes:
        raise QuotaError(
            f"project {project.project_id!r} may hold {granted_bytes:,} bytes of storage, holds"
            f" {held_bytes:,} and wants {more_bytes:,} more",
            next_step="Ask for less, delete a file system, or ask the operator for a larger quota.",
        )
