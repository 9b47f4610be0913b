"""Who a person is here: the account that is theirs, or the one that they are admitted to.

Deny by default: without an account, an invitation or a rule, nobody comes in. An e-mail address
counts only if the provider vouches for it, and only at the first login; afterwards issuer and
subject say who somebody is.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gigawatt.errors import ConflictError, ForbiddenError
from gigawatt.identity.accounts import Account, AccountId, AccountRole, OrganisationId
from gigawatt.identity.claims import verified_email
from gigawatt.identity.invitations import (
    Invitation,
    LoginIdentity,
    check_invitation,
    parse_link,
)
from gigawatt.identity.provider import LoginSettings
from gigawatt.interfaces.members import Members


class Doorkeeper:
    """Admits people whom a provider vouches for."""

    def __init__(
        self,
        settings: LoginSettings,
        members: Members,
        new_id: Callable[[str], str],
        now_s: Callable[[], float],
    ) -> None:
        """Judge by the settings and the invitations; ``new_id`` draws an id with a prefix."""
        self._settings = settings
        self._members = members
        self._new_id = new_id
        self._now_s = now_s

    def account_of(self, claims: Mapping[str, Any], link: str) -> Account:
        """The account of a person; made now if this is their first login.

        Args:
            claims: judged; ``sub`` is a text.
            link: what the link of an invitation carried, or empty.

        Raises:
            ConflictError: the invitation is over or for somebody else, or several are open.
            ForbiddenError: nobody asked the person in.
            UnknownIdError: there is no such invitation.
        """
        subject, email = str(claims["sub"]), verified_email(claims)
        if not self._settings.is_welcome(email):
            raise ForbiddenError(
                "the e-mail address is not verified, or not at a domain that may log in",
                next_step="Ask the operator of this service.",
            )
        known = self._members.find_login(self._settings.issuer, subject)
        if known is not None:
            self._refuse_second(link, known)
            return known
        invitation = self._invitation_for(link, email)
        made = self._new_account(claims, email, invitation)
        login = LoginIdentity(
            self._settings.issuer, subject, made.account_id, email or "", made.created_s
        )
        invitation_id = None if invitation is None else invitation.invitation_id
        return self._members.add_login(login, made, invitation_id)

    def _refuse_second(self, link: str, known: Account) -> None:
        """A person has one account; saying nothing would look as if the invitation was taken up."""
        if link and self._members.invitation(parse_link(link)[0]).account_id != known.account_id:
            raise ConflictError(
                "you have an account here, and the invitation would make another",
                next_step="Log in without the link; or ask for the old account to be deleted.",
            )

    def _invitation_for(self, link: str, email: str | None) -> Invitation | None:
        now_s = self._now_s()
        if link:
            invitation_id, secret = parse_link(link)
            found = self._members.invitation(invitation_id)
            return check_invitation(found, secret, email, now_s)
        if email is None:
            return None
        waiting = self._members.open_invitations(email, now_s)
        if len(waiting) > 1:
            raise ConflictError(
                f"{email} is invited by {len(waiting)} organisations",
                next_step="Open the link of the invitation that you want to take up.",
            )
        return waiting[0] if waiting else None

    def _new_account(
        self, claims: Mapping[str, Any], email: str | None, invitation: Invitation | None
    ) -> Account:
        if invitation is not None:
            organisation_id, role = invitation.organisation_id, invitation.role
            project_id = invitation.project_id
        else:
            organisation_id, role = self._by_rule(claims, email)
            project_id = None
        return Account(
            account_id=AccountId(self._new_id("acc")),
            organisation_id=organisation_id,
            name=_name_of(claims, email),
            kind="user",
            role=role,
            created_s=self._now_s(),
            project_id=project_id,
        )

    def _by_rule(
        self, claims: Mapping[str, Any], email: str | None
    ) -> tuple[OrganisationId, AccountRole]:
        rule = self._settings.rule_for(claims, email)
        found = None if rule is None else self._members.find_organisation(rule.organisation)
        if rule is None or found is None:
            raise ForbiddenError(
                "the login provider knows you, but nobody has asked you in here",
                next_step="Ask an owner of your organisation for an invitation.",
            )
        return found, rule.role


def _name_of(claims: Mapping[str, Any], email: str | None) -> str:
    """What an account is called: the verified address, else the subject, which is always there."""
    return (email or str(claims["sub"])).strip()[:128] or "person"
