"""Documents of spot: prices of rounds, and notices to give nodes back."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gigawatt.sdk.documents.base import Answer, Request

NoticeStateName = Literal["given", "begun", "done", "withdrawn"]


class SpotRound(Answer):
    """How a round ended at one place: one price for all who won."""

    sequence: int
    at: datetime
    gpu_type: str
    site_id: str
    price_micro_usd_per_gpu_hour: int
    floor_micro_usd_per_gpu_hour: int
    offered_gpu_count: int
    sold_gpu_count: int
    bid_count: int


class Notice(Answer):
    """Nodes that a cluster gives back, and when they are taken: save what has to be saved.

    ``state`` is "given" until the deadline, "begun" while they are taken, then "done"; "withdrawn"
    when nobody needs them any more. ``answer`` is what the cluster's tenant said of its work.
    """

    id: str
    cluster_id: str
    project_id: str
    nodes: list[str]
    cause: Literal["reservation", "waiting", "end"]
    reason: str
    given_at: datetime
    deadline_at: datetime
    seconds_left: float
    state: NoticeStateName
    state_since: datetime
    answer: Literal["saved", "failed"] | None = None
    answered_at: datetime | None = None


class AnswerNotice(Request):
    """What became of the work on nodes that are asked back.

    Once everybody who is asked for the same demand has said "saved", the nodes are taken at once,
    and cost nothing from then on. "failed" changes nothing: they are taken at the deadline.
    """

    answer: Literal["saved", "failed"]
    detail: Annotated[str, Field(max_length=500)] = ""


class ClassRule(Answer):
    """One class of demand, and from whom it takes nodes when it is short of room."""

    term: Literal["on_demand", "reserved", "spot"]
    takes_from_spot: bool
    takes_from_lent: bool
    sentence: str


class MarketOrder(Answer):
    """Classes in the order in which they are served."""

    order: list[ClassRule]


class Checkpoint(Answer):
    """When a tenant last said that the work of a cluster is saved."""

    cluster_id: str
    saved_at: datetime
