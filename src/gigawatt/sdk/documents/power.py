"""Documents of power and load: what may be drawn, and what GPUs report."""

from datetime import datetime
from typing import Literal

from gigawatt.sdk.documents.base import Answer

LoadSourceState = Literal["none", "reading", "live", "failed"]


class LoadSource(Answer):
    """Where what GPUs report comes from, and how old it is.

    ``none``: no source is named (``GIGAWATT_TELEMETRY``); ``reading``: it is read the first time;
    ``failed``: ``reason`` says why, and what is shown is older, until it is too old.
    ``is_simulated``: the source made the numbers up, and says so.
    """

    state: LoadSourceState
    reason: str
    read_at: datetime | None
    is_simulated: bool
    reporting_gpu_count: int
    unknown_count: int


class PlacePower(Answer):
    """Power of one feed or one rack, in W.

    ``limit_w`` is what it may give. ``all_w_max`` and ``held_w_max`` are what all its nodes, and
    those of which anything is held, may draw at full load by the catalogue. ``gpu_w`` is what its
    GPUs report, without the rest of their nodes; null where none does.
    """

    id: str
    limit_w: float
    all_w_max: float
    held_w_max: float
    gpu_w: float | None
    reporting_gpu_count: int
    node_count: int
    gpu_count: int


class FeedPower(PlacePower):
    """A power feed."""

    site_id: str
    rack_count: int


class RackPower(PlacePower):
    """A rack."""

    feed_id: str
    hall_id: str
    row: int


class FleetPower(Answer):
    """Power of every feed and every rack, in the order of the fleet."""

    source: LoadSource
    feeds: list[FeedPower]
    racks: list[RackPower]


class FleetLoad(Answer):
    """What GPUs report, one number a GPU, node after node in the order of the fleet.

    -1 stands for a GPU that reports nothing. The lists are empty while nothing is known.
    """

    source: LoadSource
    utilisation_percent: list[int]
    power_w: list[int]
