"""GPU quotas: how many GPUs a project may hold at once, spares included."""

from gigawatt.errors import QuotaError
from gigawatt.identity.accounts import Project


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
