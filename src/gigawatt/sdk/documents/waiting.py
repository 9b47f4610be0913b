"""Documents of requests that wait for room."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gigawatt.sdk.documents.base import Answer, Request
from gigawatt.sdk.documents.clusters import ClusterRequest

WaitingStateName = Literal["waiting", "started", "withdrawn", "expired", "refused"]


class CreateWaitingRequest(Request):
    """A wish that may wait.

    It gives up by itself after ``expires_after_s``. ``duration_s`` is how long the cluster shall
    live, for the record; nothing ends it then.
    """

    cluster: ClusterRequest
    price_micro_usd_per_gpu_hour_max: Annotated[int, Field(ge=1, le=10**12)] | None = None
    expires_after_s: Annotated[int, Field(ge=60, le=31_622_400)] = 604_800
    duration_s: Annotated[int, Field(ge=1, le=315_360_000)] | None = None


class WaitingPlace(Answer):
    """Where a request stands; 1 is next, null while its project's limits hold it back.

    The expected time is a rate of the past held against the demand before it, not a promise;
    ``basis`` says which, or why there is none.
    """

    position: int | None
    expected_at: datetime | None
    expected_wait_s: float | None
    basis: str


class WaitingRequest(Answer):
    """A request that waits, or did; ``gpu_count`` is with spares, ``why`` as of the last round."""

    id: str
    project_id: str
    account_id: str | None
    name: str
    gpu_count: int
    gpu_type: str | None
    price_micro_usd_per_gpu_hour_max: int | None
    duration_s: float | None
    created_at: datetime
    expires_at: datetime
    state: WaitingStateName
    state_reason: str
    state_since: datetime
    why: str | None
    place: WaitingPlace | None
    launch_count: int
    cluster_id: str | None
    operation_id: str | None
