"""Organisations, projects, quotas, accounts, API keys, SSH keys, and the audit of calls."""

import re
from contextlib import suppress

from fastapi import Request, Response

from gigawatt.api.access import Allowed
from gigawatt.api.cookies import cookie_of
from gigawatt.api.grants import refuse_climb
from gigawatt.api.paging import NEWEST, Cursor, Limit, number_place, page_of, text_place
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import (
    account_document,
    audit_document,
    key_document,
    organisation_document,
    project_document,
    ssh_key_document,
)
from gigawatt.app.holdings import holdings_of
from gigawatt.app.service import Service
from gigawatt.errors import ForbiddenError, InputError, UnknownIdError
from gigawatt.identity import accounts as who
from gigawatt.identity.invitations import check_reach
from gigawatt.identity.permissions import MANAGERS
from gigawatt.identity.quota import WAITING_COUNT_DEFAULT, Limits
from gigawatt.identity.sessions import csrf_text, parse_cookie
from gigawatt.ids import TenantId
from gigawatt.interfaces.directory import SshKey
from gigawatt.sdk import documents as doc

router = new_router("identity")

PUBLIC_KEY = re.compile(r"(ssh|ecdsa|sk)-[a-zA-Z0-9@.-]+ [A-Za-z0-9+/=]+( [ -~]*)?")
"""One line of an OpenSSH public key file."""


@operation(router, "GET", "/me")
def who_am_i(request: Request, access: Allowed) -> doc.Me:
    """Who the caller is; to a session, also what it sends with every request that changes."""
    access.permit()
    account, key = access.caller.account, access.caller.key
    cookie = cookie_of(request)
    return doc.Me(
        account_id=account.account_id,
        organisation_id=account.organisation_id,
        name=account.name,
        role=account.role.value,
        key_id=key.key_id,
        project_id=key.project_id,
        csrf_token=None if cookie is None else csrf_text(parse_cookie(cookie)[1]),
    )


@operation(router, "GET", "/organisations")
def list_organisations(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.Organisation]:
    """Organisations that the caller sees."""
    access.permit()
    caller = access.caller
    only = None if caller.is_operator else caller.account.organisation_id
    found = access.service.directory.organisations(only, text_place(cursor), limit + 1)
    return page_of(found, limit, lambda row: row.organisation_id, organisation_document)


@operation(router, "POST", "/organisations", 201)
def create_organisation(body: doc.CreateOrganisation, access: Allowed) -> doc.Organisation:
    """Make an organisation."""
    access.permit()
    who.check_label("an organisation", body.name)
    service = access.service
    made = who.Organisation(
        who.OrganisationId(service.control.new_id("org")), body.name, service.now_s()
    )
    service.directory.add_organisation(made)
    access.note_change(None, organisation_document(made))
    return organisation_document(made)


@operation(router, "GET", "/projects")
def list_projects(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.Project]:
    """Projects that the caller sees."""
    access.permit()
    caller, directory = access.caller, access.service.directory
    if caller.key.project_id is not None:
        return doc.Page(items=[project_document(directory.project(caller.key.project_id))])
    only = None if caller.is_operator else caller.account.organisation_id
    found = directory.projects(only, text_place(cursor), limit + 1)
    return page_of(found, limit, lambda row: row.project_id, project_document)


@operation(router, "POST", "/organisations/{organisation_id}/projects", 201)
def create_project(organisation_id: str, body: doc.CreateProject, access: Allowed) -> doc.Project:
    """Make a project; its quota is 0 until the operator grants one."""
    owner = access.organisation(organisation_id)
    who.check_label("a project", body.name)
    service = access.service
    made = who.Project(
        TenantId(service.control.new_id("ten")), owner, body.name, 0, service.now_s()
    )
    service.directory.add_project(made)
    access.note_change(None, project_document(made))
    return project_document(made)


@operation(router, "GET", "/projects/{project_id}")
def get_project(project_id: str, access: Allowed) -> doc.Project:
    """One project."""
    return project_document(access.project(project_id))


def _quota(service: Service, project: who.Project) -> doc.Quota:
    around = service.control.around
    now = holdings_of(around.fleet, around.store.snapshot(around.clock.now_s()))
    limits = service.admission.limits.limits(project.project_id)
    most = limits.waiting_count_max
    return doc.Quota(
        project_id=project.project_id,
        granted_gpu_count=project.gpu_count_max,
        held_gpu_count=service.directory.held_gpus(project.project_id),
        free_gpu_count_of_fleet=int(now.free_gpu_count.sum()),
        granted_gpu_count_by_type=dict(limits.gpu_count_max_by_type),
        granted_cluster_count=limits.cluster_count_max,
        granted_waiting_count=WAITING_COUNT_DEFAULT if most is None else most,
    )


