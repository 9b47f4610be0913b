"""Documents of plans and clusters."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Line, Request
from gigawatt.sdk.documents.fleet import NodeStateName
from gigawatt.sdk.documents.spot import Notice
from gigawatt.sdk.documents.storage import FileSystemMount, Mount

Term = Literal["on_demand", "reserved", "spot"]
"""How GPUs are held: by the second, from a date to a date, or until somebody else needs them."""


class SpreadCap(Request):
    """At most this many nodes of a cluster in any one rack, leaf group or pod."""

    per: Literal["rack", "leaf_group", "pod"]
    node_count_max: Annotated[int, Field(ge=1, le=100_000)]


class ClusterRequest(Request):
    """A wish for a cluster; what is left out is decided by the planner."""

    project_id: Id
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
    gpu_count: Annotated[int, Field(ge=1, le=32_000)]
    gpu_type: Id | None = None
    segment_node_count: Annotated[int, Field(ge=1, le=10_000)] | None = None
    whole_domains: bool = False
    keep_together: Literal["node", "nvlink_domain", "leaf_group", "pod", "fabric"] = "fabric"
    spread: Annotated[list[SpreadCap], Field(max_length=3)] = []
    site_ids: Annotated[list[Id], Field(max_length=100)] = []
    countries: Annotated[list[Id], Field(max_length=100)] = []
    spare_count: Annotated[int, Field(ge=0, le=64)] = 0
    excluded_node_ids: Annotated[list[Id], Field(max_length=1_000)] = []
    near_cluster_id: Id | None = None
    storage_bytes: Annotated[int, Field(ge=0, le=1 << 50)] = 0
    image: Id = "debian-12-gpu"
    ssh_public_keys: Annotated[list[Line], Field(max_length=100)] = []
    ssh_key_ids: Annotated[list[Id], Field(max_length=100)] = []
    egress_cidrs: Annotated[list[Id], Field(max_length=100)] = []
    file_system_mounts: Annotated[list[FileSystemMount], Field(max_length=16)] = []
    firewall_ruleset_ids: Annotated[list[Id], Field(max_length=8)] = []
    term: Term = "on_demand"
    price_micro_usd_per_gpu_hour_max: Annotated[int, Field(ge=0, le=10_000_000_000)] | None = None
    reservation_id: Id | None = None
    is_lent: bool = False
    gpu_count_min: Annotated[int, Field(ge=0, le=32_000)] = 0
    returns_to_queue: bool = False


class Spread(Answer):
    """How far apart the members are."""

    pod_count: int
    leaf_group_count: int
    nvlink_domain_count: int
    node_count: int
    hop_count_max: int


class ClusterConfig(Answer):
    """What its caller asked for."""

    name: str
    gpu_count: int
    spare_node_count: int
    storage_bytes: int
    image: str
    ssh_public_keys: list[str]
    egress_cidrs: list[str]
    file_system_mounts: list[Mount] = []
    firewall_ruleset_ids: list[str] = []
    term: str = "on_demand"
    price_micro_usd_per_gpu_hour_max: int | None = None
    reservation_id: str | None = None
    is_lent: bool = False
    gpu_count_min: int = 0


class BoundaryKeys(Answer):
    """The keys that fence it."""

    p_key: int | None
    compute_vni: int | None
    vni: int
    subnet: int
    network: str = ""
    filesystem: int | None


class ClusterStatus(Answer):
    """What the system made of it; members in rank order, left out in lists."""

    site_id: str
    fabric_id: str
    gpu_type: str
    node_count: int
    price_micro_usd_per_hour: int
    spread: Spread
    keys: BoundaryKeys
    storage_pool_id: str | None = None
    members: list[str] | None = None
    spares: list[str] | None = None


class Cluster(Answer):
    """A cluster. Config is the caller's, status the system's; both are null once it is gone.

    The costs are left out in lists: what was used until now, and what is used in an hour now.
    ``notices`` are nodes that are asked back now; left out in lists.
    """

    id: str
    project_id: str
    name: str
    config: ClusterConfig | None
    status: ClusterStatus | None
    state: str
    state_reason: str
    state_since: datetime
    state_sla_s: float | None
    version: int
    created_at: datetime
    operation_id: str | None = None
    cost_micro_usd: int | None = None
    cost_micro_usd_per_hour: int | None = None
    notices: list[Notice] = []


class ClusterNode(Answer):
    """Where a node of a cluster stands, and how it is.

    ``leaf_switch_ids`` are the leaf switches of its NICs in the order of its rails.
    """

    node_id: str
    hostname: str
    role: str
    gpu_count: int
    rack_id: str
    leaf_group_id: str
    pod_id: str
    nvlink_domain_id: str
    leaf_switch_ids: list[str]
    state: NodeStateName
    state_reason: str


class ClusterTopology(Answer):
    """The nodes of a cluster in rank order, spares last, with their places."""

    cluster_id: str
    fabric_id: str
    nodes: list[ClusterNode]


class ChangeSize(Request):
    """GPUs more or fewer."""

    gpu_count: Annotated[int, Field(ge=1, le=32_000)]


class ReplaceNodes(Request):
    """Nodes that failed."""

    node_ids: Annotated[list[Id], Field(min_length=1, max_length=1_000)]


class ChangePlan(Request):
    """A change of a cluster to be planned; GPUs for grow and shrink, nodes for replace."""

    kind: Literal["grow", "shrink", "replace", "release"]
    gpu_count: Annotated[int, Field(ge=1, le=32_000)] | None = None
    node_ids: Annotated[list[Id], Field(max_length=1_000)] = []


class Alternative(Answer):
    """Another way to serve a request."""

    sentence: str
    gpu_type: str
    site_id: str
    spread: Spread
    price_micro_usd_per_hour: int


class PlanStage(Answer):
    """Steps that run side by side."""

    name: str
    step_count: int


class PlaneAction(Answer):
    """What is done to how many entries of a kind, in one word: set, remove, hold, boot, ..."""

    verb: str
    entry_kind: str
    count: int


class PlaneChange(Answer):
    """What a plan does on one plane: devices it touches, entries it sets or removes, by kind."""

    device_count: int
    ensured: dict[str, int]
    removed: dict[str, int]
    actions: list[PlaneAction] = []


class Plan(Answer):
    """What would happen; nothing is reserved. Applying it binds exactly this, until it expires."""

    id: str
    kind: str
    project_id: str
    cluster_id: str
    name: str
    site_id: str
    fabric_id: str
    gpu_type: str
    gpu_count: int
    nodes: list[str]
    spares: list[str]
    spread: Spread
    price_micro_usd_per_hour: int
    expected_s: float | None
    planes: dict[str, PlaneChange]
    reasons: list[str]
    alternatives: list[Alternative]
    stages: list[PlanStage]
    keys: BoundaryKeys | None = None
    storage_bytes: int = 0
    storage_pool_id: str | None = None
    joining_node_count: int = 0
    leaving_node_count: int = 0
    term: str = "on_demand"
    price_micro_usd_per_gpu_hour: int | None = None
    price_basis: str | None = None
    billed: list[str] = []
    cancellation: str = ""
    until_at: datetime | None = None
    created_at: datetime
    expires_at: datetime


class Evidence(Answer):
    """What was read back, proven and probed at the end of an operation."""

    kind: str
    at: datetime
    document: dict[str, Any]


class File(Answer):
    """A file that makes a cluster usable."""

    name: str
    size_bytes: int
