"""AccountService and SessionService: accounts, roles and sessions by Redfish."""

from gigawatt.lab.redfish.accounts import (
    LOCKOUT_AFTER,
    LOCKOUT_S,
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    PRIVILEGES,
    SESSION_S_MAX,
    STANDARD_ROLES,
    Account,
    Session,
)
from gigawatt.lab.redfish.answer import (
    NO_CONTENT,
    Answer,
    Json,
    RefusedError,
    collection,
    link,
)
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.tree import ROOT, described

ACCOUNTS, ROLES = f"{ROOT}/AccountService/Accounts", f"{ROOT}/AccountService/Roles"
SESSIONS = f"{ROOT}/SessionService/Sessions"
WRITABLE = ("UserName", "Password", "RoleId", "Enabled", "Locked")


def account_service(_: Request) -> Answer:
    """The rules for accounts."""
    body = described(
        f"{ROOT}/AccountService",
        "AccountService.v1_15_0",
        "Account service",
        ServiceEnabled=True,
        MinPasswordLength=PASSWORD_LENGTH_MIN,
        MaxPasswordLength=PASSWORD_LENGTH_MAX,
        AccountLockoutThreshold=LOCKOUT_AFTER,
        AccountLockoutDuration=int(LOCKOUT_S),
        Accounts=link(ACCOUNTS),
        Roles=link(ROLES),
    )
    return Answer(200, body)


def _account(request: Request, number: int) -> Json:
    path = f"{ACCOUNTS}/{number}"
    account = request.bmc.accounts.by_number.get(number)
    if account is None:
        empty: Json = {"UserName": "", "RoleId": "", "Enabled": False, "Locked": False}
        return described(path, "ManagerAccount.v1_12_0", "User account", Password=None, **empty)
    return described(
        path,
        "ManagerAccount.v1_12_0",
        "User account",
        UserName=account.username,
        Password=None,
        RoleId=account.role,
        Enabled=account.is_enabled,
        Locked=account.is_locked,
        AccountTypes=["Redfish"],
        Links={"Role": link(f"{ROLES}/{account.role}")},
    )


def _numbers(request: Request) -> list[int]:
    accounts = request.bmc.accounts
    if request.bmc.config.account_style == "slots":
        return sorted(accounts.slot_numbers)
    return sorted(accounts.by_number)


def account_list(request: Request) -> Answer:
    """All accounts."""
    members = [f"{ACCOUNTS}/{number}" for number in _numbers(request)]
    return Answer(200, collection(ACCOUNTS, "ManagerAccountCollection", members, "Accounts"))


def _number(request: Request) -> int:
    number = int(request.names[0]) if request.names[0].isdigit() else 0
    if number not in _numbers(request):
        raise RefusedError(404, "ResourceMissingAtURI", "there is no such account")
    return number


def _is_own(request: Request, number: int) -> bool:
    return request.account is not None and request.account.number == number


def account(request: Request) -> Answer:
    """One account: for who manages users, or one's own.

    Raises:
        RefusedError: neither.
    """
    number = _number(request)
    if not (_is_own(request, number) and request.may("ConfigureSelf")):
        request.must("ConfigureUsers")
    return Answer(200, _account(request, number))


def make_account(request: Request) -> Answer:
    """A new account.

    Raises:
        RefusedError: it cannot be; see ``Accounts.make``.
    """
    if request.bmc.config.account_style == "slots":
        raise RefusedError(405, "OperationNotAllowed", "accounts are made in empty slots")
    username, password = request.value("UserName", str), request.value("Password", str)
    role = request.value("RoleId", str)
    made = request.bmc.accounts.make(username, password, role)
    made.is_enabled = request.value("Enabled", bool, default=True)
    return _made(request, made)


def _made(request: Request, made: Account) -> Answer:
    request.bmc.tell("ResourceEvent.1.3.ResourceCreated", f"account {made.username} was made")
    headers = {"Location": f"{ACCOUNTS}/{made.number}"}
    return Answer(201, _account(request, made.number), headers)


def change_account(request: Request) -> Answer:
    """Another name, password, role or state; one's own password needs ``ConfigureSelf`` only.

    Raises:
        RefusedError: it may not or cannot be.
    """
    number = _number(request)
    is_own_password = _is_own(request, number) and set(request.body) == {"Password"}
    if not (is_own_password and request.may("ConfigureSelf")):
        request.must("ConfigureUsers")
    passed_over = request.passed_over(WRITABLE)
    accounts = request.bmc.accounts
    held = accounts.by_number.get(number)
    if held is None:
        return _fill(request, number)
    if request.body.get("UserName") == "":
        return _removed(request, held)
    if "RoleId" in request.body:
        role = request.value("RoleId", str)
        accounts.check_role(role)
        held.role = role
    if "UserName" in request.body:
        accounts.rename(held, request.value("UserName", str))
    if "Password" in request.body:
        accounts.set_password(held, request.value("Password", str))
    if "Enabled" in request.body:
        held.is_enabled = request.value("Enabled", bool)
    if request.body.get("Locked") is False:
        held.locked_until_s = 0.0
    request.bmc.tell("ResourceEvent.1.3.ResourceChanged", f"account {held.username} was changed")
    return Answer(200, {**_account(request, number), **passed_over})