@operation(router, "GET", "/projects/{project_id}/quota")
def get_quota(project_id: str, access: Allowed) -> doc.Quota:
    """GPUs granted, held now, and free in the fleet."""
    return _quota(access.service, access.project(project_id))


@operation(router, "PUT", "/projects/{project_id}/quota")
def set_quota(project_id: str, body: doc.SetQuota, access: Allowed) -> doc.Quota:
    """Grant GPUs to a project; what it holds beyond them stays until it is released."""
    project, service = access.project(project_id), access.service
    _refuse_unknown_types(access, body)
    before = _quota(service, project)
    said = {"at_s": service.now_s(), "account_id": access.caller.account.account_id}
    book = service.admission.limits
    limits = _limits(body, book.limits(project.project_id))
    book.grant(project.project_id, body.granted_gpu_count, limits, said)
    service.worker.wake()
    after = _quota(service, service.directory.project(project.project_id))
    access.note_change(before, after)
    return after


def _refuse_unknown_types(access: Allowed, body: doc.SetQuota) -> None:
    known = {kind.gpu_type for kind in access.service.control.around.fleet.node_types}
    unknown = sorted(set(body.granted_gpu_count_by_type or {}) - known)
    if unknown:
        raise InputError(
            f"the fleet has no {unknown[0]!r} GPUs",
            next_step=f"Name one of {', '.join(sorted(known))}.",
        )


def _limits(body: doc.SetQuota, before: Limits) -> Limits:
    """The limits after a change: what the body leaves out stays, null takes a limit away."""
    said = body.model_fields_set
    by_type, clusters, waiting = (
        before.gpu_count_max_by_type,
        before.cluster_count_max,
        before.waiting_count_max,
    )
    if "granted_gpu_count_by_type" in said:
        by_type = body.granted_gpu_count_by_type or {}
    if "granted_cluster_count" in said:
        clusters = body.granted_cluster_count
    if "granted_waiting_count" in said:
        waiting = body.granted_waiting_count
    return Limits(by_type, clusters, waiting)


@operation(router, "GET", "/organisations/{organisation_id}/accounts")
def list_accounts(
    organisation_id: str, access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.Account]:
    """Accounts of an organisation."""
    owner = access.organisation(organisation_id)
    found = access.service.directory.accounts(owner, text_place(cursor), limit + 1)
    return page_of(found, limit, lambda row: row.account_id, account_document)


@operation(router, "POST", "/organisations/{organisation_id}/accounts", 201)
def create_account(organisation_id: str, body: doc.CreateAccount, access: Allowed) -> doc.Account:
    """Make an account."""
    owner = access.organisation(organisation_id)
    who.check_label("an account", body.name)
    service = access.service
    made = who.Account(
        account_id=who.AccountId(service.control.new_id("acc")),
        organisation_id=owner,
        name=body.name,
        kind=body.kind,
        role=refuse_climb(access, who.AccountRole(body.role)),
        created_s=service.now_s(),
    )
    service.directory.add_account(made)
    access.note_change(None, account_document(made))
    return account_document(made)


@operation(router, "GET", "/accounts/{account_id}")
def get_account(account_id: str, access: Allowed) -> doc.Account:
    """One account."""
    return account_document(access.account(account_id))


@operation(router, "PATCH", "/accounts/{account_id}")
def change_account(account_id: str, body: doc.ChangeAccount, access: Allowed) -> doc.Account:
    """Give an account another role; it holds from the next request on."""
    account = access.account(account_id)
    role = refuse_climb(access, who.AccountRole(body.role))
    refuse_climb(access, account.role)
    check_reach(role, account.project_id)
    by = access.caller.account
    changed = access.service.members.change_role(account.account_id, role, by)
    access.note_change(account_document(account), account_document(changed))
    return account_document(changed)


@operation(router, "DELETE", "/accounts/{account_id}", 204)
def delete_account(account_id: str, access: Allowed) -> Response:
    """Remove an account; its keys and sessions end at once."""
    account, service = access.account(account_id), access.service
    refuse_climb(access, account.role)
    service.members.remove_account(account.account_id, access.caller.account, service.now_s())
    access.note_change(account_document(account), None)
    return Response(status_code=204)


@operation(router, "GET", "/api-keys")
def list_api_keys(
    access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.ApiKey]:
    """Keys of the organisation for its owners and operators, one's own for others."""
    access.permit()
    account, now_s = access.caller.account, access.service.now_s()
    is_manager = account.role in MANAGERS and access.caller.key.project_id is None
    found = access.service.directory.keys(
        account.organisation_id,
        None if is_manager else account.account_id,
        text_place(cursor),
        limit + 1,
    )
    return page_of(found, limit, lambda row: row.key_id, lambda row: key_document(row, now_s))


