"""The accounts of one BMC, read and changed by Redfish; each function sends what it says.

sushy has no AccountService, so its connector is used.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field
from sushy import exceptions as said_by_sushy
from sushy.connector import Connector

from gigawatt.drivers.redfish.connection import is_without_sessions
from gigawatt.errors import DriverPermanentError

SERVICE = "/redfish/v1/AccountService"
SESSIONS = "/redfish/v1/SessionService/Sessions"
"""Both paths are the standard's own (DSP0266, sections 6.4 and 13.3.4)."""
TENANT_PRIVILEGES = ("Login", "ConfigureComponents")
"""Power, boot, console and virtual media of the host; not the BMC, its users, or its own
password, which would then no longer be ours to rotate."""
STAND_IN_ROLE = "Operator"
"""The standard role that is nearest to it; it may change its own password too."""
MEMBERS_MAX = 256
LONGEST = 20
"""Longest password of a BMC that does not say (IPMI 2.0)."""


class HeldAccount(BaseModel):
    """One account, or an empty slot (its username is empty)."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    path: str = Field(alias="@odata.id")
    etag: str | None = Field(default=None, alias="@odata.etag")
    username: str = Field(default="", alias="UserName")
    role: str = Field(default="", alias="RoleId")
    is_enabled: bool = Field(default=True, alias="Enabled")


@dataclass(frozen=True)
class AccountTable:
    """All accounts of a BMC.

    Fields:
        by_name: accounts.
        slots: empty slots; where there are any, accounts are made in them.
        tenant_role: the role that tenants' accounts must have here; empty while it has not been
            made as it must be.
    """

    by_name: Mapping[str, HeldAccount]
    slots: tuple[HeldAccount, ...]
    tenant_role: str


@dataclass(frozen=True)
class AccountService:
    """Where the accounts of a BMC are, and its rule for passwords.

    Fields: longest is how many characters a password may have.
    """

    expanded_path: str
    accounts_path: str
    roles_path: str
    longest: int


@contextmanager
def session(connector: Connector, username: str, password: str) -> Iterator[Connector]:
    """Log the connector in, and out at the end; where no session is left, see ``connected``.

    Raises:
        sushy.exceptions.SushyError: it cannot be logged in.
    """
    login = {"UserName": username, "Password": password}
    try:
        opened = connector.post(SESSIONS, data=login)
    except said_by_sushy.HTTPError as error:
        if not is_without_sessions(error):
            raise
        opened = None
    if opened is None:
        connector.set_http_basic_auth(username, password)
        # Nobody has looked at the password yet.
        connector.get(SESSIONS)
        yield connector
        return
    token, path = opened.headers.get("X-Auth-Token"), opened.headers.get("Location")
    if not token:
        raise said_by_sushy.MissingXAuthToken("POST", SESSIONS, opened)
    connector.set_http_session_auth(token)
    try:
        yield connector
    finally:
        with suppress(said_by_sushy.SushyError):
            if path:
                connector.delete(path)


def find_service(connector: Connector) -> AccountService:
    """Where the accounts of a BMC are.

    Raises:
        sushy.exceptions.SushyError: it does not answer, or refuses.
    """
    root = _get(connector, "/redfish/v1/")
    service = _get(connector, SERVICE)
    features = root.get("ProtocolFeaturesSupported", {}).get("ExpandQuery", {})
    accounts = _path(service, "Accounts", f"{SERVICE}/Accounts")
    return AccountService(
        f"{accounts}?$expand=.($levels=1)" if features.get("NoLinks") else accounts,
        accounts,
        _path(service, "Roles", f"{SERVICE}/Roles"),
        int(service.get("MaxPasswordLength") or LONGEST),
    )


def read_table(connector: Connector, service: AccountService, tenant_role: str) -> AccountTable:
    """Read all accounts, now.

    Raises:
        sushy.exceptions.SushyError: it does not answer, or refuses.
        ValueError: what it answers is no table of accounts.
        DriverPermanentError: it has more accounts than any BMC.
    """
    members = _get(connector, service.expanded_path).get("Members", [])
    if len(members) > MEMBERS_MAX:
        raise DriverPermanentError(f"says to have {len(members)} accounts")
    found = [
        HeldAccount.model_validate(m if "UserName" in m else _get(connector, str(m["@odata.id"])))
        for m in members
    ]
    return AccountTable(
        {one.username: one for one in found if one.username},
        tuple(one for one in found if not one.username),
        _role_here(connector, service, tenant_role),
    )


def make_role(connector: Connector, service: AccountService, name: str) -> str:
    """Make the tenants' role as it must be; the name of the role that stands there then.

    Raises:
        sushy.exceptions.SushyError: it does not answer.
    """
    path = service.roles_path
    wanted = list(TENANT_PRIVILEGES)
    try:
        connector.post(path, data={"RoleId": name, "AssignedPrivileges": wanted})
    except said_by_sushy.HTTPError as error:
        if error.status_code >= 500 and error.status_code != 501:
            raise
    found = _role_here(connector, service, name)
    if not found:
        connector.patch(f"{path}/{name}", data={"AssignedPrivileges": wanted})
        found = _role_here(connector, service, name)
    return found or STAND_IN_ROLE


def set_account(
    connector: Connector,
    service: AccountService,
    table: AccountTable,
    login: tuple[str, str],
    role: str,
) -> None:
    """Make or change the account of ``login`` (name, password) to have this role, and be enabled.

    Raises:
        sushy.exceptions.SushyError: it does not answer, or refuses.
        DriverPermanentError: no slot is empty.
    """
    username, password = login
    content = {"UserName": username, "Password": password, "RoleId": role, "Enabled": True}
    held = table.by_name.get(username)
    if held is not None:
        content.pop("UserName")
        connector.patch(held.path, data=content, etag=held.etag)
        return
    try:
        connector.post(service.accounts_path, data=content)
    except said_by_sushy.HTTPError as error:
        if error.status_code != 405:
            raise
        if not table.slots:
            raise DriverPermanentError("the BMC has no slot for another account") from error
        connector.patch(table.slots[0].path, data=content, etag=table.slots[0].etag)


def clear_account(connector: Connector, held: HeldAccount) -> None:
    """Take an account out.

    Raises:
        sushy.exceptions.SushyError: it does not answer, or refuses.
    """
    try:
        connector.delete(held.path)
    except said_by_sushy.ResourceNotFoundError:
        return
    except said_by_sushy.HTTPError as error:
        if error.status_code != 405:
            raise
        connector.patch(held.path, data={"UserName": "", "Enabled": False}, etag=held.etag)


def end_sessions(connector: Connector, username: str) -> None:
    """End what an account has open: not every BMC does so when the account goes.

    Raises:
        sushy.exceptions.SushyError: it does not answer, or refuses.
    """
    members = _get(connector, SESSIONS).get("Members", [])
    for path in [str(member["@odata.id"]) for member in members[:MEMBERS_MAX]]:
        with suppress(said_by_sushy.ResourceNotFoundError):
            if _get(connector, path).get("UserName") == username:
                connector.delete(path)


def _role_here(connector: Connector, service: AccountService, name: str) -> str:
    try:
        role = _get(connector, f"{service.roles_path}/{name}")
    except said_by_sushy.ResourceNotFoundError:
        return STAND_IN_ROLE
    oem = role.get("OemPrivileges") or []
    is_right = sorted(role.get("AssignedPrivileges") or []) == sorted(TENANT_PRIVILEGES)
    return name if is_right and not oem else ""


def _path(document: Mapping[str, Any], name: str, usual: str) -> str:
    """Where a document says that ``name`` is; only below the service, never elsewhere."""
    path = document.get(name, {}).get("@odata.id", usual)
    return path if isinstance(path, str) and path.startswith("/redfish/v1/") else usual


def _get(connector: Connector, path: str) -> dict[str, Any]:
    document = connector.get(path).json()
    if not isinstance(document, dict):
        raise ValueError(f"{path} is no JSON object")  # noqa: TRY004 - as JSON that is none
    return document
