"""Documents of operations and events."""

from datetime import datetime
from typing import Any

from gigawatt.sdk.documents.base import Answer


class PlaneProgress(Answer):
    """Steps of one plane in one stage."""

    done_count: int
    step_count: int


class StageProgress(Answer):
    """One stage, by plane."""

    name: str
    done_count: int
    step_count: int
    planes: dict[str, PlaneProgress]


class Operation(Answer):
    """A plan being applied to a cluster, or to the file system with the id ``cluster_id``.

    ``stages`` is left out in lists.
    """

    id: str
    project_id: str
    cluster_id: str
    kind: str
    state: str
    state_reason: str
    is_cancellable: bool
    version: int
    started_at: datetime
    finished_at: datetime | None
    stages: list[StageProgress] | None = None


class Event(Answer):
    """One line of the trail."""

    sequence: int
    at: datetime
    cluster_id: str | None
    operation_id: str | None
    kind: str
    message: str
    data: dict[str, Any]
