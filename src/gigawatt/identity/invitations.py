"""Invitations: how an organisation asks a person in by e-mail, and whose login is theirs.

An invitation is taken up at the first login of a person whose login provider vouches for the same
e-mail address. Its link says which invitation is meant; the link alone lets nobody in.
"""

import re
from dataclasses import dataclass
from hmac import compare_digest
from typing import NewType

from gigawatt.errors import ConflictError, InputError, UnknownIdError
from gigawatt.identity.accounts import AccountId, AccountRole, OrganisationId
from gigawatt.identity.keys import digest_of
from gigawatt.ids import TenantId
from gigawatt.units import DAY_S

InvitationId = NewType("InvitationId", str)

LIFETIME_S_DEFAULT = 7 * DAY_S
LIFETIME_S_MAX = 30 * DAY_S
"""How long an invitation may be taken up. Ours."""

EMAIL_LENGTH_MAX = 254
"""Source: RFC 5321, 4.5.3.1.3, less the angle brackets."""

_EMAIL = re.compile(r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[a-z0-9-]+(\.[a-z0-9-]+)+")
_LINK = re.compile(r"([0-9a-zA-Z-]{1,64})\.([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Invitation:
    """One person asked into one organisation.

    Fields:
        email: lower case, see ``plain_email``.
        project_id: the only project that the account will reach, None for all.
        digest: SHA-256 of the secret in the link, in hex.
        invited_by: account that asked.
        account_id: who came of it, None while nobody has.
        accepted_s: when; all in Unix seconds.
    """

    invitation_id: InvitationId
    organisation_id: OrganisationId
    email: str
    role: AccountRole
    project_id: TenantId | None
    digest: str
    invited_by: AccountId
    created_s: float
    expires_s: float
    accepted_s: float | None = None
    account_id: AccountId | None = None

    def is_open(self, now_s: float) -> bool:
        """Whether it may still be taken up."""
        return self.accepted_s is None and now_s < self.expires_s


@dataclass(frozen=True, slots=True)
class LoginIdentity:
    """A person as a login provider knows them, and the account that is theirs here.

    Fields:
        issuer, subject: together they name a person for good; an e-mail address does not.
        email: what the provider vouched for when the account was made, for people to read.
    """

    issuer: str
    subject: str
    account_id: AccountId
    email: str
    created_s: float


def plain_email(text: str) -> str:
    """An e-mail address in the one form in which addresses are compared: ASCII, lower case.

    Letters beyond ASCII are refused: some look the same as others and become them in lower case.

    Raises:
        InputError: not such an address.

    Example:
        >>> plain_email(" Ada@Example.com ")
        'ada@example.com'
    """
    stripped = text.strip()
    found = stripped.lower()
    is_short = len(found) <= EMAIL_LENGTH_MAX
    if not stripped.isascii() or not is_short or _EMAIL.fullmatch(found) is None:
        raise InputError(f"{text[:80]!r} is not an e-mail address in ASCII")
    return found


def email_domain(email: str) -> str:
    """What stands behind the @ of a plain address."""
    return email.rpartition("@")[2]


def check_reach(role: AccountRole, project_id: TenantId | None) -> None:
    """Refuse an account for one project with a role that is about the whole organisation.

    Raises:
        InputError: it is.
    """
    if project_id is not None and role in {AccountRole.OWNER, AccountRole.OPERATOR}:
        raise InputError(
            f"the role {role.value!r} reaches more than one project",
            next_step="Leave the project out, or choose member, billing or read_only.",
        )


def link_text(invitation_id: InvitationId, secret: str) -> str:
    """What the link of an invitation carries."""
    return f"{invitation_id.removeprefix('inv_')}.{secret}"


def parse_link(text: str) -> tuple[InvitationId, str]:
    """Id and secret of an invitation.

    Raises:
        UnknownIdError: not what a link carries.
    """
    match = _LINK.fullmatch(text)
    if match is None:
        raise _no_invitation()
    return InvitationId(f"inv_{match[1]}"), match[2]


def check_invitation(
    invitation: Invitation | None, secret: str, email: str | None, now_s: float
) -> Invitation:
    """The invitation behind a link, if it is meant for a person with this e-mail address.

    Args:
        invitation: what the link's id names, None for nothing.
        secret: of the link.
        email: plain, vouched for by the login provider; None when it vouches for none.
        now_s: Unix seconds.

    Raises:
        UnknownIdError: there is none, or the secret is not its own.
        ConflictError: it is over, or was for another person.
    """
    kept = invitation.digest if invitation is not None else digest_of("")
    is_right = compare_digest(kept.encode(), digest_of(secret).encode())
    if invitation is None or not is_right:
        raise _no_invitation()
    if not invitation.is_open(now_s):
        raise ConflictError(
            "the invitation was taken up already, or is over",
            next_step="Ask for a new one, or log in without the link.",
        )
    if invitation.email != email:
        raise ConflictError(
            "the invitation is for another e-mail address than the login provider vouches for",
            next_step="Log in as the person who was invited, or ask for a new invitation.",
        )
    return invitation


def _no_invitation() -> UnknownIdError:
    return UnknownIdError("no such invitation", next_step="Ask for a new invitation.")
