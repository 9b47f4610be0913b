"""What goes over the wire at the Lambda-compatible door: requests and answers.

Names and bounds are those of the Lambda Cloud API 1.10.0. Fields that it does not know are
ignored in requests, as it does; ``cluster_id`` is the one field that we add to an answer.
"""

from datetime import datetime
from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, Field, StringConstraints

from gigawatt.intent.firewall import RULES_PER_RULESET_MAX

T = TypeVar("T")

Text64 = Annotated[str, StringConstraints(max_length=64, pattern=r"^[^\x00-\x1f\x7f]*$")]
Word = Annotated[
    str, StringConstraints(min_length=1, max_length=128, pattern=r"^[^\x00-\x1f\x7f]*$")
]
InstanceId = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[!-~]+$")]
INSTANCE_ID_COUNT_MAX = 256
"""Instances that one request may name. Ours: each is planned and committed by itself."""
TAG_COUNT_MAX = 50
"""Tags of one instance. Ours."""
USER_DATA_LENGTH_MAX = 1_000_000
"""Source: Lambda Cloud API 1.10.0, ``user_data``: at most 1 MB."""


class Answer(BaseModel, Generic[T]):
    """What every answer is that went well."""

    data: T


class Failure(BaseModel):
    """What went wrong; programs read ``code``."""

    code: str
    message: str
    suggestion: str | None = None


class FailureAnswer(BaseModel):
    """What every answer is that went wrong."""

    error: Failure


class Region(BaseModel):
    """A site under the name that its operator gives it for this door."""

    name: str
    description: str


class InstanceTypeSpecs(BaseModel):
    """What an instance has."""

    vcpus: int
    memory_gib: int
    storage_gib: int
    gpus: int


class InstanceType(BaseModel):
    """A slice of a node, or a whole one."""

    name: str
    description: str
    gpu_description: str
    price_cents_per_hour: int
    specs: InstanceTypeSpecs


class InstanceTypeOffer(BaseModel):
    """A type, and where one is free now."""

    instance_type: InstanceType
    regions_with_capacity_available: list[Region]


class ActionAvailability(BaseModel):
    """Whether something can be done to an instance now."""

    available: bool
    reason_code: str | None = None
    reason_description: str | None = None


class InstanceActions(BaseModel):
    """What can be done to an instance now."""

    migrate: ActionAvailability
    rebuild: ActionAvailability
    restart: ActionAvailability
    cold_reboot: ActionAvailability
    terminate: ActionAvailability


class Tag(BaseModel):
    """A key with a value."""

    key: Annotated[str, StringConstraints(max_length=55, pattern=r"^[a-z][a-z0-9-:]+$")]
    value: Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00]*$")]


class RulesetName(BaseModel):
    """A firewall ruleset by its id."""

    id: Word


class MountEntry(BaseModel):
    """Where an instance has a file system."""

    mount_point: str
    file_system_id: str


class Instance(BaseModel):
    """One node, or one slice of a node, of a cluster; what is not known yet is left out."""

    id: str
    name: str | None = None
    ip: str | None = None
    private_ip: str | None = None
    status: Literal["booting", "active", "unhealthy", "terminating"]
    ssh_key_names: list[str]
    file_system_names: list[str]
    region: Region
    instance_type: InstanceType
    hostname: str | None = None
    actions: InstanceActions
    tags: list[Tag] | None = None
    file_system_mounts: list[MountEntry] | None = None
    firewall_rulesets: list[RulesetName] | None = None
    cluster_id: str


class ImageById(BaseModel):
    """A host image by its id in one region, or the newest of a family."""

    id: Word | None = None
    family: Word | None = None


class Mount(BaseModel):
    """A file system at a place."""

    mount_point: Annotated[
        str,
        StringConstraints(max_length=256, pattern=r"^(/home|/lambda/nfs|/data)[/a-zA-Z0-9-]*$"),
    ]
    file_system_id: Word


