"""Documents of organisations, projects, quotas, accounts and keys."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import Field

from gigawatt.sdk.documents.base import Answer, Id, Line, Name, Request

Count = Annotated[int, Field(ge=0, le=10_000_000)]
RoleName = Literal["owner", "operator", "member", "billing", "read_only"]
KindName = Literal["user", "service_account"]


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
    """GPUs of a project: granted, held now, and free in the whole fleet at this moment.

    A type that is not named, and a count of clusters that is null, have no limit of their own.
    """

    project_id: str
    granted_gpu_count: int
    held_gpu_count: int
    free_gpu_count_of_fleet: int
    granted_gpu_count_by_type: dict[str, int] = {}
    granted_cluster_count: int | None = None
    granted_waiting_count: int | None = None


class SetQuota(Request):
    """What a project may hold, spares included; what is left out stays, null takes a limit away."""

    granted_gpu_count: Count
    granted_gpu_count_by_type: Annotated[dict[Id, Count], Field(max_length=100)] | None = None
    granted_cluster_count: Count | None = None
    granted_waiting_count: Annotated[int, Field(ge=0, le=10_000)] | None = None


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
