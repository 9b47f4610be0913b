"""Documents of the fleet and its nodes."""

from typing import Annotated, Literal

from pydantic import Field

from gigawatt.sdk.documents.base import Answer, CursorText, Id, Reason, Request, SearchText

NodeStateName = Literal["available", "drained", "quarantined"]


class GpuTypeSummary(Answer):
    """GPUs of one type: all, free now, and what one costs."""

    gpu_type: str
    gpu_count: int
    free_gpu_count: int
    price_micro_usd_per_gpu_hour: int


class SiteSummary(Answer):
    """A site and the fabrics in it."""

    site_id: str
    country: str
    fabric_ids: list[str]
    gpu_count: int


class NodeTypeSummary(Answer):
    """Nodes of one type."""

    name: str
    node_count: int
    gpu_type: str
    gpu_count_per_node: int
    nic_count_per_node: int
    price_micro_usd_per_gpu_hour: int


class FabricSummary(Answer):
    """A compute fabric."""

    fabric_id: str
    kind: str
    pod_count: int
    leaf_group_count: int
    switch_count: int


class Fleet(Answer):
    """What there is, in numbers."""

    name: str
    node_count: int
    gpu_count: int
    free_gpu_count: int
    blocked_node_count: int
    gpu_types: list[GpuTypeSummary]
    sites: list[SiteSummary]
    hall_count: int = 0
    rack_count: int = 0
    node_types: list[NodeTypeSummary] = []
    fabrics: list[FabricSummary] = []
    node_states: dict[str, int] = {}


class NodeConfig(Answer):
    """What a node is and where it stands."""

    node_type: str
    gpu_type: str
    gpu_count: int
    site_id: str
    rack_id: str
    fabric_id: str
    pod_id: str
    leaf_group_id: str
    hall_id: str = ""
    nvlink_domain_id: str = ""
    nic_count: int = 0
    leaf_switch_ids: list[str] = []
    bmc_address: str = ""


class Holder(Answer):
    """A cluster that holds GPUs of a node."""

    cluster_id: str
    gpu_mask: int
    cluster_name: str = ""
    project_id: str = ""
    role: str | None = None


class NodeStatus(Answer):
    """Who holds a node."""

    free_gpu_count: int
    holders: list[Holder]


class Doer(Answer):
    """Who did something: an account, and what it was called then."""

    account_id: str
    name: str


class Node(Answer):
    """A node; ``state_by`` is who took it out of service, none where the control plane did."""

    id: str
    config: NodeConfig
    status: NodeStatus
    state: NodeStateName
    state_reason: str
    state_by: Doer | None = None


class NodeFilter(Request):
    """Which nodes a list shows; what is left out shows all.

    ``text`` is found in ids of node, rack and hall, the state, its reason and who gave it, names
    and ids of clusters and projects that hold it, as the beginning of its BMC's address, or as the
    GUID or MAC of one of its NICs.
    """

    text: SearchText | None = None
    state: NodeStateName | None = None
    project_id: Id | None = None
    site_id: Id | None = None
    gpu_type: Id | None = None
    rack_id: Id | None = None
    cluster_id: Id | None = None
    only_free: bool = False
    cursor: CursorText | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class NodeReason(Request):
    """Why a node is taken out of service or given back; tenants on it read it too."""

    reason: Reason


class MapNode(Answer):
    """A node on the floor plan; its box in pixels: x, y, width, height."""

    node_id: str
    box_px: tuple[float, float, float, float]
    state: NodeStateName
    cluster_ids: list[str]
    free_gpu_count: int


class FleetNote(Answer):
    """A contradiction in the fleet: which rule, where, what."""

    rule: str
    place: str
    sentence: str


class DrawnCell(Answer):
    """Text of one style: free, spare, drained, quarantined, held-0 to held-11, title, label."""

    text: str
    style: str


class FleetDrawing(Answer):
    """The floor as rows of text."""

    rows: list[list[DrawnCell]]


class FleetMap(Answer):
    """The floor plan."""

    width_px: float
    height_px: float
    nodes: list[MapNode]


class FloorWord(Answer):
    """A title on the floor plan: left end of its base line, and the size of its letters."""

    x_px: float
    y_px: float
    size_px: float
    text: str


class FleetPlaces(Answer):
    """Where everything stands, by columns; other columns name rows of these by their number.

    ``rack_box_px`` is x, y, width and height of each rack, one after the other. The nodes of a
    rack share its height evenly, in their order.
    """

    width_px: float
    height_px: float
    words: list[FloorWord]
    hall_ids: list[str]
    rack_ids: list[str]
    rack_hall: list[int]
    rack_row: list[int]
    rack_box_px: list[float]
    node_ids: list[str]
    node_rack: list[int]
    node_gpu_count: list[int]


class FleetCells(Answer):
    """Every GPU of the floor by columns, small enough to be asked for each second.

    A holding is a node, the GPUs of it (bit i is GPU i), and the row of a cluster. What nobody
    holds is free; a node in neither list is available.
    """

    held_node: list[int]
    held_gpu_mask: list[int]
    held_by: list[int]
    cluster_ids: list[str]
    cluster_names: list[str]
    project_ids: list[str]
    drained_node: list[int]
    quarantined_node: list[int]
    places: FleetPlaces | None = None
