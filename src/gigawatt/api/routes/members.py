"""Invitations: how people come into an organisation.

A person in an organisation is an account, as GLOSSARY.md says: "member" is a node in a cluster, and
a role. Accounts are listed, changed and removed in ``accounts``.
"""

import secrets

from fastapi import Response

from gigawatt.api.access import Allowed
from gigawatt.api.grants import refuse_climb
from gigawatt.api.paging import Cursor, Limit, page_of, text_place
from gigawatt.api.routes.accounts import project_of
from gigawatt.api.routes.login import LOGIN_PATH
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import invitation_document
from gigawatt.errors import ConflictError
from gigawatt.identity.accounts import AccountRole
from gigawatt.identity.invitations import (
    LIFETIME_S_DEFAULT,
    Invitation,
    InvitationId,
    check_reach,
    link_text,
    plain_email,
)
from gigawatt.identity.keys import SECRET_BYTE_COUNT, digest_of, secret_text
from gigawatt.sdk import documents as doc

router = new_router("identity")


@operation(router, "GET", "/organisations/{organisation_id}/invitations")
def list_invitations(
    organisation_id: str, access: Allowed, cursor: Cursor = None, limit: Limit = 100
) -> doc.Page[doc.Invitation]:
    """Invitations of an organisation, those that are over too."""
    owner, now_s = access.organisation(organisation_id), access.service.now_s()
    found = access.service.members.invitations(owner, text_place(cursor), limit + 1)
    return page_of(
        found, limit, lambda row: row.invitation_id, lambda row: invitation_document(row, now_s)
    )


@operation(router, "POST", "/organisations/{organisation_id}/invitations", 201)
def create_invitation(
    organisation_id: str, body: doc.CreateInvitation, access: Allowed
) -> doc.Invitation:
    """Ask a person in; the link is in this answer only, and is for you to send."""
    owner, service = access.organisation(organisation_id), access.service
    role, email = refuse_climb(access, AccountRole(body.role)), plain_email(body.email)
    project_id = None
    if body.project_id is not None:
        project_id = project_of(service, owner, body.project_id)
    check_reach(role, project_id)
    if service.login is None:
        raise ConflictError(
            "an invitation is taken up by logging in, and no login provider is set up",
            next_step="Make an account and a key instead, or ask the operator for a provider.",
        )
    secret, now_s = secret_text(secrets.token_bytes(SECRET_BYTE_COUNT)), service.now_s()
    made = Invitation(
        invitation_id=InvitationId(service.control.new_id("inv")),
        organisation_id=owner,
        email=email,
        role=role,
        project_id=project_id,
        digest=digest_of(secret),
        invited_by=access.caller.account.account_id,
        created_s=now_s,
        expires_s=now_s + (body.lifetime_s or LIFETIME_S_DEFAULT),
    )
    service.members.add_invitation(made)
    access.note_change(None, invitation_document(made, now_s))
    carried = link_text(made.invitation_id, secret)
    link = f"{service.login.settings.public_url}{LOGIN_PATH}?invitation={carried}"
    return invitation_document(made, now_s, link)


@operation(router, "GET", "/invitations/{invitation_id}")
def get_invitation(invitation_id: str, access: Allowed) -> doc.Invitation:
    """One invitation, without its link."""
    return invitation_document(access.invitation(invitation_id), access.service.now_s())


@operation(router, "DELETE", "/invitations/{invitation_id}", 204)
def delete_invitation(invitation_id: str, access: Allowed) -> Response:
    """Take an invitation back; an account that came of it stays."""
    found = access.invitation(invitation_id)
    refuse_climb(access, found.role)
    access.service.members.remove_invitation(found.invitation_id)
    access.note_change(invitation_document(found, access.service.now_s()), None)
    return Response(status_code=204)
