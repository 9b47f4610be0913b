"""Calls of organisations, projects, quotas, accounts, keys and the audit of calls."""

from collections.abc import Mapping

from gigawatt.sdk import documents as doc
from gigawatt.sdk.calls.call import Call, path_of, query_of


def who_am_i() -> Call[doc.Me]:
    """Who the caller is."""
    return Call("GET", path_of("me"), doc.Me)


def list_organisations(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Organisation]]:
    """Organisations that the caller sees."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("organisations"), doc.Page[doc.Organisation], query)


def create_organisation(name: str) -> Call[doc.Organisation]:
    """Make an organisation."""
    body = doc.CreateOrganisation(name=name)
    return Call("POST", path_of("organisations"), doc.Organisation, body=body)


def list_projects(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Project]]:
    """Projects that the caller sees."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("projects"), doc.Page[doc.Project], query)


def create_project(organisation_id: str, name: str) -> Call[doc.Project]:
    """Make a project."""
    body = doc.CreateProject(name=name)
    return Call(
        "POST", path_of("organisations", organisation_id, "projects"), doc.Project, body=body
    )


def get_project(project_id: str) -> Call[doc.Project]:
    """One project."""
    return Call("GET", path_of("projects", project_id), doc.Project)


def get_quota(project_id: str) -> Call[doc.Quota]:
    """GPUs granted, held, and free in the fleet."""
    return Call("GET", path_of("projects", project_id, "quota"), doc.Quota)


def set_quota(
    project_id: str, granted_gpu_count: int, *, limits: Mapping[str, object] | None = None
) -> Call[doc.Quota]:
    """Grant GPUs to a project; ``limits`` are further fields of ``SetQuota``, by name."""
    body = doc.SetQuota.model_validate({"granted_gpu_count": granted_gpu_count, **(limits or {})})
    return Call("PUT", path_of("projects", project_id, "quota"), doc.Quota, body=body)


def list_accounts(
    organisation_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.Account]]:
    """Accounts of an organisation."""
    path = path_of("organisations", organisation_id, "accounts")
    return Call("GET", path, doc.Page[doc.Account], query_of(cursor=cursor, limit=limit))


def create_account(organisation_id: str, account: doc.CreateAccount) -> Call[doc.Account]:
    """Make an account."""
    path = path_of("organisations", organisation_id, "accounts")
    return Call("POST", path, doc.Account, body=account)


def get_account(account_id: str) -> Call[doc.Account]:
    """One account."""
    return Call("GET", path_of("accounts", account_id), doc.Account)


def change_account(account_id: str, role: doc.RoleName) -> Call[doc.Account]:
    """Give an account another role."""
    body = doc.ChangeAccount(role=role)
    return Call("PATCH", path_of("accounts", account_id), doc.Account, body=body)


def delete_account(account_id: str) -> Call[None]:
    """Remove an account; its keys end at once."""
    return Call("DELETE", path_of("accounts", account_id), type(None))


def list_api_keys(
    *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.ApiKey]]:
    """Keys of the organisation for its managers, one's own for others."""
    query = query_of(cursor=cursor, limit=limit)
    return Call("GET", path_of("api-keys"), doc.Page[doc.ApiKey], query)


def create_api_key(account_id: str, key: doc.CreateApiKey) -> Call[doc.ApiKey]:
    """Make a key; its text is in this answer only."""
    return Call("POST", path_of("accounts", account_id, "api-keys"), doc.ApiKey, body=key)


def get_api_key(key_id: str) -> Call[doc.ApiKey]:
    """One key."""
    return Call("GET", path_of("api-keys", key_id), doc.ApiKey)


def revoke_api_key(key_id: str) -> Call[doc.ApiKey]:
    """End a key at once."""
    return Call("POST", path_of("api-keys", key_id, verb="revoke"), doc.ApiKey)


def list_audit(
    organisation_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.AuditEntry]]:
    """Calls of an organisation's accounts, newest first."""
    path = path_of("organisations", organisation_id, "audit")
    return Call("GET", path, doc.Page[doc.AuditEntry], query_of(cursor=cursor, limit=limit))


def list_ssh_keys(
    project_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Call[doc.Page[doc.SshKey]]:
    """SSH keys of a project."""
    path = path_of("projects", project_id, "ssh-keys")
    return Call("GET", path, doc.Page[doc.SshKey], query_of(cursor=cursor, limit=limit))


def create_ssh_key(project_id: str, name: str, public_key: str) -> Call[doc.SshKey]:
    """Keep an SSH key."""
    body = doc.CreateSshKey(name=name, public_key=public_key)
    return Call("POST", path_of("projects", project_id, "ssh-keys"), doc.SshKey, body=body)


def get_ssh_key(ssh_key_id: str) -> Call[doc.SshKey]:
    """One SSH key."""
    return Call("GET", path_of("ssh-keys", ssh_key_id), doc.SshKey)


def delete_ssh_key(ssh_key_id: str) -> Call[None]:
    """Forget an SSH key; clusters that have it keep it."""
    return Call("DELETE", path_of("ssh-keys", ssh_key_id), type(None))
