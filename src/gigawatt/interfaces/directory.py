"""What a directory must offer: who may do what, and what the API remembers between requests.

Every method is one transaction, like those of ``Store``, and raises ``DataError`` and
``StorageFullError`` as they do.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from gigawatt.identity.accounts import (
    Account,
    AccountId,
    ApiKeyId,
    Organisation,
    OrganisationId,
    Project,
)
from gigawatt.identity.chain import Anchor
from gigawatt.identity.keys import ApiKey
from gigawatt.ids import ClusterId, OperationId, PlanId, TenantId
from gigawatt.interfaces.call_audit import AuditEntry
from gigawatt.interfaces.store import ClusterRecord, Event
from gigawatt.planner.plan import OperationKind, Plan


@dataclass(frozen=True, slots=True)
class SshKey:
    """An OpenSSH public key that a project keeps for its clusters."""

    ssh_key_id: str
    project_id: TenantId
    name: str
    public_key: str
    created_s: float


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """An answer kept for a repeated request."""

    status: int
    headers: Mapping[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class Try:
    """One try to carry a request out.

    Fields:
        operation_id: drawn for the operation that it may open, if no try before has drawn one.
        holder: who tries: a worker, "/", and a text that no other try has.
        is_over: whether the try of a holder can no longer end by itself; the second argument
            says whether the holder's worker has a heartbeat.
    """

    operation_id: OperationId
    holder: str
    is_over: Callable[[str, bool], bool]


@dataclass(frozen=True, slots=True)
class OpenedRequest:
    """A request under an idempotency key that shall be carried out now.

    Fields:
        operation_id: drawn for the operation that it may open; the same for every try.
        is_retry: an earlier try was cut off, so the operation may exist already.
    """

    operation_id: OperationId
    is_retry: bool


@dataclass(frozen=True, slots=True)
class OperationLine:
    """An operation without its plan, cheap to read; see ``OperationRecord``."""

    operation_id: OperationId
    cluster_id: ClusterId
    project_id: TenantId
    cluster_name: str
    kind: OperationKind
    state: str
    generation: int
    opened_generation: int
    started_s: float
    finished_s: float | None
    error: str


@dataclass(frozen=True, slots=True)
class Reach:
    """Which rows a caller sees: those of the projects given, or all when None."""

    project_ids: frozenset[TenantId] | None


class Directory(Protocol):
    """Durable state of identity and of the API."""

    def is_empty(self) -> bool:
        """Whether there is no account at all."""
        ...

    def add_organisation(self, organisation: Organisation) -> None:
        """Keep an organisation.

        Raises:
            ConflictError: its name is taken.
        """
        ...

    def organisations(
        self, only: OrganisationId | None, after: str, limit: int
    ) -> tuple[Organisation, ...]:
        """Organisations by id after ``after``, all or one."""
        ...

    def organisation(self, organisation_id: OrganisationId) -> Organisation:
        """One organisation.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def add_project(self, project: Project) -> None:
        """Keep a project.

        Raises:
            ConflictError: the organisation has one of this name.
        """
        ...

    def projects(self, only: OrganisationId | None, after: str, limit: int) -> tuple[Project, ...]:
        """Projects by id after ``after``, of all organisations or one."""
        ...

    def project(self, project_id: TenantId) -> Project:
        """One project.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def add_account(self, account: Account) -> None:
        """Keep an account.

        Raises:
            ConflictError: the organisation has one of this name.
        """
        ...

    def accounts(
        self, organisation_id: OrganisationId, after: str, limit: int
    ) -> tuple[Account, ...]:
        """Accounts of an organisation by id after ``after``."""
        ...

    def account(self, account_id: AccountId) -> Account:
        """One account.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def add_key(self, key: ApiKey) -> None:
        """Keep an API key."""
        ...

    def keys(
        self,
        organisation_id: OrganisationId | None,
        account_id: AccountId | None,
        after: str,
        limit: int,
    ) -> tuple[ApiKey, ...]:
        """Keys by id after ``after``, of an organisation or of an account if named."""
        ...

    def key(self, key_id: ApiKeyId) -> ApiKey:
        """One key, also when it is over.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def find_caller(self, key_id: ApiKeyId) -> tuple[ApiKey, Account] | None:
        """A key and its account; None when there is no such key or the account is removed."""
        ...

    def touch_key(self, key_id: ApiKeyId, now_s: float) -> None:
        """Note that a key was used."""
        ...

    def revoke_key(self, key_id: ApiKeyId, now_s: float) -> ApiKey:
        """End a key at once; a revoked one stays as it is.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def add_ssh_key(self, key: SshKey) -> None:
        """Keep an SSH key.

        Raises:
            ConflictError: the project has one of this name.
        """
        ...

    def ssh_keys(self, project_id: TenantId, after: str, limit: int) -> tuple[SshKey, ...]:
        """SSH keys of a project by id after ``after``."""
        ...

    def ssh_key(self, ssh_key_id: str) -> SshKey:
        """One SSH key.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def remove_ssh_key(self, ssh_key_id: str) -> None:
        """Forget an SSH key; clusters that have it keep it."""
        ...

    def keep_plan(self, plan: Plan) -> None:
        """Keep a plan that was shown; those long expired are dropped."""
        ...

    def plan(self, plan_id: PlanId) -> Plan:
        """A plan that was shown.

        Raises:
            UnknownIdError: there is none, or it expired long ago.
        """
        ...

    def open_request(
        self,
        account_id: AccountId,
        idempotency_key: str,
        digest: str,
        drawn: Try,
        now_s: float,
    ) -> KeptAnswer | OpenedRequest:
        """The answer kept under an idempotency key, or leave to carry the request out.

        Raises:
            ConflictError: the same request is being carried out by a try that is not over.
            KeyReusedError: the key came with another request before.
        """
        ...

    def close_request(
        self,
        account_id: AccountId,
        idempotency_key: str,
        holder: str,
        answer: KeptAnswer | None,
    ) -> None:
        """Keep the answer, or none, so that the request may be tried again.

        A try that another one has followed changes nothing. Every try draws the same operation,
        so one that follows finds what one before has committed.
        """
        ...

    def add_audit(self, entry: AuditEntry) -> Anchor:
        """Append to the audit of calls; the row's place in the chain, which ``entry`` has not."""
        ...

    def audit(
        self, organisation_id: OrganisationId, before: int, limit: int
    ) -> tuple[AuditEntry, ...]:
        """Calls of an organisation's accounts, newest first, before a sequence number."""
        ...

    def cluster_page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool, name: str | None
    ) -> tuple[tuple[int, ClusterRecord], ...]:
        """Clusters, newest first, each with its place in that order, before a place."""
        ...

    def operation_page(
        self, reach: Reach, before: int, limit: int, cluster_id: ClusterId | None
    ) -> tuple[OperationLine, ...]:
        """Operations, newest first, those opened before a generation."""
        ...

    def operation_line(self, operation_id: OperationId) -> OperationLine:
        """One operation without its plan.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def event_page(
        self, reach: Reach, after: int, limit: int, cluster_id: ClusterId | None
    ) -> tuple[Event, ...]:
        """Events after a sequence number, oldest first."""
        ...

    def newest_event(self) -> int:
        """Sequence number of the newest event, 0 if there is none."""
        ...

    def held_gpus(self, project_id: TenantId) -> int:
        """GPUs that the clusters of a project hold."""
        ...

    def ask_cancel(self, operation_id: OperationId, account_id: AccountId, now_s: float) -> None:
        """Note that an operation shall be unwound; whoever carries it looks here."""
        ...

    def cancellations(self, among: Collection[OperationId]) -> Mapping[OperationId, str]:
        """Who asked to cancel, in words that tenants read, for operations that shall be unwound."""
        ...
