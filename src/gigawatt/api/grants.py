"""What nobody may give away: a role beyond one's own."""

from gigawatt.api.access import Access
from gigawatt.errors import ForbiddenError
from gigawatt.identity.accounts import AccountRole
from gigawatt.identity.permissions import can_grant


def refuse_climb(access: Access, role: AccountRole) -> AccountRole:
    """The role, if the caller may give it to, or take it from, an account.

    Raises:
        ForbiddenError: only an operator may.
    """
    if not can_grant(access.caller, role):
        raise ForbiddenError(f"only an operator may give or take the role {role.value!r}")
    return role