def _fill(request: Request, number: int) -> Answer:
    username, password = request.value("UserName", str), request.value("Password", str)
    role = request.value("RoleId", str)
    made = request.bmc.accounts.make(username, password, role, number=number)
    made.is_enabled = request.value("Enabled", bool, default=False)
    return Answer(200, _made(request, made).body)


def _removed(request: Request, held: Account) -> Answer:
    request.bmc.accounts.remove(held, only_hides=request.bmc.failing.now.hides)
    request.bmc.tell("ResourceEvent.1.3.ResourceRemoved", f"account {held.username} was removed")
    return NO_CONTENT


def remove_account(request: Request) -> Answer:
    """Take an account out.

    Raises:
        RefusedError: it is the last Administrator, or none.
    """
    held = request.bmc.accounts.by_number.get(_number(request))
    if held is None or request.bmc.config.account_style == "slots":
        raise RefusedError(405, "OperationNotAllowed", "a slot is emptied by an empty name")
    return _removed(request, held)


def role_list(request: Request) -> Answer:
    """All roles."""
    members = [f"{ROLES}/{name}" for name in request.bmc.accounts.roles]
    return Answer(200, collection(ROLES, "RoleCollection", members, "Roles"))


def _role(request: Request, name: str) -> Json:
    privileges = list(request.bmc.accounts.roles[name])
    is_standard = name in STANDARD_ROLES
    return described(
        f"{ROLES}/{name}",
        "Role.v1_3_2",
        "Role",
        RoleId=name,
        IsPredefined=is_standard,
        AssignedPrivileges=privileges,
        OemPrivileges=[],
    )


def role(request: Request) -> Answer:
    """One role.

    Raises:
        RefusedError: there is none of this name.
    """
    (name,) = request.names
    if name not in request.bmc.accounts.roles:
        raise RefusedError(404, "ResourceMissingAtURI", f"there is no role {name!r}")
    return Answer(200, _role(request, name))


def make_role(request: Request) -> Answer:
    """A new role.

    Raises:
        RefusedError: this BMC takes none, or the role is there or wrong.
    """
    if not request.bmc.config.takes_roles:
        raise RefusedError(405, "OperationNotAllowed", "roles cannot be made")
    name, privileges = request.value("RoleId", str), request.value("AssignedPrivileges", list)
    if name in request.bmc.accounts.roles:
        raise RefusedError(400, "ResourceAlreadyExists", f"there is a role {name!r}")
    if not name.isalnum() or not set(privileges) <= set(PRIVILEGES):
        raise RefusedError(400, "PropertyValueFormatError", "no such name or privileges")
    request.bmc.accounts.roles[name] = tuple(privileges)
    return Answer(201, _role(request, name), {"Location": f"{ROLES}/{name}"})


def change_role(request: Request) -> Answer:
    """Other privileges for a role that was made.

    Raises:
        RefusedError: it is a standard role, or none.
    """
    (name,) = request.names
    privileges = request.value("AssignedPrivileges", list)
    if name in STANDARD_ROLES or name not in request.bmc.accounts.roles:
        raise RefusedError(400, "PropertyNotWritable", f"role {name!r} cannot be changed")
    if not set(privileges) <= set(PRIVILEGES):
        raise RefusedError(400, "PropertyValueFormatError", "no such privileges")
    request.bmc.accounts.roles[name] = tuple(privileges)
    return Answer(200, _role(request, name))


def session_service(_: Request) -> Answer:
    """The rules for sessions."""
    body = described(
        f"{ROOT}/SessionService",
        "SessionService.v1_1_9",
        "Session service",
        ServiceEnabled=True,
        SessionTimeout=int(SESSION_S_MAX),
        Sessions=link(SESSIONS),
    )
    return Answer(200, body)


def _session(found: Session) -> Json:
    path = f"{SESSIONS}/{found.number}"
    return described(path, "Session.v1_7_1", "Session", UserName=found.account.username)


def session_list(request: Request) -> Answer:
    """Sessions: all for who manages the BMC, else one's own."""
    members = [
        f"{SESSIONS}/{s.number}"
        for s in request.bmc.accounts.sessions.values()
        if s.account is request.account or request.may("ConfigureManager")
    ]
    return Answer(200, collection(SESSIONS, "SessionCollection", members, "Sessions"))


def open_session(request: Request) -> Answer:
    """Log in.

    Raises:
        RefusedError: name or password is wrong, or there are too many sessions.
    """
    accounts = request.bmc.accounts
    found = accounts.log_in(request.value("UserName", str), request.value("Password", str))
    opened = accounts.open_session(found)
    headers = {"X-Auth-Token": opened.auth_token, "Location": f"{SESSIONS}/{opened.number}"}
    return Answer(201, _session(opened), headers)


def _found_session(request: Request) -> Session:
    number = int(request.names[0]) if request.names[0].isdigit() else 0
    found = request.bmc.accounts.sessions.get(number)
    if found is None:
        raise RefusedError(404, "ResourceMissingAtURI", "there is no such session")
    if found.account is not request.account:
        request.must("ConfigureManager")
    return found


def session(request: Request) -> Answer:
    """One session: one's own, or any for who manages the BMC."""
    return Answer(200, _session(_found_session(request)))


def close_session(request: Request) -> Answer:
    """Log out."""
    del request.bmc.accounts.sessions[_found_session(request).number]
    return NO_CONTENT
