"""Every operation of the service as a value: what to send, and what comes back.

Both clients, the blocking one and the async one, are made from these functions, so there is one
definition of every call. The name of a function is the operation's id.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from pydantic import BaseModel

from gigawatt.sdk import documents as doc

T = TypeVar("T")

BASE = "/gw/v1"
"""Where the operations live. Other doors have other places, so they never collide."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and the type of its answer; ``answer`` is ``str`` for plain text."""

    method: str
    path: str
    answer: type[T]
    query: Mapping[str, Any] = field(default_factory=dict)
    body: BaseModel | None = None
    if_match: int | None = None


def _path(*parts: str, verb: str = "") -> str:
    quoted = "/".join(quote(part, safe="") for part in parts)
    return f"{BASE}/{quoted}{':' + verb if verb else ''}"


def _query(**values: object) -> dict[str, object]:
    return {name: value for name, value in values.items() if value is not None}


def who_am_i() -> Call[doc.Me]:
    """Who the caller is."""
    return Call("GET", _path("me"), doc.Me)


def get_fleet() -> Call[doc.Fleet]:
    """What there is, in numbers."""
    return Call("GET", _path("fleet"), doc.Fleet)


def get_fleet_map() -> Call[doc.FleetMap]:
    """The floor plan."""
    return Call("GET", _path("fleet", "map"), doc.FleetMap)


def list_nodes(wanted: doc.NodeFilter | None = None) -> Call[doc.Page[doc.Node]]:
    """Nodes, filtered."""
    query = {} if wanted is None else wanted.model_dump(mode="json", exclude_none=True)
    return Call("GET", _path("nodes"), doc.Page[doc.Node], query)


def get_node(node_id: str) -> Call[doc.Node]:
    """One node."""
    return Call("GET", _path("nodes", node_id), doc.Node)


def drain_node(node_id: str, reason: str) -> Call[doc.Node]:
    """Give a node to nobody new; what holds it stays."""
    body = doc.NodeReason(reason=reason)
    return Call("POST", _path("nodes", node_id, verb="drain"), doc.Node, body=body)


def quarantine_node(node_id: str, reason: str) -> Call[doc.Node]:
    """Mark a node as broken."""
    body = doc.NodeReason(reason=reason)
    return Call("POST", _path("nodes", node_id, verb="quarantine"), doc.Node, body=body)


def return_node(node_id: str, reason: str) -> Call[doc.Node]:
    """Give a node back to service."""
    body = doc.NodeReason(reason=reason)
    return Call("POST", _path("nodes", node_id, verb="return"), doc.Node, body=body)


def list_organisations(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Organisation]]:
    """Organisations that the caller sees."""
    query = _query(cursor=cursor, limit=limit)
    return Call("GET", _path("organisations"), doc.Page[doc.Organisation], query)


def create_organisation(name: str) -> Call[doc.Organisation]:
    """Make an organisation."""
    body = doc.CreateOrganisation(name=name)
    return Call("POST", _path("organisations"), doc.Organisation, body=body)


def list_projects(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Project]]:
    """Projects that the caller sees."""
    query = _query(cursor=cursor, limit=limit)
    return Call("GET", _path("projects"), doc.Page[doc.Project], query)


def create_project(organisation_id: str, name: str) -> Call[doc.Project]:
    """Make a project."""
    body = doc.CreateProject(name=name)
    return Call("POST", _path("organisations", organisation_id, "projects"), doc.Project, body=body)


def get_project(project_id: str) -> Call[doc.Project]:
    """One project."""
    return Call("GET", _path("projects", project_id), doc.Project)


def get_quota(project_id: str) -> Call[doc.Quota]:
    """GPUs granted, held, and free in the fleet."""
    return Call("GET", _path("projects", project_id, "quota"), doc.Quota)


