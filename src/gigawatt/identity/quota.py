"""Quotas: how many GPUs (spares included) and bytes of storage a project may hold at once."""

from gigawatt.errors import QuotaError
from gigawatt.identity.accounts import Project
from gigawatt.units import TIB

STORAGE_BYTES_DEFAULT = 100 * TIB
"""Storage of a project that nobody granted another number. Ours: room to begin with, and a bound
to what a stolen key can take."""


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
            next_step="Ask for fewer, release a cluster, or ask the operator for a larger quota.",
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
