"""``SqlDirectory``: the ``Directory`` on the store's own database."""

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING

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
from gigawatt.interfaces.directory import (
    Directory,
    KeptAnswer,
    OpenedRequest,
    OperationLine,
    Reach,
    SshKey,
    Try,
)
from gigawatt.interfaces.store import ClusterRecord, Event
from gigawatt.planner.plan import Plan
from gigawatt.store import call_audit
from gigawatt.store import directory_accounts as rows
from gigawatt.store import directory_pages as pages
from gigawatt.store import directory_requests as kept
from gigawatt.store import directory_schema as tables
from gigawatt.store.database import Database
from gigawatt.store.store import SqlStore


def open_directory(store: SqlStore) -> "SqlDirectory":
    """The directory in a store's database."""
    return SqlDirectory(store.database)


class SqlDirectory:
    """Identity and the API's memory; every method is what ``Directory`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def is_empty(self) -> bool:
        """Whether there is no account at all."""
        with self._database.read() as connection:
            return connection.execute(tables.accounts.select().limit(1)).first() is None

    def add_organisation(self, organisation: Organisation) -> None:
        """Keep an organisation."""
        with self._database.write() as connection:
            rows.add(
                connection,
                tables.organisations,
                asdict(organisation),
                f"organisation {organisation.name!r}",
            )

    def organisations(
        self, only: OrganisationId | None, after: str, limit: int
    ) -> tuple[Organisation, ...]:
        """Organisations by id after ``after``, all or one."""
        with self._database.read() as connection:
            return rows.read_organisations(connection, only, after, limit)

    def organisation(self, organisation_id: OrganisationId) -> Organisation:
        """One organisation."""
        with self._database.read() as connection:
            return rows.read_organisation(connection, organisation_id)

    def add_project(self, project: Project) -> None:
        """Keep a project."""
        with self._database.write() as connection:
            rows.add(connection, tables.projects, asdict(project), f"project {project.name!r}")

    def projects(self, only: OrganisationId | None, after: str, limit: int) -> tuple[Project, ...]:
        """Projects by id after ``after``, of all organisations or one."""
        with self._database.read() as connection:
            return rows.read_projects(connection, only, after, limit)

    def project(self, project_id: TenantId) -> Project:
        """One project."""
        with self._database.read() as connection:
            return rows.read_project(connection, project_id)

    def add_account(self, account: Account) -> None:
        """Keep an account."""
        with self._database.write() as connection:
            rows.add(connection, tables.accounts, asdict(account), f"account {account.name!r}")

    def accounts(
        self, organisation_id: OrganisationId, after: str, limit: int
    ) -> tuple[Account, ...]:
        """Accounts of an organisation by id after ``after``."""
        with self._database.read() as connection:
            return rows.read_accounts(connection, organisation_id, after, limit)

    def account(self, account_id: AccountId) -> Account:
        """One account."""
        with self._database.read() as connection:
            return rows.read_account(connection, account_id)

    def add_key(self, key: ApiKey) -> None:
        """Keep an API key."""
        with self._database.write() as connection:
            rows.write_key(connection, key)

    def keys(
        self,
        organisation_id: OrganisationId | None,
        account_id: AccountId | None,
        after: str,
        limit: int,
    ) -> tuple[ApiKey, ...]:
        """Keys by id after ``after``, of an organisation or of an account if named."""
        with self._database.read() as connection:
            return rows.read_keys(connection, (organisation_id, account_id), after, limit)

    def key(self, key_id: ApiKeyId) -> ApiKey:
        """One key, also when it is over."""
        with self._database.read() as connection:
            return rows.read_key(connection, key_id)

    def find_caller(self, key_id: ApiKeyId) -> tuple[ApiKey, Account] | None:
        """A key and its account; None when either is missing."""
        with self._database.read() as connection:
            return rows.find_caller(connection, key_id)

    def touch_key(self, key_id: ApiKeyId, now_s: float) -> None:
        """Note that a key was used."""
        with self._database.write() as connection:
            rows.stamp_key(connection, key_id, last_used_s=now_s)

    def revoke_key(self, key_id: ApiKeyId, now_s: float) -> ApiKey:
        """End a key at once; a revoked one stays as it is."""
        with self._database.write() as connection:
            if rows.read_key(connection, key_id).revoked_s is None:
                rows.stamp_key(connection, key_id, revoked_s=now_s)
            return rows.read_key(connection, key_id)

    def add_ssh_key(self, key: SshKey) -> None:
        """Keep an SSH key."""
        with self._database.write() as connection:
            rows.add(connection, tables.ssh_keys, asdict(key), f"SSH key {key.name!r}")

    def ssh_keys(self, project_id: TenantId, after: str, limit: int) -> tuple[SshKey, ...]:
        """SSH keys of a project by id after ``after``."""
        with self._database.read() as connection:
            return rows.read_ssh_keys(connection, project_id, after, limit)

    def ssh_key(self, ssh_key_id: str) -> SshKey:
        """One SSH key."""
        with self._database.read() as connection:
            return rows.read_ssh_key(connection, ssh_key_id)

    def remove_ssh_key(self, ssh_key_id: str) -> None:
        """Forget an SSH key; clusters that have it keep it."""
        with self._database.write() as connection:
            rows.remove_ssh_key(connection, ssh_key_id)

    def keep_plan(self, plan: Plan) -> None:
        """Keep a plan that was shown; those long expired are dropped."""
        with self._database.write() as connection:
            kept.keep_plan(connection, plan)

    def plan(self, plan_id: PlanId) -> Plan:
        """A plan that was shown."""
        with self._database.read() as connection:
            return kept.read_plan(connection, plan_id)

    def open_request(
        self,
        account_id: AccountId,
        idempotency_key: str,
        digest: str,
        drawn: Try,
        now_s: float,
    ) -> KeptAnswer | OpenedRequest:
        """The answer kept under an idempotency key, or leave to carry the request out."""
        with self._database.write() as connection:
            whose = (account_id, idempotency_key)
            return kept.open_request(connection, whose, digest, drawn, now_s)

    def close_request(
        self,
        account_id: AccountId,
        idempotency_key: str,
        holder: str,
        answer: KeptAnswer | None,
    ) -> None:
        """Keep the answer, or none, so that the request may be tried again."""
        with self._database.write() as connection:
            kept.close_request(connection, (account_id, idempotency_key), holder, answer)

    def add_audit(self, entry: AuditEntry) -> Anchor:
        """Append to the audit of calls; the row's place in the chain."""
        with self._database.write() as connection:
            return call_audit.append(connection, entry)

    def audit(
        self, organisation_id: OrganisationId, before: int, limit: int
    ) -> tuple[AuditEntry, ...]:
        """Calls of an organisation's accounts, newest first, before a sequence number."""
        with self._database.read() as connection:
            return call_audit.read_page(connection, organisation_id, before, limit)

    def cluster_page(
        self, reach: Reach, before: int, limit: int, *, with_ended: bool, name: str | None
    ) -> tuple[tuple[int, ClusterRecord], ...]:
        """Clusters, newest first, each with its place in that order, before a place."""
        with self._database.read() as connection:
            return pages.cluster_page(
                connection, reach, (before, limit), with_ended=with_ended, name=name
            )

    def operation_page(
        self, reach: Reach, before: int, limit: int, cluster_id: ClusterId | None
    ) -> tuple[OperationLine, ...]:
        """Operations, newest first, those opened before a generation."""
        with self._database.read() as connection:
            return pages.operation_page(connection, reach, (before, limit), cluster_id)

    def operation_line(self, operation_id: OperationId) -> OperationLine:
        """One operation without its plan."""
        with self._database.read() as connection:
            return pages.operation_line(connection, operation_id)

    def event_page(
        self, reach: Reach, after: int, limit: int, cluster_id: ClusterId | None
    ) -> tuple[Event, ...]:
        """Events after a sequence number, oldest first."""
        with self._database.read() as connection:
            return pages.event_page(connection, reach, (after, limit), cluster_id)

    def newest_event(self) -> int:
        """Sequence number of the newest event, 0 if there is none."""
        with self._database.read() as connection:
            return pages.newest_event(connection)

    def held_gpus(self, project_id: TenantId) -> int:
        """GPUs that the clusters of a project hold."""
        with self._database.read() as connection:
            return pages.held_gpus(connection, project_id)

    def ask_cancel(self, operation_id: OperationId, account_id: AccountId, now_s: float) -> None:
        """Note that an operation shall be unwound."""
        with self._database.write() as connection:
            pages.ask_cancel(connection, operation_id, account_id, now_s)

    def cancellations(self, among: Collection[OperationId]) -> Mapping[OperationId, str]:
        """Who asked to cancel, in words that tenants read, for operations that shall be unwound."""
        with self._database.read() as connection:
            return pages.read_cancellations(connection, among)


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Directory] = SqlDirectory
