"""One request's right to one operation of this door, in the one project that it is about.

Lambda's tools know an account and nothing below it, so a key must stand for one project. All that
is not in it is absent here, whoever asks: a tool that takes down what it finds must not find what
is somebody else's.
"""

from typing import Annotated

from fastapi import Depends, Request

from gigawatt.api.access import Access, get_access
from gigawatt.errors import InputError
from gigawatt.identity.accounts import Project
from gigawatt.identity.permissions import Belonging
from gigawatt.interfaces.directory import SshKey

DEFAULT_PROJECT = "default"
"""Name of the project that a key of an organisation with several stands for."""

SSH_KEY_COUNT_MAX = 10_000
"""SSH keys of a project that are looked at. Ours."""


class LambdaAccess(Access):
    """The right of a request to an operation in its project."""

    def workspace(self) -> Project:
        """The project that the caller's key stands for, judged.

        Raises:
            InputError: the organisation has several, and the key stands for none of them.
            UnknownIdError: the project is gone.
            ForbiddenError: the role may not do this.
        """
        directory, narrowed = self.service.directory, self.caller.key.project_id
        owner = self.caller.account.organisation_id
        if narrowed is not None:
            return self.project(narrowed)
        found = directory.projects(owner, "", 10_000)
        named = [one for one in found if one.name == DEFAULT_PROJECT]
        chosen = found if len(found) == 1 else named
        if chosen:
            self.permit(Belonging(owner, chosen[0].project_id), "project")
            return chosen[0]
        # Whoever may do it nowhere is told so first.
        self.permit(Belonging(owner), "project")
        raise InputError(
            f"this API key reaches {len(found)} projects and stands for none of them",
            next_step="Use a key that is made for one project, or name a project 'default'.",
        )

    def ssh_keys(self, project: Project) -> tuple[SshKey, ...]:
        """SSH keys of the project."""
        found = self.service.directory.ssh_keys(project.project_id, "", SSH_KEY_COUNT_MAX)
        return tuple(sorted(found, key=lambda key: (key.created_s, key.ssh_key_id)))


def get_lambda_access(request: Request) -> LambdaAccess:
    """The access of a request, put there by its route."""
    access = get_access(request)
    assert isinstance(access, LambdaAccess), "the route makes an access of its own door"
    return access


Allowed = Annotated[LambdaAccess, Depends(get_lambda_access)]
"""What every handler takes."""