def set_quota(project_id: str, granted_gpu_count: int) -> Call[doc.Quota]:
    """Grant GPUs to a project."""
    body = doc.SetQuota(granted_gpu_count=granted_gpu_count)
    return Call("PUT", _path("projects", project_id, "quota"), doc.Quota, body=body)


def list_accounts(
    organisation_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Account]]:
    """Accounts of an organisation."""
    path = _path("organisations", organisation_id, "accounts")
    return Call("GET", path, doc.Page[doc.Account], _query(cursor=cursor, limit=limit))


def create_account(organisation_id: str, account: doc.CreateAccount) -> Call[doc.Account]:
    """Make an account."""
    path = _path("organisations", organisation_id, "accounts")
    return Call("POST", path, doc.Account, body=account)


def get_account(account_id: str) -> Call[doc.Account]:
    """One account."""
    return Call("GET", _path("accounts", account_id), doc.Account)


def change_account(account_id: str, role: doc.RoleName) -> Call[doc.Account]:
    """Give an account another role."""
    body = doc.ChangeAccount(role=role)
    return Call("PATCH", _path("accounts", account_id), doc.Account, body=body)


def delete_account(account_id: str) -> Call[None]:
    """Remove an account; its keys end at once."""
    return Call("DELETE", _path("accounts", account_id), type(None))


def list_api_keys(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.ApiKey]]:
    """Keys of the organisation for its managers, one's own for others."""
    query = _query(cursor=cursor, limit=limit)
    return Call("GET", _path("api-keys"), doc.Page[doc.ApiKey], query)


def create_api_key(account_id: str, key: doc.CreateApiKey) -> Call[doc.ApiKey]:
    """Make a key; its text is in this answer only."""
    return Call("POST", _path("accounts", account_id, "api-keys"), doc.ApiKey, body=key)


def get_api_key(key_id: str) -> Call[doc.ApiKey]:
    """One key."""
    return Call("GET", _path("api-keys", key_id), doc.ApiKey)


def revoke_api_key(key_id: str) -> Call[doc.ApiKey]:
    """End a key at once."""
    return Call("POST", _path("api-keys", key_id, verb="revoke"), doc.ApiKey)


def list_audit(
    organisation_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.AuditEntry]]:
    """Calls of an organisation's accounts, newest first."""
    path = _path("organisations", organisation_id, "audit")
    return Call("GET", path, doc.Page[doc.AuditEntry], _query(cursor=cursor, limit=limit))


def list_ssh_keys(
    project_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.SshKey]]:
    """SSH keys of a project."""
    path = _path("projects", project_id, "ssh-keys")
    return Call("GET", path, doc.Page[doc.SshKey], _query(cursor=cursor, limit=limit))


def create_ssh_key(project_id: str, name: str, public_key: str) -> Call[doc.SshKey]:
    """Keep an SSH key."""
    body = doc.CreateSshKey(name=name, public_key=public_key)
    return Call("POST", _path("projects", project_id, "ssh-keys"), doc.SshKey, body=body)


def get_ssh_key(ssh_key_id: str) -> Call[doc.SshKey]:
    """One SSH key."""
    return Call("GET", _path("ssh-keys", ssh_key_id), doc.SshKey)


def delete_ssh_key(ssh_key_id: str) -> Call[None]:
    """Forget an SSH key; clusters that have it keep it."""
    return Call("DELETE", _path("ssh-keys", ssh_key_id), type(None))


def create_plan(request: doc.ClusterRequest) -> Call[doc.Plan]:
    """Work out what a create would do; nothing is reserved."""
    return Call("POST", _path("plans"), doc.Plan, body=request)


def get_plan(plan_id: str) -> Call[doc.Plan]:
    """A plan that was shown."""
    return Call("GET", _path("plans", plan_id), doc.Plan)


def apply_plan(plan_id: str) -> Call[doc.Cluster]:
    """Carry out exactly the plan that was shown."""
    return Call("POST", _path("plans", plan_id, verb="apply"), doc.Cluster)


