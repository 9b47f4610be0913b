"""Names and ends of organisations and projects."""

from fastapi import Response

from gigawatt.api.access import Allowed
from gigawatt.api.routing import new_router, operation
from gigawatt.api.views import organisation_document, project_document
from gigawatt.errors import ConflictError
from gigawatt.identity.accounts import check_label
from gigawatt.sdk import documents as doc

router = new_router("identity")


@operation(router, "PATCH", "/organisations/{organisation_id}")
def change_organisation(
    organisation_id: str, body: doc.ChangeOrganisation, access: Allowed
) -> doc.Organisation:
    """Give an organisation another name."""
    found = access.organisation(organisation_id)
    check_label("an organisation", body.name)
    before = organisation_document(access.service.directory.organisation(found))
    after = organisation_document(access.service.tenancy.rename_organisation(found, body.name))
    access.note_change(before, after)
    return after


@operation(router, "DELETE", "/organisations/{organisation_id}", 204)
def delete_organisation(organisation_id: str, access: Allowed) -> Response:
    """Remove an organisation that has no projects; its accounts, keys and sessions end."""
    found, service = access.organisation(organisation_id), access.service
    if found == access.caller.account.organisation_id:
        raise ConflictError(
            "an account cannot delete its own organisation",
            next_step="Let an operator of another organisation do it.",
        )
    before = organisation_document(service.directory.organisation(found))
    service.tenancy.remove_organisation(found, service.now_s())
    access.note_change(before, None)
    return Response(status_code=204)


@operation(router, "PATCH", "/projects/{project_id}")
def change_project(project_id: str, body: doc.ChangeProject, access: Allowed) -> doc.Project:
    """Give a project another name."""
    found = access.project(project_id)
    check_label("a project", body.name)
    renamed = access.service.tenancy.rename_project(found.project_id, body.name)
    access.note_change(project_document(found), project_document(renamed))
    return project_document(renamed)


@operation(router, "DELETE", "/projects/{project_id}", 204)
def delete_project(project_id: str, access: Allowed) -> Response:
    """Remove a project that holds nothing; its SSH keys go, and API keys for it alone end."""
    found, service = access.project(project_id), access.service
    service.tenancy.remove_project(found.project_id, service.now_s())
    access.note_change(project_document(found), None)
    return Response(status_code=204)
