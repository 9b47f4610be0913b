"""What a tenant may ask of the BMCs of its own nodes, and what it may see of the answers.

Everything that is not listed is forbidden. Nothing of a tenant's address goes on to a BMC: it is
taken apart, compared with the list, and put together anew from the parts.
Source of names: DMTF DSP0266 (Redfish specification) and DSP8010 (schemas).
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from gigawatt.errors import ForbiddenError, InputError

Method = Literal["GET", "POST", "PATCH"]

ROOT: Final = ("redfish", "v1")
SEGMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""One part of an address: no percent sign, no dots alone, nothing that a BMC could read twice."""
_NAME = re.compile(r"[A-Za-z0-9@#._-]{1,128}")
"""A member of an answer; others are left out."""
_INSIDE = re.compile(r"(/[A-Za-z0-9_.-]{1,64})*")
"""Where in a resource a link points (a fragment, RFC 6901); empty for all of it."""
SEGMENTS_MAX = 10
DEPTH_MAX = 32
"""Levels of an answer that are looked at. Ours: real resources have fewer than ten."""

_ID = "*"
READABLE: Final[tuple[tuple[str, ...], ...]] = (
    (),
    ("Systems",),
    ("Systems", _ID),
    ("Systems", _ID, "Processors"),
    ("Systems", _ID, "Processors", _ID),
    ("Systems", _ID, "Memory"),
    ("Systems", _ID, "Memory", _ID),
    ("Systems", _ID, "EthernetInterfaces"),
    ("Systems", _ID, "EthernetInterfaces", _ID),
    ("Systems", _ID, "VirtualMedia"),
    ("Systems", _ID, "VirtualMedia", _ID),
    ("Chassis",),
    ("Chassis", _ID),
    ("Chassis", _ID, "Power"),
    ("Chassis", _ID, "Thermal"),
    ("Chassis", _ID, "ThermalSubsystem"),
    ("Chassis", _ID, "EnvironmentMetrics"),
    ("Chassis", _ID, "Sensors"),
    ("Chassis", _ID, "Sensors", _ID),
    ("Managers",),
    ("Managers", _ID),
    ("Managers", _ID, "VirtualMedia"),
    ("Managers", _ID, "VirtualMedia", _ID),
)
"""Resources that a tenant may read, below ``/redfish/v1``; ``*`` is any one id.

Not among them: accounts, sessions, certificates, event subscriptions, logs (they tell of former
tenants), updates, tasks, the BMC's own network, and whatever makers add.
"""

RESET: Final = ("Systems", _ID, "Actions", "ComputerSystem.Reset")
_MEDIA_OWNERS: Final = ("Systems", "Managers")
INSERT_MEDIA, EJECT_MEDIA = "VirtualMedia.InsertMedia", "VirtualMedia.EjectMedia"

RESET_TYPES = frozenset(
    {"On", "ForceOff", "GracefulShutdown", "GracefulRestart", "ForceRestart", "PowerCycle", "Nmi"}
)
BOOT_TARGETS = frozenset({"None", "Pxe", "Cd", "Hdd", "BiosSetup"})
BOOT_ENABLED = frozenset({"Disabled", "Once"})
"""Not Continuous: it would outlast the tenant."""
MEDIA_URL_LENGTH_MAX = 1_024

HIDDEN_KEYS = frozenset(
    {"Oem", "UserName", "Password", "Accounts", "SessionService", "AccountService", "HostName"}
)
"""Members of answers that are left out wherever they stand."""


@dataclass(frozen=True, slots=True)
class RedfishCall:
    """A request that may go to a BMC; path is of our own making, body is what was checked."""

    method: Method
    path: str
    body: Mapping[str, Any] | None = None


