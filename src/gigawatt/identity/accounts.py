"""Organisations, their projects and their accounts, as plain values.

An organisation pays. A project is the tenant that is fenced from all others, so its id is a
``TenantId``. An account is a person or a program of one organisation, with one role.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, NewType

from gigawatt.errors import InputError
from gigawatt.ids import TenantId

OrganisationId = NewType("OrganisationId", str)
AccountId = NewType("AccountId", str)
ApiKeyId = NewType("ApiKeyId", str)

AccountKind = Literal["user", "service_account"]

LABEL_LENGTH_MAX = 128
"""Longest name of an organisation, a project, an account or a key. Ours."""


class AccountRole(StrEnum):
    """What an account is for; the table in ``permissions`` says what follows from it."""

    OWNER = "owner"
    """Runs the organisation: projects, accounts, keys, clusters."""
    OPERATOR = "operator"
    """Runs the site; the one role that reaches beyond its own organisation."""
    MEMBER = "member"
    """Makes, changes and releases clusters of the organisation's projects."""
    BILLING = "billing"
    """Sees clusters, prices, quotas and invoices; pays them."""
    READ_ONLY = "read_only"
    """Sees what members see and changes nothing."""


@dataclass(frozen=True, slots=True)
class Organisation:
    """Who pays; ``created_s`` in Unix seconds."""

    organisation_id: OrganisationId
    name: str
    created_s: float


@dataclass(frozen=True, slots=True)
class Project:
    """A tenant: clusters of one project are fenced from those of every other.

    Fields: gpu_count_max is the quota in GPUs, spares included, 0 for none.
    """

    project_id: TenantId
    organisation_id: OrganisationId
    name: str
    gpu_count_max: int
    created_s: float


@dataclass(frozen=True, slots=True)
class Account:
    """A person or a program of an organisation.

    Fields: project_id is the only project it reaches, None for all of its organisation.
    """

    account_id: AccountId
    organisation_id: OrganisationId
    name: str
    kind: AccountKind
    role: AccountRole
    created_s: float
    project_id: TenantId | None = None


def told_to_tenants(account_id: str, role: str | None) -> str:
    """Whom a sentence that tenants read names; operators are not named there.

    ``role`` is the account's, None where the account is gone.
    """
    return "whoever runs the site" if role == AccountRole.OPERATOR else account_id


def check_label(what: str, name: str) -> None:
    """Refuse a name that cannot be shown in one line.

    Raises:
        InputError: empty, longer than ``LABEL_LENGTH_MAX``, or not printable.
    """
    if not 1 <= len(name) <= LABEL_LENGTH_MAX or not name.isprintable() or name != name.strip():
        raise InputError(
            f"the name of {what} is {name[:40]!r}, wanted 1 to {LABEL_LENGTH_MAX} printable"
            " characters without blanks at the ends"
        )
