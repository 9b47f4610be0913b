"""Which request goes where, and who may make it."""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from gigawatt.lab.redfish import actions, documents, tree, users
from gigawatt.lab.redfish.accounts import Account
from gigawatt.lab.redfish.answer import NO_CONTENT, Answer, RefusedError
from gigawatt.lab.redfish.request import Request
from gigawatt.lab.redfish.simulated import SimulatedBmc
from gigawatt.lab.redfish.tree import CHASSIS, DRIVE, LOG, MANAGER, ROOT, SYSTEM
from gigawatt.lab.redfish.users import ACCOUNTS, ROLES, SESSIONS

Handler = Callable[[Request], Answer]
NAME = "([A-Za-z0-9_.-]+)"
LOGIN, USERS, COMPONENTS, SELF = "Login", "ConfigureUsers", "ConfigureComponents", "ConfigureSelf"


@dataclass(frozen=True)
class Route:
    """One method of one path.

    Fields: privileges, of which one is needed (none: nobody needs to log in); is_slow keeps the
    turn free, because it may take long.
    """

    method: str
    pattern: re.Pattern[str]
    handler: Handler
    privileges: tuple[str, ...]
    is_slow: bool = False


def _readable() -> Iterator[Route]:
    """What can be read; all but where a stranger begins by who is logged in."""

    def get(path: str, handler: Handler, *privileges: str) -> Route:
        return Route("GET", re.compile(path), handler, privileges)

    yield get("/redfish", documents.versions)
    yield get(ROOT, tree.service_root)
    yield get(f"{ROOT}/odata", documents.odata)
    yield get(re.escape(documents.METADATA_PATH), documents.metadata)
    for path, handler in {
        f"{ROOT}/(Systems|Managers|Chassis)": tree.top_collection,
        SYSTEM: tree.system,
        f"{SYSTEM}/VirtualMedia": tree.drives,
        DRIVE: tree.drive,
        MANAGER: tree.manager,
        f"{MANAGER}/LogServices": tree.log_services,
        LOG: tree.log_service,
        f"{LOG}/Entries": tree.log_entries,
        f"{LOG}/Entries/{NAME}": tree.log_entry,
        CHASSIS: tree.chassis,
        f"{CHASSIS}/Sensors": tree.sensors,
        f"{CHASSIS}/Sensors/Power": tree.sensor,
        f"{CHASSIS}/EnvironmentMetrics": tree.environment,
        f"{CHASSIS}/Power": tree.power,
        f"{ROOT}/UpdateService": tree.update_service,
        f"{ROOT}/UpdateService/FirmwareInventory": tree.firmwares,
        f"{ROOT}/UpdateService/FirmwareInventory/{NAME}": tree.firmware,
        f"{ROOT}/EventService": tree.event_service,
        f"{ROOT}/TelemetryService": tree.telemetry_service,
        f"{ROOT}/TelemetryService/MetricReports": tree.reports,
        f"{ROOT}/TelemetryService/MetricReports/Power": tree.report,
        f"{ROOT}/AccountService": users.account_service,
        ACCOUNTS: users.account_list,
        f"{ACCOUNTS}/{NAME}": users.account,
        ROLES: users.role_list,
        f"{ROLES}/{NAME}": users.role,
        f"{ROOT}/SessionService": users.session_service,
        SESSIONS: users.session_list,
        f"{SESSIONS}/{NAME}": users.session,
    }.items():
        yield get(path, handler, LOGIN)


