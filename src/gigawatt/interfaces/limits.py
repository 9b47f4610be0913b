"""What a book of limits must offer: what a project may hold beside its count of GPUs."""

from collections.abc import Mapping
from typing import Any, Protocol

from gigawatt.identity.quota import Limits
from gigawatt.ids import TenantId


class LimitBook(Protocol):
    """Durable limits of projects. Every method is one transaction."""

    def limits(self, project_id: TenantId) -> Limits:
        """The limits of a project; none are set at first."""
        ...

    def all_limits(self) -> Mapping[TenantId, tuple[int, Limits]]:
        """GPUs granted and limits of every project."""
        ...

    def grant(
        self, project_id: TenantId, gpu_count_max: int, limits: Limits, said: Mapping[str, Any]
    ) -> None:
        """Change what a project may hold, and write before and after into the trail.

        A commit that was judged by the grant before does not pass any more. ``said`` goes into the
        trail too, e.g. who changed it.

        Raises:
            UnknownIdError: there is no such project.
        """
        ...
