"""Who calls, and whether they may: every handler asks here before it touches anything."""

from typing import Annotated

from fastapi import Depends, Request

from gigawatt.app.server import Service
from gigawatt.errors import ForbiddenError, UnknownIdError
from gigawatt.identity.accounts import Account, AccountId, ApiKeyId, OrganisationId, Project
from gigawatt.identity.keys import ApiKey
from gigawatt.identity.permissions import Belonging, Caller, judge
from gigawatt.ids import ClusterId, OperationId, PlanId, TenantId
from gigawatt.interfaces.directory import OpenedRequest, OperationLine, Reach, SshKey
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.planner.plan import Plan


class Access:
    """One request's right to one operation.

    A method that returns an object has judged it. An object that the caller cannot see raises the
    same error as one that does not exist.
    """

    def __init__(self, service: Service, caller: Caller, operation: str) -> None:
        """For an operation of the permission table."""
        self.service = service
        self.caller = caller
        self.operation = operation
        self.is_judged = False
        self.opened: OpenedRequest | None = None

    def permit(self, belonging: Belonging | None = None, what: str = "object") -> None:
        """Nothing, when the caller may.

        Raises:
            UnknownIdError: the caller cannot see it.
            ForbiddenError: the caller sees it and may not.
        """
        verdict = judge(self.caller, self.operation, belonging)
        self.is_judged = True
        if verdict == "hidden":
            raise UnknownIdError(f"no {what}")
        if verdict == "forbidden":
            role = self.caller.account.role.value
            raise ForbiddenError(f"the role {role!r}, or this key, may not {self.operation}")

    def _belonging(self, project_id: TenantId) -> Belonging:
        """Whose a project is; one that only the command line knows belongs to the operators."""
        try:
            owner = self.service.directory.project(project_id).organisation_id
        except UnknownIdError:
            return Belonging(None, project_id)
        return Belonging(owner, project_id)

    def organisation(self, organisation_id: str) -> OrganisationId:
        """An organisation that the caller may use so."""
        what = f"organisation {organisation_id!r}"
        try:
            found = self.service.directory.organisation(OrganisationId(organisation_id))
        except UnknownIdError:
            self.is_judged = True
            raise
        self.permit(Belonging(found.organisation_id), what)
        return found.organisation_id

    def project(self, project_id: str) -> Project:
        """A project that the caller may use so."""
        try:
            found = self.service.directory.project(TenantId(project_id))
        except UnknownIdError:
            self.is_judged = True
            raise
        belonging = Belonging(found.organisation_id, found.project_id)
        self.permit(belonging, f"project {project_id!r}")
        return found

    def account(self, account_id: str) -> Account:
        """An account that the caller may use so."""
        try:
            found = self.service.directory.account(AccountId(account_id))
        except UnknownIdError:
            self.is_judged = True
            raise
        belonging = Belonging(found.organisation_id, None, found.account_id)
        self.permit(belonging, f"account {account_id!r}")
        return found

    def api_key(self, key_id: str) -> ApiKey:
        """An API key that the caller may use so."""
        directory = self.service.directory
        try:
            found = directory.key(ApiKeyId(key_id))
            owner = directory.account(found.account_id).organisation_id
        except UnknownIdError:
            self.is_judged = True
            raise UnknownIdError(f"no API key {key_id!r}") from None
        self.permit(Belonging(owner, None, found.account_id), f"API key {key_id!r}")
        return found

    def ssh_key(self, ssh_key_id: str) -> SshKey:
        """An SSH key that the caller may use so."""
        try:
            found = self.service.directory.ssh_key(ssh_key_id)
        except UnknownIdError:
            self.is_judged = True
            raise
        self.permit(self._belonging(found.project_id), f"SSH key {ssh_key_id!r}")
        return found

    def plan(self, plan_id: str) -> Plan:
        """A plan that the caller may use so."""
        try:
            found = self.service.directory.plan(PlanId(plan_id))
        except UnknownIdError:
            self.is_judged = True
            raise
        self.permit(self._belonging(found.tenant_id), f"plan {plan_id!r}")
        return found

    def cluster(self, cluster_id: str) -> ClusterRecord:
        """A cluster that the caller may use so."""
        try:
            found = self.service.control.around.store.cluster(ClusterId(cluster_id))
        except UnknownIdError:
            self.is_judged = True
            raise
        self.permit(self._belonging(found.tenant_id), f"cluster {cluster_id!r}")
        return found

    def operation_line(self, operation_id: str) -> OperationLine:
        """An operation that the caller may use so."""
        try:
            found = self.service.directory.operation_line(OperationId(operation_id))
        except UnknownIdError:
            self.is_judged = True
            raise
        self.permit(self._belonging(found.project_id), f"operation {operation_id!r}")
        return found

    def reach(self) -> Reach:
        """Projects whose rows the caller sees in lists."""
        self.permit()
        return reach_of(self.service, self.caller)


def reach_of(service: Service, caller: Caller) -> Reach:
    """Projects whose rows a caller sees; None inside for all."""
    narrowed = caller.key.project_id
    if narrowed is not None:
        return Reach(frozenset({narrowed}))
    if caller.is_operator:
        return Reach(None)
    owner = caller.account.organisation_id
    found = service.directory.projects(owner, "", 10_000)
    return Reach(frozenset(project.project_id for project in found))


def get_access(request: Request) -> Access:
    """The access of a request, put there by its route."""
    access = request.state.access
    assert isinstance(access, Access), "the route authenticates before the handler"
    return access


Allowed = Annotated[Access, Depends(get_access)]
"""What every handler takes."""
