"""What keeps sessions must offer. Each method is one transaction, as in ``Directory``."""

from typing import Protocol

from gigawatt.identity.accounts import Account, AccountId, OrganisationId
from gigawatt.identity.sessions import Session, SessionId


class Sessions(Protocol):
    """Durable sessions of people who logged in with a browser."""

    def add_session(self, session: Session, replaced: SessionId | None) -> None:
        """Keep a session, and end the one that the same browser had before.

        Those that are over are dropped, and of one account all but the newest few.

        Raises:
            UnknownIdError: its account is gone.
        """
        ...

    def find_session(self, session_id: SessionId) -> tuple[Session, Account] | None:
        """A session and its account; None when either is gone."""
        ...

    def touch_session(self, session_id: SessionId, now_s: float) -> None:
        """Note that a session was used."""
        ...

    def end_session(self, session_id: SessionId) -> None:
        """End a session at once; one that is over already is no error."""
        ...

    def sessions(
        self,
        organisation_id: OrganisationId | None,
        account_id: AccountId | None,
        after: str,
        limit: int,
    ) -> tuple[Session, ...]:
        """Sessions by id after ``after``, of an organisation or of an account if named."""
        ...