@operation(router, "POST", "/accounts/{account_id}/api-keys", 201)
def create_api_key(account_id: str, body: doc.CreateApiKey, access: Allowed) -> doc.ApiKey:
    """Make a key; its text is in this answer only."""
    account, service = access.account(account_id), access.service
    # A key acts as its account: making one for somebody is taking their role.
    refuse_climb(access, account.role)
    who.check_label("a key", body.name)
    project_id = account.project_id
    if body.project_id is not None:
        project_id = project_of(service, account.organisation_id, body.project_id)
    if account.project_id not in {None, project_id}:
        raise ForbiddenError(f"account {account.account_id!r} reaches another project only")
    expires_s = None if body.lifetime_s is None else service.now_s() + body.lifetime_s
    key, text = service.new_key(
        account.account_id, body.name, project_id=project_id, expires_s=expires_s
    )
    access.note_change(None, key_document(key, service.now_s()))
    return key_document(key, service.now_s(), text)


def project_of(service: Service, owner: who.OrganisationId, project_id: str) -> TenantId:
    """A project of an organisation; any other is said not to be there.

    Raises:
        UnknownIdError: it has none of this id.
    """
    with suppress(UnknownIdError):
        found = service.directory.project(TenantId(project_id))
        if found.organisation_id == owner:
            return found.project_id
    raise UnknownIdError(f"no project {project_id!r}")


@operation(router, "GET", "/api-keys/{key_id}")
def get_api_key(key_id: str, access: Allowed) -> doc.ApiKey:
    """One key, without its secret."""
    return key_document(access.api_key(key_id), access.service.now_s())


@operation(router, "POST", "/api-keys/{key_id}:rotate")
def rotate_api_key(key_id: str, body: doc.RotateApiKey, access: Allowed) -> doc.ApiKey:
    """Give a key another secret; its new text is in this answer only."""
    key, service = access.api_key(key_id), access.service
    # Whoever gets the text acts as its account.
    refuse_climb(access, service.directory.account(key.account_id).role)
    rotated, text = service.rotate_key(key.key_id, body.grace_s)
    now_s = service.now_s()
    access.note_change(key_document(key, now_s), key_document(rotated, now_s))
    return key_document(rotated, now_s, text)


@operation(router, "POST", "/api-keys/{key_id}:revoke")
def revoke_api_key(key_id: str, access: Allowed) -> doc.ApiKey:
    """End a key at once."""
    key, service = access.api_key(key_id), access.service
    refuse_climb(access, service.directory.account(key.account_id).role)
    before, now_s = key_document(key, service.now_s()), service.now_s()
    after = key_document(service.directory.revoke_key(key.key_id, now_s), now_s)
    access.note_change(before, after)
    return after


@operation(router, "GET", "/organisations/{organisation_id}/audit")
def list_audit(
    organisation_id: str, access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.AuditEntry]:
    """Calls of an organisation's accounts that changed something or were refused, newest first."""
    owner = access.organisation(organisation_id)
    found = access.service.directory.audit(owner, number_place(cursor, NEWEST), limit + 1)
    return page_of(found, limit, lambda row: row.sequence, audit_document)


@operation(router, "GET", "/projects/{project_id}/ssh-keys")
def list_ssh_keys(
    project_id: str, access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.SshKey]:
    """SSH keys of a project."""
    project = access.project(project_id)
    found = access.service.directory.ssh_keys(project.project_id, text_place(cursor), limit + 1)
    return page_of(found, limit, lambda row: row.ssh_key_id, ssh_key_document)


@operation(router, "POST", "/projects/{project_id}/ssh-keys", 201)
def create_ssh_key(project_id: str, body: doc.CreateSshKey, access: Allowed) -> doc.SshKey:
    """Keep an SSH key."""
    project, service = access.project(project_id), access.service
    who.check_label("an SSH key", body.name)
    if PUBLIC_KEY.fullmatch(body.public_key) is None:
        raise InputError("public_key is not one line of an OpenSSH public key")
    made = SshKey(
        service.control.new_id("ssh"),
        project.project_id,
        body.name,
        body.public_key,
        service.now_s(),
    )
    service.directory.add_ssh_key(made)
    access.note_change(None, ssh_key_document(made))
    return ssh_key_document(made)


@operation(router, "GET", "/ssh-keys/{ssh_key_id}")
def get_ssh_key(ssh_key_id: str, access: Allowed) -> doc.SshKey:
    """One SSH key."""
    return ssh_key_document(access.ssh_key(ssh_key_id))


@operation(router, "DELETE", "/ssh-keys/{ssh_key_id}", 204)
def delete_ssh_key(ssh_key_id: str, access: Allowed) -> Response:
    """Forget an SSH key; clusters that have it keep it."""
    key = access.ssh_key(ssh_key_id)
    access.service.directory.remove_ssh_key(key.ssh_key_id)
    access.note_change(ssh_key_document(key), None)
    return Response(status_code=204)
