"""Rows of organisations, projects, accounts, API keys and SSH keys."""

from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import (
    Account,
    AccountId,
    AccountRole,
    ApiKeyId,
    Organisation,
    OrganisationId,
    Project,
)
from gigawatt.identity.keys import ApiKey
from gigawatt.ids import TenantId
from gigawatt.interfaces.directory import SshKey
from gigawatt.store.directory_schema import accounts, api_keys, organisations, projects, ssh_keys


def add(connection: Connection, table: Table, row: dict[str, Any], what: str) -> None:
    """Insert a row.

    Raises:
        ConflictError: a name or an id is taken.
    """
    try:
        connection.execute(insert(table), row)
    except IntegrityError as error:
        raise ConflictError(
            f"{what} is taken already, or what it belongs to is gone",
            next_step="Choose another name.",
        ) from error


def _one(connection: Connection, table: Table, value: str, what: str) -> Row[Any]:
    column = next(iter(table.primary_key.columns))
    row = connection.execute(select(table).where(column == value)).one_or_none()
    if row is None:
        raise UnknownIdError(f"no {what} {value!r}")
    return row


def read_organisation(connection: Connection, organisation_id: OrganisationId) -> Organisation:
    """One organisation.

    Raises:
        UnknownIdError: there is none.
    """
    return _organisation(_one(connection, organisations, organisation_id, "organisation"))


def read_organisations(
    connection: Connection, only: OrganisationId | None, after: str, limit: int
) -> tuple[Organisation, ...]:
    """A page of organisations."""
    query = select(organisations).where(organisations.c.organisation_id > after)
    if only is not None:
        query = query.where(organisations.c.organisation_id == only)
    query = query.order_by(organisations.c.organisation_id).limit(limit)
    return tuple(_organisation(row) for row in connection.execute(query))


def _organisation(row: Row[Any]) -> Organisation:
    return Organisation(OrganisationId(row.organisation_id), row.name, row.created_s)


def read_project(connection: Connection, project_id: TenantId) -> Project:
    """One project.

    Raises:
        UnknownIdError: there is none.
    """
    return _project(_one(connection, projects, project_id, "project"))


def read_projects(
    connection: Connection, only: OrganisationId | None, after: str, limit: int
) -> tuple[Project, ...]:
    """A page of projects."""
    query = select(projects).where(projects.c.project_id > after)
    if only is not None:
        query = query.where(projects.c.organisation_id == only)
    return tuple(
        _project(row)
        for row in connection.execute(query.order_by(projects.c.project_id).limit(limit))
    )


def _project(row: Row[Any]) -> Project:
    return Project(
        TenantId(row.project_id),
        OrganisationId(row.organisation_id),
        row.name,
        row.gpu_count_max,
        row.created_s,
    )


def write_quota(connection: Connection, project_id: TenantId, gpu_count_max: int) -> Project:
    """Write a quota; the project after it.

    Raises:
        UnknownIdError: there is none.
    """
    statement = update(projects).where(projects.c.project_id == project_id)
    connection.execute(statement.values(gpu_count_max=gpu_count_max))
    return read_project(connection, project_id)


def read_account(connection: Connection, account_id: AccountId) -> Account:
    """One account.

    Raises:
        UnknownIdError: there is none.
    """
    return _account(_one(connection, accounts, account_id, "account"))


def read_accounts(
    connection: Connection, organisation_id: OrganisationId, after: str, limit: int
) -> tuple[Account, ...]:
    """A page of an organisation's accounts."""
    query = (
        select(accounts)
        .where(accounts.c.organisation_id == organisation_id, accounts.c.account_id > after)
        .order_by(accounts.c.account_id)
        .limit(limit)
    )
    return tuple(_account(row) for row in connection.execute(query))


def _account(row: Row[Any]) -> Account:
    return Account(
        AccountId(row.account_id),
        OrganisationId(row.organisation_id),
        row.name,
        row.kind,
        AccountRole(row.role),
        row.created_s,
        None if row.project_id is None else TenantId(row.project_id),
    )


def write_role(connection: Connection, account_id: AccountId, role: AccountRole) -> Account:
    """Write a role; the account after it.

    Raises:
        UnknownIdError: there is none.
    """
    statement = update(accounts).where(accounts.c.account_id == account_id)
    connection.execute(statement.values(role=role.value))
    return read_account(connection, account_id)


