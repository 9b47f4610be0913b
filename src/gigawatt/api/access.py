"""Who calls, and whether they may: every handler asks here before it touches anything."""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request
from pydantic import BaseModel

from gigawatt.app.service import Service
from gigawatt.errors import ForbiddenError, UnknownIdError
from gigawatt.identity.accounts import Account, AccountId, ApiKeyId, OrganisationId, Project
from gigawatt.identity.invitations import Invitation, InvitationId
from gigawatt.identity.keys import ApiKey
from gigawatt.identity.permissions import Belonging, Caller, judge
from gigawatt.identity.sessions import Session, SessionId
from gigawatt.ids import (
    ClusterId,
    FirewallRulesetId,
    NoticeId,
    OperationId,
    PlanId,
    ReservationId,
    TenantId,
    WaitingId,
)
from gigawatt.interfaces.directory import OpenedRequest, OperationLine, Reach, SshKey
from gigawatt.interfaces.firewall import FirewallRuleset
from gigawatt.interfaces.reservations import ReservationRecord
from gigawatt.interfaces.spot import Notice
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.interfaces.waiting import WaitingRequest
from gigawatt.market.invoice import Invoice
from gigawatt.market.payment import Money
from gigawatt.planner.plan import Plan

T = TypeVar("T")


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
        self.repeat_key: str | None = None
        self.before: Mapping[str, Any] | None = None
        self.after: Mapping[str, Any] | None = None

    def note_change(self, before: BaseModel | None, after: BaseModel | None) -> None:
        """Say for the audit what this request changes: None before what is new, after what ends.

        Fields that hold secrets are left out there, whatever a document has.
        """
        self.before = None if before is None else before.model_dump(mode="json")
        self.after = None if after is None else after.model_dump(mode="json")

    def permit(self, belonging: Belonging | None = None, what: str = "object") -> None:
        """Nothing, when the caller may.

        Raises:
            UnknownIdError: the caller cannot see it.
            ForbiddenError: the caller sees it and may not.
        """
        verdict = judge(self.caller, self.operation, belonging)
        self.is_judged = True
        if verdict == "hidden":
            raise _absent(what)
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

    def _found(self, what: str, find: Callable[[], T]) -> T:
        """What ``find`` gives; its absence is said in the same words as a foreign object's."""
        try:
            return find()
        except UnknownIdError:
            self.is_judged = True
            raise _absent(what) from None

    def organisation(self, organisation_id: str) -> OrganisationId:
        """An organisation that the caller may use so."""
        what, wanted = f"organisation {organisation_id!r}", OrganisationId(organisation_id)
        found = self._found(what, lambda: self.service.directory.organisation(wanted))
        self.permit(Belonging(found.organisation_id), what)
        return found.organisation_id

    def project(self, project_id: str) -> Project:
        """A project that the caller may use so."""
        what, wanted = f"project {project_id!r}", TenantId(project_id)
        found = self._found(what, lambda: self.service.directory.project(wanted))
        self.permit(Belonging(found.organisation_id, found.project_id), what)
        return found

    def account(self, account_id: str) -> Account:
        """An account that the caller may use so."""
        what, wanted = f"account {account_id!r}", AccountId(account_id)
        found = self._found(what, lambda: self.service.directory.account(wanted))
        self.permit(Belonging(found.organisation_id, None, found.account_id), what)
        return found

    def api_key(self, key_id: str) -> ApiKey:
        """An API key that the caller may use so."""
        directory, what = self.service.directory, f"API key {key_id!r}"
        found = self._found(what, lambda: directory.key(ApiKeyId(key_id)))
        owner = self._found(what, lambda: directory.account(found.account_id))
        self.permit(Belonging(owner.organisation_id, None, found.account_id), what)
        return found

    def session(self, session_id: str) -> tuple[Session, Account]:
        """A session that the caller may use so, and whose it is."""
        what, sessions = f"session {session_id!r}", self.service.sessions
        found = sessions.find_session(SessionId(session_id))
        if found is None:
            self.is_judged = True
            raise _absent(what)
        account = found[1]
        self.permit(Belonging(account.organisation_id, None, account.account_id), what)
        return found

    def invitation(self, invitation_id: str) -> Invitation:
        """An invitation that the caller may use so."""
        what, members = f"invitation {invitation_id!r}", self.service.members
        found = self._found(what, lambda: members.invitation(InvitationId(invitation_id)))
        self.permit(Belonging(found.organisation_id), what)
        return found

    def invoice(self, invoice_id: str) -> Invoice:
        """An invoice that the caller may use so."""
        what, book = f"invoice {invoice_id!r}", self.service.market.billing.book
        found = self._found(what, lambda: book.invoice(invoice_id))
        self.permit(Belonging(found.organisation_id), what)
        return found

    def payment(self, payment_id: str) -> Money:
        """A payment that the caller may use so."""
        what, book = f"payment {payment_id!r}", self.service.market.payments.book
        found = self._found(what, lambda: book.get(payment_id))
        self.permit(Belonging(found.payment.organisation_id), what)
        return found

    def ssh_key(self, ssh_key_id: str) -> SshKey:
        """An SSH key that the caller may use so."""
        what = f"SSH key {ssh_key_id!r}"
        found = self._found(what, lambda: self.service.directory.ssh_key(ssh_key_id))
        self.permit(self._belonging(found.project_id), what)
        return found

    def plan(self, plan_id: str) -> Plan:
        """A plan that the caller may use so."""
        what = f"plan {plan_id!r}"
        found = self._found(what, lambda: self.service.directory.plan(PlanId(plan_id)))
        self.permit(self._belonging(found.tenant_id), what)
        return found

    def cluster(self, cluster_id: str) -> ClusterRecord:
        """A cluster that the caller may use so."""
        what, store = f"cluster {cluster_id!r}", self.service.control.around.store
        found = self._found(what, lambda: store.cluster(ClusterId(cluster_id)))
        if found.is_file_system:
            self.is_judged = True
            raise _absent(what)
        self.permit(self._belonging(found.tenant_id), what)
        return found

    def notice(self, notice_id: str) -> Notice:
        """A notice to a cluster that the caller may use so."""
        what, book = f"notice {notice_id!r}", self.service.market.spot
        found = self._found(what, lambda: book.get(NoticeId(notice_id)))
        self.permit(self._belonging(found.project_id), what)
        return found

    def file_system(self, file_system_id: str) -> ClusterRecord:
        """A file system that the caller may use so."""
        what, store = f"file system {file_system_id!r}", self.service.control.around.store
        found = self._found(what, lambda: store.cluster(ClusterId(file_system_id)))
        if not found.is_file_system:
            self.is_judged = True
            raise _absent(what)
        self.permit(self._belonging(found.tenant_id), what)
        return found

    def ruleset(self, ruleset_id: str) -> FirewallRuleset:
        """A firewall ruleset that the caller may use so."""
        what, wanted = f"firewall ruleset {ruleset_id!r}", FirewallRulesetId(ruleset_id)
        found = self._found(what, lambda: self.service.rulesets.get(wanted))
        self.permit(self._belonging(found.project_id), what)
        return found

    def operation_line(self, operation_id: str) -> OperationLine:
        """An operation that the caller may use so."""
        what, directory = f"operation {operation_id!r}", self.service.directory
        found = self._found(what, lambda: directory.operation_line(OperationId(operation_id)))
        self.permit(self._belonging(found.project_id), what)
        return found

    def waiting(self, waiting_id: str) -> WaitingRequest:
        """A waiting request that the caller may use so."""
        what, room = f"waiting request {waiting_id!r}", self.service.admission.room
        found = self._found(what, lambda: room.request(WaitingId(waiting_id)))
        self.permit(self._belonging(found.project_id), what)
        return found

    def reservation(self, reservation_id: str) -> ReservationRecord:
        """A reservation that the caller may use so."""
        what, records = f"reservation {reservation_id!r}", self.service.market.reservations.records
        found = self._found(what, lambda: records.get(ReservationId(reservation_id)))
        self.permit(self._belonging(found.project_id), what)
        return found

    def reach(self) -> Reach:
        """Projects whose rows the caller sees in lists."""
        self.permit()
        return reach_of(self.service, self.caller)


def _absent(what: str) -> UnknownIdError:
    return UnknownIdError(f"no {what}", next_step="List what you can see, and take its id.")


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