def judge_call(
    method: str, redfish_path: str, body: object = None, media_prefixes: tuple[str, ...] = ()
) -> RedfishCall:
    """The request that may go on.

    Args:
        method: HTTP's.
        redfish_path: what stands behind ``.../redfish/`` in the address, as it came: not decoded.
        body: the JSON that came.
        media_prefixes: URLs below which tenants may name images; none forbids virtual media.

    Raises:
        ForbiddenError: it is not on the list.
        InputError: it is, but its body is not of the form that is.
    """
    place = _place("redfish/" + redfish_path)
    if method == "GET" and place is not None and _is_one_of(place, READABLE):
        return RedfishCall("GET", _path(place))
    if method == "PATCH" and place is not None and _fits(place, ("Systems", _ID)):
        return RedfishCall("PATCH", _path(place), _boot(body))
    if method == "POST" and place is not None:
        check = _check_of_action(place, media_prefixes)
        if check is not None:
            return RedfishCall("POST", _path(place), check(body))
    raise ForbiddenError(
        f"tenants may not {method} /redfish/{_shown(redfish_path)}",
        next_step="Read docs/lab/site_file.md for what a tenant may do with its nodes' BMCs.",
    )


def shown_answer(answer: object, prefix: str) -> object:
    """What a tenant sees of a BMC's answer: links lead through us, and nowhere else.

    Args:
        answer: JSON of the BMC.
        prefix: what stands before ``/redfish/v1`` in our addresses.

    Raises:
        InputError: it is too deep to be looked at.
    """
    seen = _shown_value(answer, prefix, 0)
    return {} if seen is _GONE else seen


_GONE = object()
"""Instead of a value that is left out."""


def _place(path: str) -> tuple[str, ...] | None:
    """Parts below ``/redfish/v1``; None if the address is none of Redfish, or not plain."""
    parts = tuple(path.removesuffix("/").split("/"))
    if parts[:2] != ROOT or len(parts) > SEGMENTS_MAX:
        return None
    return parts[2:] if all(SEGMENT.fullmatch(part) for part in parts) else None


def _path(place: tuple[str, ...]) -> str:
    return "/" + "/".join((*ROOT, *place))


