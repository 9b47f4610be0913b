"""``SqlMembers``: the ``Members`` on the store's own database."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Select, delete, func, select, update

from gigawatt.errors import ConflictError, UnknownIdError
from gigawatt.identity.accounts import (
    LABEL_LENGTH_MAX,
    Account,
    AccountId,
    AccountRole,
    ApiKeyId,
    OrganisationId,
)
from gigawatt.identity.invitations import Invitation, InvitationId, LoginIdentity
from gigawatt.identity.keys import ApiKey
from gigawatt.ids import TenantId
from gigawatt.interfaces.members import Members, NewSecret
from gigawatt.store import directory_accounts as rows
from gigawatt.store.database import Database, lock_generation
from gigawatt.store.directory_schema import accounts, api_keys, organisations
from gigawatt.store.people_schema import invitations, login_identities, sessions
from gigawatt.store.store import SqlStore


def open_members(store: SqlStore) -> "SqlMembers":
    """The members in a store's database."""
    return SqlMembers(store.database)


class SqlMembers:
    """People and programs of organisations; every method is what ``Members`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def add_invitation(self, invitation: Invitation) -> None:
        """Keep an invitation."""
        with self._database.write() as connection:
            lock_generation(connection)
            query = _open(invitation.email, invitation.created_s).where(
                invitations.c.organisation_id == invitation.organisation_id
            )
            if connection.execute(query).first() is not None:
                raise ConflictError(
                    f"{invitation.email!r} is invited into the organisation already",
                    next_step="Delete that invitation to make another.",
                )
            what = f"invitation of {invitation.email!r}"
            rows.add(connection, invitations, asdict(invitation), what)

    def invitations(
        self, organisation_id: OrganisationId, after: str, limit: int
    ) -> tuple[Invitation, ...]:
        """Invitations of an organisation by id after ``after``."""
        query = (
            select(invitations)
            .where(invitations.c.organisation_id == organisation_id)
            .where(invitations.c.invitation_id > after)
            .order_by(invitations.c.invitation_id)
            .limit(limit)
        )
        with self._database.read() as connection:
            return tuple(_invitation(row) for row in connection.execute(query))

    def invitation(self, invitation_id: InvitationId) -> Invitation:
        """One invitation."""
        with self._database.read() as connection:
            return _read_invitation(connection, invitation_id)

    def open_invitations(self, email: str, now_s: float) -> tuple[Invitation, ...]:
        """Invitations that a person with this plain address may take up."""
        with self._database.read() as connection:
            return tuple(_invitation(row) for row in connection.execute(_open(email, now_s)))

    def remove_invitation(self, invitation_id: InvitationId) -> None:
        """Forget an invitation."""
        with self._database.write() as connection:
            connection.execute(
                delete(invitations).where(invitations.c.invitation_id == invitation_id)
            )

    def find_login(self, issuer: str, subject: str) -> Account | None:
        """The account of a person whom a provider knows by this subject."""
        query = select(login_identities.c.account_id).where(
            login_identities.c.issuer == issuer, login_identities.c.subject == subject
        )
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
            return None if found is None else rows.read_account(connection, AccountId(found))

    def add_login(
        self, login: LoginIdentity, account: Account, invitation_id: InvitationId | None
    ) -> Account:
        """Make an account for a person, taking up an invitation if one is named."""
        with self._database.write() as connection:
            lock_generation(connection)
            if invitation_id is not None:
                _take_up(connection, invitation_id, account)
            named = replace(account, name=_free_name(connection, account))
            what = f"account {named.name!r}"
            rows.add(connection, accounts, asdict(named), what)
            rows.add(connection, login_identities, asdict(login), f"login of {what}")
            return named

    def find_organisation(self, name: str) -> OrganisationId | None:
        """The organisation of this name."""
        query = select(organisations.c.organisation_id).where(organisations.c.name == name)
        with self._database.read() as connection:
            found = connection.execute(query).scalar_one_or_none()
            return None if found is None else OrganisationId(found)

    def change_role(self, account_id: AccountId, role: AccountRole, by: Account) -> Account:
        """Give an account another role; the account after it."""
        with self._database.write() as connection:
            lock_generation(connection)
            account = rows.read_account(connection, account_id)
            if role is not account.role:
                _keep_somebody(connection, account, by)
            return rows.write_role(connection, account_id, role)

    def remove_account(self, account_id: AccountId, by: Account, now_s: float) -> None:
        """Remove an account; its keys, sessions and logins end."""
        with self._database.write() as connection:
            lock_generation(connection)
            _keep_somebody(connection, rows.read_account(connection, account_id), by)
            erase_account(connection, account_id, now_s)

    def rotate_key(self, key_id: ApiKeyId, new: NewSecret, now_s: float) -> ApiKey:
        """Give a key another secret; the key after it."""
        with self._database.write() as connection:
            lock_generation(connection)
            key = rows.read_key(connection, key_id)
            is_expired = key.expires_s is not None and key.expires_s <= now_s
            if key.revoked_s is not None or is_expired:
                raise ConflictError(
                    f"API key {key_id!r} is over", next_step="Make a new key instead."
                )
            values = {
                "digest": new.digest,
                "previous_digest": key.digest if new.grace_s > 0 else None,
                "previous_until_s": now_s + new.grace_s if new.grace_s > 0 else None,
            }
            connection.execute(update(api_keys).where(api_keys.c.key_id == key_id).values(values))
            return rows.read_key(connection, key_id)


def erase_account(connection: Connection, account_id: AccountId, now_s: float) -> None:
    """Remove an account with its sessions and logins, and revoke its keys."""
    for table in (sessions, login_identities):
        connection.execute(delete(table).where(table.c.account_id == account_id))
    rows.remove_account(connection, account_id, now_s)


def _keep_somebody(connection: Connection, account: Account, by: Account) -> None:
    """Refuse to take the last owner of an organisation, or the last operator of the site, away.

    An operator may take away any owner, being there to name another. Callers hold the lock, so
    that two owners cannot do it to each other at the same time.

    Raises:
        ConflictError: it is the last.
    """
    is_owner, is_operator = (
        account.role is AccountRole.OWNER,
        account.role is AccountRole.OPERATOR,
    )
    if is_owner and by.role is AccountRole.OPERATOR:
        return
    query = select(func.count()).where(
        accounts.c.role == account.role.value, accounts.c.account_id != account.account_id
    )
    if is_owner:
        query = query.where(accounts.c.organisation_id == account.organisation_id)
    if (is_owner or is_operator) and connection.execute(query).scalar_one() == 0:
        of = "operator of the site" if is_operator else "owner of the organisation"
        raise ConflictError(
            f"account {account.account_id!r} is the last {of}",
            next_step="Give another account this role first.",
        )


def _take_up(connection: Connection, invitation_id: InvitationId, account: Account) -> None:
    """Mark an invitation as taken up; nobody else can.

    Raises:
        ConflictError: somebody has, or it is over.
    """
    if not _read_invitation(connection, invitation_id).is_open(account.created_s):
        raise ConflictError(
            "the invitation was taken up already, or is over", next_step="Ask for a new one."
        )
    connection.execute(
        update(invitations)
        .where(invitations.c.invitation_id == invitation_id)
        .values(accepted_s=account.created_s, account_id=account.account_id)
    )


def _free_name(connection: Connection, account: Account) -> str:
    """The account's name, with the end of its id behind it if another account has that name."""
    query = select(accounts.c.account_id).where(
        accounts.c.organisation_id == account.organisation_id, accounts.c.name == account.name
    )
    if connection.execute(query).first() is None:
        return account.name
    end = f" ({account.account_id[-8:]})"
    return account.name[: LABEL_LENGTH_MAX - len(end)] + end


def _open(email: str, now_s: float) -> Select[Any]:
    return (
        select(invitations)
        .where(invitations.c.email == email, invitations.c.accepted_s.is_(None))
        .where(invitations.c.expires_s > now_s)
        .order_by(invitations.c.invitation_id)
    )


def _read_invitation(connection: Connection, invitation_id: InvitationId) -> Invitation:
    query = select(invitations).where(invitations.c.invitation_id == invitation_id)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise UnknownIdError(f"no invitation {invitation_id!r}")
    return _invitation(row)


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(
        invitation_id=InvitationId(row.invitation_id),
        organisation_id=OrganisationId(row.organisation_id),
        email=row.email,
        role=AccountRole(row.role),
        project_id=None if row.project_id is None else TenantId(row.project_id),
        digest=row.digest,
        invited_by=AccountId(row.invited_by),
        created_s=row.created_s,
        expires_s=row.expires_s,
        accepted_s=row.accepted_s,
        account_id=None if row.account_id is None else AccountId(row.account_id),
    )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Members] = SqlMembers
