"""Documents of utilisation: where a fleet's GPU-hours went, and what they brought."""

from typing import Literal

from gigawatt.sdk.documents.base import Answer

UtilisationBy = Literal["all", "type", "site", "term", "hour"]
GpuStateName = Literal["billed", "kept", "held", "cleaning", "broken", "stranded", "idle"]


class StateHours(Answer):
    """GPU-hours in one state, and what they are at list price."""

    state: GpuStateName
    gpu_hours: float
    list_value_micro_usd: int


class UtilisationRow(Answer):
    """Sums of one group: everything, a type, a site, a term, or an hour (its start, Unix ms).

    Shares are of ``capacity_gpu_hours``: of the group, or of the whole fleet where it is a term.
    ``point_micro_usd`` is what one more point of GPU-hours sold would have earned.
    """

    key: str
    capacity_gpu_hours: float
    used_share: float
    paid_share: float
    dollar_share: float
    revenue_micro_usd: int
    revenue_usd_per_gpu_hour: float
    cost_usd_per_gpu_hour: float
    point_micro_usd: int
    states: list[StateHours]


class AskedInVain(Answer):
    """Requests of one type and size that waited or were refused for want of room."""

    gpu_type: str
    gpu_count: int
    request_count: int
    wanted_gpu_count: int


class Utilisation(Answer):
    """Utilisation from ``from_ms`` up to, and not with, ``to_ms``.

    Stranded GPUs are free, and no request that waited could have them: they lie on nodes of which
    another part is taken, or too few of them are together. The cost of a GPU-hour is the operator's
    accounting cost by the inputs of the economics.
    """

    from_ms: int
    to_ms: int
    by: UtilisationBy
    rows: list[UtilisationRow]
    stranded_in_part_gpu_hours: float
    stranded_too_few_gpu_hours: float
    asked_in_vain: list[AskedInVain]