def _changeable() -> Iterator[Route]:
    """What can be changed or done."""

    def change(
        method: str, path: str, handler: Handler, *privileges: str, is_slow: bool = False
    ) -> Route:
        return Route(method, re.compile(path), handler, privileges, is_slow)

    yield change("POST", f"{SESSIONS}(?:/Members)?", users.open_session)
    yield change("DELETE", f"{SESSIONS}/{NAME}", users.close_session, SELF, LOGIN)
    yield change("POST", f"{ACCOUNTS}(?:/Members)?", users.make_account, USERS)
    yield change("PATCH", f"{ACCOUNTS}/{NAME}", users.change_account, USERS, SELF)
    yield change("DELETE", f"{ACCOUNTS}/{NAME}", users.remove_account, USERS)
    yield change("POST", f"{ROLES}(?:/Members)?", users.make_role, USERS)
    yield change("PATCH", f"{ROLES}/{NAME}", users.change_role, USERS)
    yield change("PATCH", SYSTEM, actions.change_system, COMPONENTS)
    for path, handler in {
        f"{SYSTEM}/Actions/ComputerSystem.Reset": actions.reset_system,
        f"{DRIVE}/Actions/VirtualMedia.InsertMedia": actions.insert_media,
        f"{DRIVE}/Actions/VirtualMedia.EjectMedia": actions.eject_media,
    }.items():
        yield change("POST", path, handler, COMPONENTS, is_slow=True)
    update = f"{ROOT}/UpdateService/Actions/UpdateService.SimpleUpdate"
    yield change("POST", update, tree.refuse_update, "ConfigureManager")
    reset = f"{MANAGER}/Actions/Manager.Reset"
    yield change("POST", reset, actions.restart, "ConfigureManager")


ROUTES = (*_readable(), *_changeable())


def asks(bmc: SimulatedBmc, headers: Mapping[str, str]) -> Account | None:
    """Who asks, by token or by name and password; None for nobody.

    Raises:
        RefusedError: what was shown is wrong.
    """
    token = headers.get("x-auth-token")
    if token is not None:
        return bmc.accounts.by_token(token)
    kind, _, shown = headers.get("authorization", "").partition(" ")
    if not kind:
        return None
    try:
        username, _, password = base64.b64decode(shown, validate=True).decode().partition(":")
    except ValueError as error:
        raise RefusedError(401, "InsufficientPrivilege", "not name and password") from error
    return bmc.accounts.log_in(username, password)


def _here(path: str) -> tuple[str, list[Route]]:
    """A path without its last slash, and all that can be done there."""
    bare = path.rstrip("/") or "/"
    return bare, [r for r in ROUTES if r.pattern.fullmatch(bare)]


def methods_of(path: str) -> list[str]:
    """Methods of a path, in the order of the alphabet; none if there is no such path."""
    _, here = _here(path)
    methods = {r.method for r in here}
    return sorted(methods | {"HEAD"} if "GET" in methods else methods)


def answer(request: Request) -> Answer:
    """What the BMC says, done when it says so, unless it lies.

    Raises:
        RefusedError: it refuses.
    """
    path, here = _here(request.path)
    method = "GET" if request.method == "HEAD" else request.method
    route = next((r for r in here if r.method == method), None)
    if route is None:
        raise _lost(request, here, path)
    bmc, is_open = request.bmc, not route.privileges
    with bmc.turn:
        account = None if is_open else asks(bmc, request.headers)
    if not is_open and account is None:
        raise RefusedError(401, "InsufficientPrivilege", "log in first")
    match = route.pattern.fullmatch(path)
    assert match is not None, "the route was chosen by it"
    request = replace(request, account=account, names=match.groups())
    if not is_open:
        request.must(*route.privileges)
    if bmc.failing.now.lies and method != "GET" and path != SESSIONS:
        return NO_CONTENT
    if route.is_slow:
        return route.handler(request)
    with bmc.turn:
        return route.handler(request)


def _lost(request: Request, here: list[Route], path: str) -> RefusedError:
    """What is said to a path that there is not, or to a method that it has not."""
    if here:
        words = f"{request.method} is not for {path}"
        allowed = {"Allow": ", ".join(methods_of(path))}
        return RefusedError(405, "OperationNotAllowed", words, allowed)
    try:
        account = asks(request.bmc, request.headers)
    except RefusedError as error:
        return error
    if account is None:
        return RefusedError(401, "InsufficientPrivilege", "log in first")
    return RefusedError(404, "ResourceMissingAtURI", f"there is no {path}")
