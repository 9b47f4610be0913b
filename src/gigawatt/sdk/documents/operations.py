"""Documents of operations and events."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from gigawatt.sdk.documents.base import Answer, CursorText, Id, Request


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


class FailedStep(Answer):
    """A step that failed for good."""

    step: str
    node_id: str | None
    cause: str


class Failure(Answer):
    """What broke an operation, and what became of it; the first few of each."""

    steps: list[FailedStep]
    step_count: int
    undone_step_count: int
    left_entry_count: int
    quarantined: dict[str, str]


class Operation(Answer):
    """A plan being applied to a cluster, or to the file system with the id ``cluster_id``.

    What has a default is left out in lists.
    """

    id: str
    project_id: str
    cluster_id: str
    cluster_name: str = ""
    kind: str
    state: str
    state_reason: str
    is_cancellable: bool
    version: int
    started_at: datetime
    finished_at: datetime | None
    expected_s: float | None = None
    stages: list[StageProgress] | None = None
    failure: Failure | None = None


class EventFilter(Request):
    """Which events a list shows; what is left out lets all pass.

    ``node_id``: events that name the node. ``newest_first``: the list goes from new to old.
    """

    cluster_id: Id | None = None
    operation_id: Id | None = None
    node_id: Id | None = None
    kind: Id | None = None
    newest_first: bool = False
    cursor: CursorText | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class Event(Answer):
    """One line of the trail."""

    sequence: int
    at: datetime
    cluster_id: str | None
    operation_id: str | None
    kind: str
    message: str
    data: dict[str, Any]
