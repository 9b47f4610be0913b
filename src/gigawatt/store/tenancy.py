"""``SqlTenancy``: the ``Tenancy`` on the store's own database."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from sqlalchemy import Connection, Table, delete, false, func, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError
from gigawatt.identity.accounts import AccountRole, Organisation, OrganisationId, Project
from gigawatt.ids import TenantId
from gigawatt.interfaces.tenancy import Tenancy
from gigawatt.store import directory_accounts as rows
from gigawatt.store.database import Database, raise_generation
from gigawatt.store.directory_schema import accounts, api_keys, organisations, projects, ssh_keys
from gigawatt.store.members import erase_account
from gigawatt.store.people_schema import invitations, metadata
from gigawatt.store.queue_schema import quota_limits, turned_away, waiting_requests
from gigawatt.store.storage_quota_schema import storage_quotas
from gigawatt.store.store import SqlStore
from gigawatt.store.usage_records_schema import (
    external_usages,
    storage_meters,
    storage_records,
    usage_meters,
    usage_records,
)

ENDS_WITH_PROJECT = frozenset(
    {table.name for table in (ssh_keys, api_keys, invitations, storage_quotas, quota_limits)}
)
"""Tables whose rows of a project end with it."""

STAYS_AFTER_PROJECT = frozenset(
    {
        turned_away.name,
        usage_meters.name,
        usage_records.name,
        storage_meters.name,
        storage_records.name,
        external_usages.name,
    }
)
"""Tables of what was: they keep the id. Rows of any other table keep a project from ending."""


def open_tenancy(store: SqlStore) -> "SqlTenancy":
    """The tenancy in a store's database."""
    return SqlTenancy(store.database)


class SqlTenancy:
    """Names and ends of organisations and projects; each method is what ``Tenancy`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def rename_organisation(self, organisation_id: OrganisationId, name: str) -> Organisation:
        """Give an organisation another name; the organisation after it."""
        with self._database.write() as connection:
            rows.read_organisation(connection, organisation_id)
            is_it = organisations.c.organisation_id == organisation_id
            try:
                connection.execute(update(organisations).where(is_it).values(name=name))
            except IntegrityError as error:
                raise _taken("organisation", name) from error
            return rows.read_organisation(connection, organisation_id)

    def remove_organisation(self, organisation_id: OrganisationId, now_s: float) -> None:
        """Remove an organisation with its accounts and all that these log in with."""
        with self._database.write() as connection:
            raise_generation(connection)
            rows.read_organisation(connection, organisation_id)
            held = rows.read_projects(connection, organisation_id, "", 10)
            if held:
                names = ", ".join(repr(project.name) for project in held)
                raise ConflictError(
                    f"organisation {organisation_id!r} has projects: {names}",
                    next_step="Delete its projects first.",
                )
            _keep_operator(connection, organisation_id)
            members = select(accounts.c.account_id).where(
                accounts.c.organisation_id == organisation_id
            )
            for account_id in connection.execute(members).scalars().all():
                erase_account(connection, account_id, now_s)
            for table in (invitations, organisations):
                _delete_rows(connection, table, "organisation_id", organisation_id)

    def rename_project(self, project_id: TenantId, name: str) -> Project:
        """Give a project another name; the project after it."""
        with self._database.write() as connection:
            rows.read_project(connection, project_id)
            is_it = projects.c.project_id == project_id
            try:
                connection.execute(update(projects).where(is_it).values(name=name))
            except IntegrityError as error:
                raise _taken("project", name) from error
            return rows.read_project(connection, project_id)

    def remove_project(self, project_id: TenantId, now_s: float) -> None:
        """Remove a project that holds nothing."""
        with self._database.write() as connection:
            # A plan for it that is being committed was made before this, and is judged again.
            raise_generation(connection)
            rows.read_project(connection, project_id)
            held = list(_held(connection, project_id))
            if held:
                raise ConflictError(
                    f"project {project_id!r} holds {', '.join(held)}",
                    next_step="Release or delete what it holds first.",
                )
            connection.execute(
                update(api_keys)
                .where(api_keys.c.project_id == project_id, api_keys.c.revoked_s.is_(None))
                .values(revoked_s=now_s)
            )
            for table in (ssh_keys, invitations, storage_quotas, quota_limits, projects):
                _delete_rows(connection, table, "project_id", project_id)


def _held(connection: Connection, project_id: TenantId) -> Iterator[str]:
    """What keeps a project from ending, e.g. "2 clusters"; of tables that others add, too."""
    settled = ENDS_WITH_PROJECT | STAYS_AFTER_PROJECT
    for table in metadata.sorted_tables:
        column = table.c.get("project_id", table.c.get("tenant_id"))
        if column is None or table is projects or table.name in settled:
            continue
        query = select(func.count()).where(column == project_id)
        if table is waiting_requests:
            query = query.where(table.c.state == "waiting")
        if "is_ended" in table.c:
            query = query.where(table.c.is_ended == false())
        count = connection.execute(query).scalar_one()
        if count:
            yield f"{count} {table.name.replace('_', ' ')}{'' if count == 1 else 's'}"


def _keep_operator(connection: Connection, organisation_id: OrganisationId) -> None:
    query = select(func.count()).where(
        accounts.c.role == AccountRole.OPERATOR.value,
        accounts.c.organisation_id != organisation_id,
    )
    if connection.execute(query).scalar_one() == 0:
        raise ConflictError(
            f"organisation {organisation_id!r} has the last operator of the site",
            next_step="Make an operator in another organisation first.",
        )


def _delete_rows(connection: Connection, table: Table, column: str, value: str) -> None:
    try:
        connection.execute(delete(table).where(table.c[column] == value))
    except IntegrityError as error:
        raise ConflictError(
            f"something still refers to {value!r}", next_step="Delete what it holds first."
        ) from error


def _taken(what: str, name: str) -> ConflictError:
    return ConflictError(f"{what} {name!r} is taken already", next_step="Choose another name.")


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Tenancy] = SqlTenancy
