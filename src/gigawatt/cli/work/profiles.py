"""Profiles: named servers with a key each, in one file that nobody else may read."""

import json
import os
import stat
import tempfile
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from gigawatt.cli.output import remarks
from gigawatt.cli.settings import EMBEDDED, config_path, flags
from gigawatt.errors import DataError, InputError

DEFAULT_NAME = "default"


@dataclass(frozen=True, slots=True)
class Profile:
    """A server and how to talk to it. The key is not shown."""

    server: str
    api_key: str = field(default="", repr=False)
    project: str = ""


@dataclass(frozen=True, slots=True)
class Profiles:
    """What the file holds; ``current`` is used when none is named."""

    current: str = ""
    by_name: Mapping[str, Profile] = field(default_factory=dict)


def read_profiles() -> Profiles:
    """The profiles of this user; none where there is no file.

    Raises:
        DataError: the file is not one of ours.
    """
    path = config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Profiles()
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, error) from error
    _warn_if_open(path)
    try:
        found = tomllib.loads(text)
        by_name = {name: Profile(**row) for name, row in found.get("profiles", {}).items()}
    except (tomllib.TOMLDecodeError, TypeError, AttributeError) as error:
        raise _unreadable(path, error) from error
    return Profiles(str(found.get("current", "")), by_name)


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        f"the profiles in {path} do not read: {error}",
        next_step="Mend the file, or remove it and run 'gw login' again.",
    )


def _warn_if_open(path: Path) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        remarks.print(f"warning: others may read {path}, which holds keys: chmod 600 {path}")


def write_profiles(profiles: Profiles) -> None:
    """Write the file whole or not at all, for its owner only.

    Raises:
        InputError: it cannot be written.
    """
    path = config_path()
    lines = [f"current = {json.dumps(profiles.current)}"]
    for name, profile in profiles.by_name.items():
        lines += ["", f"[profiles.{json.dumps(name)}]"]
        lines += [f"{key} = {json.dumps(value)}" for key, value in asdict(profile).items()]
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # mkstemp makes files that only their owner may read.
        handle, name = tempfile.mkstemp(dir=path.parent, prefix="profiles.")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write("\n".join(lines) + "\n")
        Path(name).replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror}",
            next_step="Set GIGAWATT_CONFIG to a file that you may write.",
        ) from error


def same_server(one: str, other: str) -> bool:
    """Whether two addresses name one server."""
    return one.rstrip("/").lower() == other.rstrip("/").lower()


def checked_address(server: str) -> str:
    """The address, without what follows the host.

    Raises:
        InputError: not an address of a server.
    """
    complaint = InputError(
        f"{server!r} is not the address of a server",
        next_step="Write it with its scheme, e.g. https://gigawatt.example.org, "
        f"or '{EMBEDDED}' for this computer's own state.",
    )
    try:
        parts = urlsplit(server)
        is_good = parts.scheme in {"http", "https"} and parts.port != 0 and not parts.username
    except ValueError as error:
        raise complaint from error
    if not is_good or not parts.hostname:
        raise complaint
    return f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/')}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where commands go; ``server`` is empty for the embedded control plane."""

    server: str
    api_key: str = field(repr=False)
    project: str
    profile: str


def _named(profiles: Profiles, name: str) -> Profile:
    if name not in profiles.by_name:
        known = ", ".join(sorted(profiles.by_name)) or "none"
        raise InputError(
            f"there is no profile {name!r}; there is {known}",
            next_step=f"Make it: gw login URL --profile {name}",
        )
    return profiles.by_name[name]


def place_now() -> Place:
    """Where commands go: flags before environment before file; embedded if none says anything.

    Raises:
        InputError: a profile that is named is not there, or no key is known for the server.
    """
    profiles = read_profiles()
    said = os.environ.get("GIGAWATT_SERVER", "") if flags.profile is None else ""
    server = flags.server or said
    name = flags.profile or os.environ.get("GIGAWATT_PROFILE", "")
    if not name and not server:
        name = profiles.current
    profile = _named(profiles, name) if name else None
    if not server and profile is not None:
        server = profile.server
    if not server or server == EMBEDDED:
        return Place("", "", "", "")
    server = checked_address(server)
    if profile is None or not same_server(profile.server, server):
        # A key is never sent to another server than the one it was made for.
        found = [(n, p) for n, p in profiles.by_name.items() if same_server(p.server, server)]
        name, profile = found[0] if found else ("", None)
    kept = profile.api_key if profile is not None else ""
    from_environment = os.environ.get("GIGAWATT_API_KEY", "").strip()
    by_flag = flags.profile is not None and bool(kept)
    key = kept if by_flag else from_environment or kept
    if not key:
        raise InputError(
            f"no key is known for {server}",
            next_step=f"Log in: gw login {server}; or set GIGAWATT_API_KEY.",
        )
    return Place(server, key, profile.project if profile else "", name)
