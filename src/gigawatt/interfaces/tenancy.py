"""What keeps organisations and projects must offer beyond ``Directory``: names and ends."""

from typing import Protocol

from gigawatt.identity.accounts import Organisation, OrganisationId, Project
from gigawatt.ids import TenantId


class Tenancy(Protocol):
    """Durable organisations and projects; each method is one transaction, as in ``Directory``."""

    def rename_organisation(self, organisation_id: OrganisationId, name: str) -> Organisation:
        """Give an organisation another name; the organisation after it.

        Raises:
            ConflictError: the name is taken.
            UnknownIdError: there is none.
        """
        ...

    def remove_organisation(self, organisation_id: OrganisationId, now_s: float) -> None:
        """Remove an organisation with its accounts and all that these log in with.

        Raises:
            ConflictError: it has projects, or the last operator.
            UnknownIdError: there is none.
        """
        ...

    def rename_project(self, project_id: TenantId, name: str) -> Project:
        """Give a project another name; the project after it.

        Raises:
            ConflictError: the name is taken.
            UnknownIdError: there is none.
        """
        ...

    def remove_project(self, project_id: TenantId, now_s: float) -> None:
        """Remove a project; its SSH keys and invitations go, and keys for it alone end.

        A plan for it that is being committed meanwhile is refused.

        Raises:
            ConflictError: it holds something; says what.
            UnknownIdError: there is none.
        """
        ...
