"""``SqlSessions``: the ``Sessions`` on the store's own database."""

from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, Select, delete, insert, select, update

from gigawatt.identity.accounts import Account, AccountId, OrganisationId
from gigawatt.identity.sessions import SESSION_COUNT_MAX, Session, SessionId
from gigawatt.ids import TenantId
from gigawatt.interfaces.sessions import Sessions
from gigawatt.store.database import Database
from gigawatt.store.directory_accounts import read_account
from gigawatt.store.directory_schema import accounts
from gigawatt.store.people_schema import sessions
from gigawatt.store.store import SqlStore


def open_sessions(store: SqlStore) -> "SqlSessions":
    """The sessions in a store's database."""
    return SqlSessions(store.database)


class SqlSessions:
    """Sessions; every method is what ``Sessions`` says of it."""

    def __init__(self, database: Database) -> None:
        """Serve from a database that has the tables."""
        self._database = database

    def add_session(self, session: Session, replaced: SessionId | None) -> None:
        """Keep a session, and end the one that the same browser had before."""
        newest = (
            select(sessions.c.session_id)
            .where(sessions.c.account_id == session.account_id)
            .order_by(sessions.c.last_used_s.desc(), sessions.c.session_id)
            .limit(SESSION_COUNT_MAX - 1)
        )
        with self._database.write() as connection:
            read_account(connection, session.account_id)
            is_over = sessions.c.expires_s <= session.created_s
            connection.execute(
                delete(sessions).where(is_over | (sessions.c.session_id == (replaced or "")))
            )
            kept = connection.execute(newest).scalars().all()
            is_mine = sessions.c.account_id == session.account_id
            connection.execute(delete(sessions).where(is_mine, sessions.c.session_id.not_in(kept)))
            connection.execute(
                insert(sessions),
                {
                    "session_id": session.session_id,
                    "account_id": session.account_id,
                    "digest": session.digest,
                    "created_s": session.created_s,
                    "last_used_s": session.last_used_s,
                    "expires_s": session.expires_s,
                    "address": session.address,
                    "user_agent": session.user_agent,
                },
            )

    def find_session(self, session_id: SessionId) -> tuple[Session, Account] | None:
        """A session and its account; None when either is gone."""
        with self._database.read() as connection:
            row = connection.execute(
                _query().where(sessions.c.session_id == session_id)
            ).one_or_none()
            if row is None:
                return None
            return _session(row), read_account(connection, AccountId(row.account_id))

    def touch_session(self, session_id: SessionId, now_s: float) -> None:
        """Note that a session was used."""
        with self._database.write() as connection:
            connection.execute(
                update(sessions)
                .where(sessions.c.session_id == session_id)
                .values(last_used_s=now_s)
            )

    def end_session(self, session_id: SessionId) -> None:
        """End a session at once."""
        with self._database.write() as connection:
            connection.execute(delete(sessions).where(sessions.c.session_id == session_id))

    def sessions(
        self,
        organisation_id: OrganisationId | None,
        account_id: AccountId | None,
        after: str,
        limit: int,
    ) -> tuple[Session, ...]:
        """Sessions by id after ``after``, of an organisation or of an account if named."""
        query = _query().where(sessions.c.session_id > after)
        if organisation_id is not None:
            query = query.where(accounts.c.organisation_id == organisation_id)
        if account_id is not None:
            query = query.where(sessions.c.account_id == account_id)
        with self._database.read() as connection:
            rows = connection.execute(query.order_by(sessions.c.session_id).limit(limit))
            return tuple(_session(row) for row in rows)


def _query() -> Select[Any]:
    return select(sessions, accounts.c.project_id).join(
        accounts, accounts.c.account_id == sessions.c.account_id
    )


def _session(row: Row[Any]) -> Session:
    return Session(
        session_id=SessionId(row.session_id),
        account_id=AccountId(row.account_id),
        project_id=None if row.project_id is None else TenantId(row.project_id),
        digest=row.digest,
        created_s=row.created_s,
        last_used_s=row.last_used_s,
        expires_s=row.expires_s,
        address=row.address,
        user_agent=row.user_agent,
    )


if TYPE_CHECKING:
    _KEEPS_THE_CONTRACT: type[Sessions] = SqlSessions