def remove_account(connection: Connection, account_id: AccountId, now_s: float) -> None:
    """Remove an account and revoke its keys.

    Raises:
        UnknownIdError: there is none.
    """
    read_account(connection, account_id)
    connection.execute(
        update(api_keys)
        .where(api_keys.c.account_id == account_id, api_keys.c.revoked_s.is_(None))
        .values(revoked_s=now_s)
    )
    connection.execute(delete(accounts).where(accounts.c.account_id == account_id))


def read_key(connection: Connection, key_id: ApiKeyId) -> ApiKey:
    """One API key.

    Raises:
        UnknownIdError: there is none.
    """
    return _key(_one(connection, api_keys, key_id, "API key"))


def read_keys(
    connection: Connection,
    owner: tuple[OrganisationId | None, AccountId | None],
    after: str,
    limit: int,
) -> tuple[ApiKey, ...]:
    """A page of keys of an organisation, or of an account."""
    organisation_id, account_id = owner
    query = select(api_keys).where(api_keys.c.key_id > after)
    if organisation_id is not None:
        query = query.where(api_keys.c.organisation_id == organisation_id)
    if account_id is not None:
        query = query.where(api_keys.c.account_id == account_id)
    rows = connection.execute(query.order_by(api_keys.c.key_id).limit(limit))
    return tuple(_key(row) for row in rows)


def _key(row: Row[Any]) -> ApiKey:
    return ApiKey(
        key_id=ApiKeyId(row.key_id),
        account_id=AccountId(row.account_id),
        project_id=None if row.project_id is None else TenantId(row.project_id),
        name=row.name,
        digest=row.digest,
        created_s=row.created_s,
        expires_s=row.expires_s,
        last_used_s=row.last_used_s,
        revoked_s=row.revoked_s,
        previous_digest=row.previous_digest,
        previous_until_s=row.previous_until_s,
    )


def find_caller(connection: Connection, key_id: ApiKeyId) -> tuple[ApiKey, Account] | None:
    """A key and its account, None when either is missing."""
    query = (
        select(api_keys, accounts.c.name.label("account_name"), accounts.c.kind, accounts.c.role)
        .add_columns(accounts.c.created_s.label("account_created_s"))
        .add_columns(accounts.c.project_id.label("account_project_id"))
        .join(accounts, accounts.c.account_id == api_keys.c.account_id)
        .where(api_keys.c.key_id == key_id)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    account = Account(
        AccountId(row.account_id),
        OrganisationId(row.organisation_id),
        row.account_name,
        row.kind,
        AccountRole(row.role),
        row.account_created_s,
        None if row.account_project_id is None else TenantId(row.account_project_id),
    )
    key = _key(row)
    # Whatever a key was made for, it reaches no further than its account.
    return replace(key, project_id=account.project_id or key.project_id), account


def write_key(connection: Connection, key: ApiKey) -> None:
    """Keep an API key.

    Raises:
        UnknownIdError: its account is gone.
    """
    owner = read_account(connection, key.account_id)
    row = {
        "key_id": key.key_id,
        "account_id": key.account_id,
        "organisation_id": owner.organisation_id,
        "project_id": key.project_id,
        "name": key.name,
        "digest": key.digest,
        "created_s": key.created_s,
        "expires_s": key.expires_s,
    }
    add(connection, api_keys, row, f"API key {key.key_id!r}")


def stamp_key(connection: Connection, key_id: ApiKeyId, **at: float) -> None:
    """Write ``last_used_s`` or ``revoked_s`` of a key."""
    connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(**at))


def read_ssh_key(connection: Connection, ssh_key_id: str) -> SshKey:
    """One SSH key.

    Raises:
        UnknownIdError: there is none.
    """
    return _ssh_key(_one(connection, ssh_keys, ssh_key_id, "SSH key"))


def read_ssh_keys(
    connection: Connection, project_id: TenantId, after: str, limit: int
) -> tuple[SshKey, ...]:
    """A page of a project's SSH keys."""
    query = (
        select(ssh_keys)
        .where(ssh_keys.c.project_id == project_id, ssh_keys.c.ssh_key_id > after)
        .order_by(ssh_keys.c.ssh_key_id)
        .limit(limit)
    )
    return tuple(_ssh_key(row) for row in connection.execute(query))


def _ssh_key(row: Row[Any]) -> SshKey:
    return SshKey(row.ssh_key_id, TenantId(row.project_id), row.name, row.public_key, row.created_s)


def remove_ssh_key(connection: Connection, ssh_key_id: str) -> None:
    """Forget an SSH key."""
    connection.execute(delete(ssh_keys).where(ssh_keys.c.ssh_key_id == ssh_key_id))
