"""What keeps the people of organisations must offer: invitations, logins, roles, key secrets.

Each method is one transaction, as in ``Directory``.
"""

from dataclasses import dataclass
from typing import Protocol

from gigawatt.identity.accounts import Account, AccountId, AccountRole, ApiKeyId, OrganisationId
from gigawatt.identity.invitations import Invitation, InvitationId, LoginIdentity
from gigawatt.identity.keys import ApiKey


@dataclass(frozen=True, slots=True)
class NewSecret:
    """What a rotation writes: the digest of the new secret, and how long the old one is taken."""

    digest: str
    grace_s: float


class Members(Protocol):
    """Durable people and programs of organisations, beyond what ``Directory`` offers."""

    def add_invitation(self, invitation: Invitation) -> None:
        """Keep an invitation.

        Raises:
            ConflictError: an open one asks the same person into the organisation.
        """
        ...

    def invitations(
        self, organisation_id: OrganisationId, after: str, limit: int
    ) -> tuple[Invitation, ...]:
        """Invitations of an organisation by id after ``after``, those that are over too."""
        ...

    def invitation(self, invitation_id: InvitationId) -> Invitation:
        """One invitation.

        Raises:
            UnknownIdError: there is none.
        """
        ...

    def open_invitations(self, email: str, now_s: float) -> tuple[Invitation, ...]:
        """Invitations that a person with this plain address may take up."""
        ...

    def remove_invitation(self, invitation_id: InvitationId) -> None:
        """Forget an invitation; an account that came of it stays."""
        ...

    def find_login(self, issuer: str, subject: str) -> Account | None:
        """The account of a person whom a provider knows by this subject."""
        ...

    def add_login(
        self, login: LoginIdentity, account: Account, invitation_id: InvitationId | None
    ) -> Account:
        """Make an account for a person, taking up an invitation if one is named.

        The account's name is changed if the organisation has one of this name.

        Raises:
            ConflictError: the invitation is over, or the person has an account already.
        """
        ...

    def find_organisation(self, name: str) -> OrganisationId | None:
        """The organisation of this name."""
        ...

    def change_role(self, account_id: AccountId, role: AccountRole, by: Account) -> Account:
        """Give an account another role; the account after it.

        Raises:
            ConflictError: it would leave an organisation without an owner or the site without
                an operator.
            UnknownIdError: there is none.
        """
        ...

    def remove_account(self, account_id: AccountId, by: Account, now_s: float) -> None:
        """Remove an account; its keys, sessions and logins end.

        Raises:
            ConflictError: as ``change_role``.
            UnknownIdError: there is none.
        """
        ...

    def rotate_key(self, key_id: ApiKeyId, new: NewSecret, now_s: float) -> ApiKey:
        """Give a key another secret; the key after it.

        Raises:
            ConflictError: the key is over.
            UnknownIdError: there is none.
        """
        ...