def list_clusters(
    *,
    name: str | None = None,
    with_ended: bool | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Cluster]]:
    """Clusters that the caller sees, newest first."""
    query = _query(name=name, with_ended=with_ended, cursor=cursor, limit=limit)
    return Call("GET", _path("clusters"), doc.Page[doc.Cluster], query)


def create_cluster(request: doc.ClusterRequest) -> Call[doc.Cluster]:
    """Plan and apply in one."""
    return Call("POST", _path("clusters"), doc.Cluster, body=request)


def get_cluster(cluster_id: str) -> Call[doc.Cluster]:
    """One cluster."""
    return Call("GET", _path("clusters", cluster_id), doc.Cluster)


def grow_cluster(
    cluster_id: str, gpu_count: int, *, if_match: int | None = None
) -> Call[doc.Cluster]:
    """Add GPUs."""
    path, body = _path("clusters", cluster_id, verb="grow"), doc.ChangeSize(gpu_count=gpu_count)
    return Call("POST", path, doc.Cluster, body=body, if_match=if_match)


def shrink_cluster(
    cluster_id: str, gpu_count: int, *, if_match: int | None = None
) -> Call[doc.Cluster]:
    """Give GPUs back."""
    path, body = _path("clusters", cluster_id, verb="shrink"), doc.ChangeSize(gpu_count=gpu_count)
    return Call("POST", path, doc.Cluster, body=body, if_match=if_match)


def replace_cluster_nodes(
    cluster_id: str, node_ids: list[str], *, if_match: int | None = None
) -> Call[doc.Cluster]:
    """Put others in the place of failed nodes."""
    path, body = _path("clusters", cluster_id, verb="replace"), doc.ReplaceNodes(node_ids=node_ids)
    return Call("POST", path, doc.Cluster, body=body, if_match=if_match)


def release_cluster(cluster_id: str, *, if_match: int | None = None) -> Call[doc.Cluster]:
    """Give everything back; its data is deleted."""
    path = _path("clusters", cluster_id, verb="release")
    return Call("POST", path, doc.Cluster, if_match=if_match)


def list_evidence(cluster_id: str) -> Call[doc.Page[doc.Evidence]]:
    """What was read back, proven and probed."""
    return Call("GET", _path("clusters", cluster_id, "evidence"), doc.Page[doc.Evidence])


def list_files(cluster_id: str) -> Call[doc.Page[doc.File]]:
    """Files that make a cluster usable."""
    return Call("GET", _path("clusters", cluster_id, "files"), doc.Page[doc.File])


def get_file(cluster_id: str, file_name: str) -> Call[str]:
    """The text of one file."""
    return Call("GET", _path("clusters", cluster_id, "files", file_name), str)


def list_operations(
    *, cluster_id: str | None = None, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Operation]]:
    """Operations that the caller sees, newest first."""
    query = _query(cluster_id=cluster_id, cursor=cursor, limit=limit)
    return Call("GET", _path("operations"), doc.Page[doc.Operation], query)


def get_operation(operation_id: str) -> Call[doc.Operation]:
    """One operation, with its progress by stage and plane."""
    return Call("GET", _path("operations", operation_id), doc.Operation)


def cancel_operation(operation_id: str) -> Call[doc.Operation]:
    """Undo a launch or a grow that is under way."""
    return Call("POST", _path("operations", operation_id, verb="cancel"), doc.Operation)


def list_events(
    *,
    cluster_id: str | None = None,
    cursor: str | None = None,
    limit: int | None = None,
) -> Call[doc.Page[doc.Event]]:
    """Events that the caller sees, oldest first."""
    query = _query(cluster_id=cluster_id, cursor=cursor, limit=limit)
    return Call("GET", _path("events"), doc.Page[doc.Event], query)


NOT_HERE = frozenset({"stream_events"})
"""Operations that are no single answer; the clients have methods of their own for them."""