class LaunchRequest(BaseModel):
    """A wish for one instance."""

    region_name: Word
    instance_type_name: Word
    ssh_key_names: Annotated[list[Word], Field(min_length=1, max_length=1)]
    file_system_names: Annotated[list[Word], Field(max_length=16)] | None = None
    file_system_mounts: Annotated[list[Mount], Field(max_length=16)] | None = None
    hostname: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][0-9a-z-]{0,62}$")] | None = None
    name: Text64 | None = None
    image: ImageById | None = None
    user_data: Annotated[str, StringConstraints(max_length=USER_DATA_LENGTH_MAX)] | None = None
    tags: Annotated[list[Tag], Field(max_length=TAG_COUNT_MAX)] | None = None
    firewall_rulesets: Annotated[list[RulesetName], Field(max_length=7)] | None = None
    quantity: Annotated[int, Field(ge=1, le=1)] | None = None


class InstanceIds(BaseModel):
    """Instances that an operation is about."""

    instance_ids: Annotated[list[InstanceId], Field(min_length=1, max_length=INSTANCE_ID_COUNT_MAX)]


class RenameRequest(BaseModel):
    """Another name; none takes the name away."""

    name: Text64 | None = None


class Launched(BaseModel):
    """What was launched."""

    instance_ids: list[str]


class Restarted(BaseModel):
    """What was restarted."""

    restarted_instances: list[Instance]


class Terminated(BaseModel):
    """What was terminated."""

    terminated_instances: list[Instance]


class AddSshKey(BaseModel):
    """A key to keep; without a public key a pair is made."""

    name: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    public_key: Annotated[str, StringConstraints(min_length=1, max_length=4096)] | None = None


class SshKey(BaseModel):
    """A key that is kept; ``private_key`` comes once, when the pair was made here."""

    id: str
    name: str
    public_key: str
    private_key: str | None = None


class HostImage(BaseModel):
    """What an instance can boot, in one region."""

    id: str
    created_time: datetime
    updated_time: datetime
    name: str
    description: str
    family: str
    version: str
    architecture: Literal["x86_64", "arm64"]
    region: Region


class AuditEvent(BaseModel):
    """One call that changed something or was refused."""

    service_name: str
    resource_name: str
    action: str
    catalog_version: str
    event_id: str
    event_time: datetime
    actor_lrn: str | None
    resource_lrns: list[str]
    resource_owner_lrn: str | None
    request_api_key_lrn: str | None
    additional_details: dict[str, Any]


class AuditPage(BaseModel):
    """Calls, and what to send for the next ones; null when there are no more."""

    data: list[AuditEvent]
    page_token: str | None


class Nothing(BaseModel):
    """An empty object."""


class CreateFileSystem(BaseModel):
    """A wish for a file system."""

    name: Annotated[str, StringConstraints(max_length=60, pattern=r"^[a-zA-Z]+[0-9a-zA-Z-]*$")]
    region: Word


class User(BaseModel):
    """Who made something."""

    id: str
    email: str
    status: Literal["active", "deactivated"]


class FileSystem(BaseModel):
    """A file system that outlives instances."""

    id: str
    name: str
    mount_point: str
    created: datetime
    created_by: User
    is_in_use: bool
    region: Region


class Deleted(BaseModel):
    """What was deleted."""

    deleted_ids: list[str]


class Rule(BaseModel):
    """What may come in."""

    protocol: Literal["tcp", "udp", "icmp", "all"]
    port_range: (
        Annotated[list[Annotated[int, Field(ge=1, le=65_535)]], Field(min_length=2, max_length=2)]
        | None
    ) = None
    source_network: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    description: Annotated[str, StringConstraints(max_length=128, pattern=r"^[^\x00]*$")] = ""


Rules = Annotated[list[Rule], Field(max_length=RULES_PER_RULESET_MAX)]


class SetRules(BaseModel):
    """All rules that shall be, in place of those that are."""

    data: Rules


class CreateRuleset(BaseModel):
    """A wish for a firewall ruleset."""

    name: Annotated[Text64, Field(min_length=1)]
    region: Word
    rules: Rules


class ChangeRuleset(BaseModel):
    """Another name, or other rules; what is left out stays."""

    name: Annotated[Text64, Field(min_length=1)] | None = None
    rules: Rules | None = None


class ChangeGlobalRuleset(BaseModel):
    """Other rules for all instances."""

    rules: Rules


class Ruleset(BaseModel):
    """A firewall ruleset of one region."""

    id: str
    name: str
    region: Region
    rules: list[Rule]
    created: datetime
    instance_ids: list[str]


class GlobalRuleset(BaseModel):
    """The rules of all instances."""

    id: Literal["global"]
    name: str
    rules: list[Rule]
