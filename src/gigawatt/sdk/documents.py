"""What goes over the wire. The service renders these and the client reads them: one definition.

Requests refuse fields that they do not know, so that nobody sets what is not theirs to set.
Answers allow more fields than these, so that an older client reads a newer service.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

T = TypeVar("T")

_VISIBLE = r"^[^\x00-\x1f\x7f]*$"
"""No control characters; they have no place in a name and break logs."""

Name = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=_VISIBLE)]
Id = Annotated[str, StringConstraints(min_length=1, max_length=128, pattern=r"^[!-~]+$")]
Line = Annotated[str, StringConstraints(max_length=16_384, pattern=_VISIBLE)]
Reason = Annotated[str, StringConstraints(min_length=1, max_length=500, pattern=_VISIBLE)]
RoleName = Literal["owner", "operator", "member", "billing", "read_only"]
KindName = Literal["user", "service_account"]


class Answer(BaseModel):
    """Base of what the service says."""

    model_config = ConfigDict(extra="ignore")


class Request(BaseModel):
    """Base of what a caller sends."""

    model_config = ConfigDict(extra="forbid")


class Page(Answer, Generic[T]):
    """One page of a list; ``next_cursor`` asks for the next one, null at the end."""

    items: list[T]
    next_cursor: str | None = None


class Problem(Answer):
    """An error, after RFC 9457; ``next_step`` says what to do now."""

    type: str
    title: str
    status: int
    detail: str
    next_step: str
    request_id: str
    reasons: list[str] = []
    would_fit: list[str] = []


class Me(Answer):
    """Who the caller is."""

    account_id: str
    organisation_id: str
    name: str
    role: RoleName
    key_id: str
    project_id: str | None


class Organisation(Answer):
    """Who pays."""

    id: str
    name: str
    created_at: datetime


class CreateOrganisation(Request):
    """A new organisation."""

    name: Name


class Project(Answer):
    """A tenant, fenced from all others."""

    id: str
    organisation_id: str
    name: str
    gpu_count_max: int
    created_at: datetime


class CreateProject(Request):
    """A new project; its quota is 0 until the operator grants one."""

    name: Name


class Quota(Answer):
    """GPUs of a project: granted, held now, and free in the whole fleet at this moment."""

    project_id: str
    granted_gpu_count: int
    held_gpu_count: int
    free_gpu_count_of_fleet: int


class SetQuota(Request):
    """GPUs that a project may hold, spares included."""

    granted_gpu_count: Annotated[int, Field(ge=0, le=10_000_000)]


class Account(Answer):
    """A person or a program of an organisation."""

    id: str
    organisation_id: str
    name: str
    kind: KindName
    role: RoleName
    created_at: datetime


class CreateAccount(Request):
    """A new account."""

    name: Name
    kind: KindName = "user"
    role: RoleName = "member"


class ChangeAccount(Request):
    """Another role."""

    role: RoleName


class ApiKey(Answer):
    """An API key; ``key`` holds its text only in the first answer to its creation."""

    id: str
    account_id: str
    project_id: str | None
    name: str
    state: Literal["active", "expired", "revoked"]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None
    key: str | None = None


class CreateApiKey(Request):
    """A new key; for one project only if named; without an end if no lifetime is given."""

    name: Name
    project_id: Id | None = None
    lifetime_s: Annotated[int, Field(ge=60, le=315_360_000)] | None = None


class SshKey(Answer):
    """An OpenSSH public key that a project keeps."""

    id: str
    project_id: str
    name: str
    public_key: str
    created_at: datetime


class CreateSshKey(Request):
    """A new SSH key: one line of an OpenSSH public key."""

    name: Name
    public_key: Annotated[Line, Field(min_length=1)]


class AuditEntry(Answer):
    """One call that changed something, or was refused."""

    sequence: int
    at: datetime
    account_id: str | None
    key_id: str | None
    operation: str
    path: str
    status: int
    request_id: str


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


class Fleet(Answer):
    """What there is, in numbers."""

    name: str
    node_count: int
    gpu_count: int
    free_gpu_count: int
    blocked_node_count: int
    gpu_types: list[GpuTypeSummary]
    sites: list[SiteSummary]


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


class Holder(Answer):
    """A cluster that holds GPUs of a node."""

    cluster_id: str
    gpu_mask: int


class NodeStatus(Answer):
    """Who holds a node."""

    free_gpu_count: int
    holders: list[Holder]


NodeStateName = Literal["available", "drained", "quarantined"]


class Node(Answer):
    """A node."""

    id: str
    config: NodeConfig
    status: NodeStatus
    state: NodeStateName
    state_reason: str


class NodeFilter(Request):
    """Which nodes a list shows; what is left out shows all."""

    state: NodeStateName | None = None
    site_id: Id | None = None
    gpu_type: Id | None = None
    rack_id: Id | None = None
    cluster_id: Id | None = None
    only_free: bool = False
    cursor: (
        Annotated[str, StringConstraints(max_length=512, pattern=r"^[A-Za-z0-9_=-]*$")] | None
    ) = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class NodeReason(Request):
    """Why a node is taken out of service or given back."""

    reason: Reason


class MapNode(Answer):
    """A node on the floor plan; its box in pixels: x, y, width, height."""

    node_id: str
    box_px: tuple[float, float, float, float]
    state: NodeStateName
    cluster_ids: list[str]
    free_gpu_count: int


class FleetMap(Answer):
    """The floor plan."""

    width_px: float
    height_px: float
    nodes: list[MapNode]


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


class BoundaryKeys(Answer):
    """The keys that fence it."""

    p_key: int | None
    compute_vni: int | None
    vni: int
    subnet: int
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
    members: list[str] | None = None
    spares: list[str] | None = None


class Cluster(Answer):
    """A cluster. Config is the caller's, status the system's; both are null once it is gone."""

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


class ChangeSize(Request):
    """GPUs more or fewer."""

    gpu_count: Annotated[int, Field(ge=1, le=32_000)]


class ReplaceNodes(Request):
    """Nodes that failed."""

    node_ids: Annotated[list[Id], Field(min_length=1, max_length=1_000)]


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


class PlaneChange(Answer):
    """What a plan does on one plane: devices it touches, entries it sets or removes, by kind."""

    device_count: int
    ensured: dict[str, int]
    removed: dict[str, int]


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
    created_at: datetime
    expires_at: datetime


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
    """A plan being applied; ``stages`` is left out in lists."""

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


class Evidence(Answer):
    """What was read back, proven and probed at the end of an operation."""

    kind: str
    at: datetime
    document: dict[str, Any]


class File(Answer):
    """A file that makes a cluster usable."""

    name: str
    size_bytes: int


class Health(Answer):
    """Whether the server works."""

    status: Literal["ok"]