def _fits(place: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(place) == len(pattern) and all(
        wanted in {_ID, part} for part, wanted in zip(place, pattern, strict=True)
    )


def _is_one_of(place: tuple[str, ...], patterns: tuple[tuple[str, ...], ...]) -> bool:
    return any(_fits(place, pattern) for pattern in patterns)


def _check_of_action(
    place: tuple[str, ...], media_prefixes: tuple[str, ...]
) -> Callable[[object], Mapping[str, Any]] | None:
    """What checks the body of an action that may be called; None for any other address."""
    if _fits(place, RESET):
        return _reset
    for owner in _MEDIA_OWNERS:
        media = (owner, _ID, "VirtualMedia", _ID, "Actions")
        if _fits(place, (*media, EJECT_MEDIA)):
            return _eject
        if _fits(place, (*media, INSERT_MEDIA)) and media_prefixes:
            return lambda body: _insert(body, media_prefixes)
    return None


def _only(body: object, names: frozenset[str], what: str) -> Mapping[str, Any]:
    """The body if it is an object with none but these members.

    Raises:
        InputError: it is not.
    """
    if not isinstance(body, dict):
        raise InputError(f"{what} takes a JSON object")
    strange = sorted(set(body) - names)
    if strange:
        known = ", ".join(sorted(names)) or "nothing"
        raise InputError(f"{what} takes {known}, not {strange[0]!r:.80}")
    return body


def _chosen(value: object, allowed: frozenset[str], name: str) -> str:
    if not isinstance(value, str) or value not in allowed:
        raise InputError(f"{name} is none of {', '.join(sorted(allowed))}")
    return value


def _reset(body: object) -> Mapping[str, Any]:
    given = _only(body, frozenset({"ResetType"}), "ComputerSystem.Reset")
    return {"ResetType": _chosen(given.get("ResetType"), RESET_TYPES, "ResetType")}


def _eject(body: object) -> Mapping[str, Any]:
    return dict(_only({} if body is None else body, frozenset(), EJECT_MEDIA))


def _boot(body: object) -> Mapping[str, Any]:
    given = _only(body, frozenset({"Boot"}), "a system")
    names = frozenset({"BootSourceOverrideEnabled", "BootSourceOverrideTarget"})
    boot = _only(given.get("Boot"), names, "Boot")
    checked = {}
    if "BootSourceOverrideEnabled" in boot:
        checked["BootSourceOverrideEnabled"] = _chosen(
            boot["BootSourceOverrideEnabled"], BOOT_ENABLED, "BootSourceOverrideEnabled"
        )
    if "BootSourceOverrideTarget" in boot:
        checked["BootSourceOverrideTarget"] = _chosen(
            boot["BootSourceOverrideTarget"], BOOT_TARGETS, "BootSourceOverrideTarget"
        )
    if set(checked) != names:
        raise InputError("Boot takes BootSourceOverrideEnabled and BootSourceOverrideTarget, both")
    return {"Boot": checked}


def _insert(body: object, prefixes: tuple[str, ...]) -> Mapping[str, Any]:
    names = frozenset({"Image", "Inserted", "WriteProtected"})
    given = _only(body, names, INSERT_MEDIA)
    url = given.get("Image")
    if not isinstance(url, str) or len(url) > MEDIA_URL_LENGTH_MAX:
        raise InputError(f"Image is a URL of up to {MEDIA_URL_LENGTH_MAX} characters")
    prefix = next((one for one in prefixes if one.endswith("/") and url.startswith(one)), None)
    rest = None if prefix is None else url.removeprefix(prefix).split("/")
    if rest is None or not all(SEGMENT.fullmatch(part) for part in rest):
        raise ForbiddenError(
            "BMCs fetch images from where the operator says, and from nowhere else",
            next_step=f"Name an image below {', '.join(prefixes)}.",
        )
    for name in ("Inserted", "WriteProtected"):
        if not isinstance(given.get(name, True), bool):
            raise InputError(f"{name} is true or false")
    # Never writable: what a tenant boots must be the same for the next one.
    return {"Image": url, "Inserted": given.get("Inserted", True), "WriteProtected": True}


def _shown_value(value: object, prefix: str, depth: int) -> object:
    if depth > DEPTH_MAX:
        raise InputError(f"the BMC's answer is more than {DEPTH_MAX} levels deep")
    if isinstance(value, dict):
        return _shown_object(value, prefix, depth)
    if isinstance(value, list):
        seen = (_shown_value(one, prefix, depth + 1) for one in value)
        return [one for one in seen if one is not _GONE]
    if isinstance(value, str):
        return _shown_text(value, prefix)
    return value


def _shown_text(value: str, prefix: str) -> object:
    """Text as it is, a link into what may be read as a link through us; no other address."""
    if value.lower().startswith("/redfish"):
        path, _, inside = value.partition("#")
        place = _place(path.removeprefix("/"))
        if place is None or not _INSIDE.fullmatch(inside):
            return _GONE
        is_open = _is_one_of(place, READABLE) or _check_of_action(place, ("/",)) is not None
        return prefix + _path(place) + f"#{inside}" * bool(inside) if is_open else _GONE
    return _GONE if "://" in value or value.startswith("//") else value


def _shown_object(value: Mapping[str, Any], prefix: str, depth: int) -> object:
    link = value.get("@odata.id")
    if isinstance(link, str) and _shown_text(link, prefix) is _GONE:
        return _GONE
    seen: dict[str, Any] = {}
    for name, one in value.items():
        if name in HIDDEN_KEYS or name == "@odata.context" or not _NAME.fullmatch(name):
            continue
        if name == "@odata.type":
            seen[name] = one  # "#ComputerSystem.v1_20_0.ComputerSystem": a name, no address
            continue
        kept = _shown_value(one, prefix, depth + 1)
        if name.startswith("#") and (not isinstance(kept, dict) or "target" not in kept):
            continue  # an action that a tenant may not call
        if kept is not _GONE:
            seen[name] = kept
    for name in [n for n in seen if n.endswith("@odata.count")]:
        members = seen.get(name.removesuffix("@odata.count"))
        if isinstance(members, list):
            seen[name] = len(members)
    return seen


def _shown(redfish_path: str) -> str:
    return json.dumps(redfish_path[:80])[1:-1]
