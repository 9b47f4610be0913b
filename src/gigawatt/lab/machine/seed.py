"""Reads a NoCloud medium and writes what it says on the machine's disk.

Source of the form: cloud-init's documentation, "NoCloud". Understood are ``local-hostname`` and
``instance-id`` of meta-data, and of user-data ``hostname`` and ``users`` with ``name`` and
``ssh_authorized_keys``: what the host driver writes.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from gigawatt.errors import InputError
from gigawatt.lab.running import tool_environment

FIRST_USER_ID, LAST_USER_ID = 1000, 60_000
"""Numbers of people, not of services (Debian policy, section 9.2.2)."""
USER_HEADER = "#cloud-config"


@dataclass(frozen=True, slots=True)
class Seed:
    """What the machine shall be: its name, and the keys of each user."""

    hostname: str
    keys: dict[str, tuple[str, ...]]


def read_medium(image: Path, scratch: Path) -> Seed:
    """The seed on a CD image; ``scratch`` is a folder for the time of the call.

    Raises:
        InputError: there is none, or it does not read.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    command = ["osirrox", "-indev", str(image), "-extract", "/", str(scratch)]
    try:
        done = subprocess.run(  # noqa: S603 - the lab's own words
            command, capture_output=True, text=True, env=tool_environment(), check=False, timeout=30
        )
        if done.returncode:
            raise InputError(f"{image} is no CD image: {done.stderr.strip()[-200:]}")
        texts = [(scratch / name).read_text("utf-8") for name in ("meta-data", "user-data")]
    except (OSError, UnicodeDecodeError, subprocess.TimeoutExpired) as error:
        raise InputError(f"{image} has no NoCloud seed: {error}") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return read_seed(*texts)


def read_seed(meta_data: str, user_data: str) -> Seed:
    """The seed of two documents.

    Raises:
        InputError: they are not of this form.
    """
    if not user_data.startswith(USER_HEADER):
        raise InputError(f"user-data does not start with {USER_HEADER}")
    try:
        meta, user = yaml.safe_load(meta_data) or {}, yaml.safe_load(user_data) or {}
        hostname = str(user.get("hostname") or meta["local-hostname"])
        users = [one for one in user.get("users", []) if isinstance(one, dict)]
        return Seed(hostname, {str(one["name"]): _keys(one) for one in users})
    except (yaml.YAMLError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"the seed does not read: {error}") from error


def _keys(user: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(key).strip() for key in user.get("ssh_authorized_keys", []))


def write_seed(seed: Seed, disk: Path) -> None:
    """Put a seed on a disk that was furnished before; users that it has not are not touched."""
    (disk / "etc").mkdir(parents=True, exist_ok=True)
    (disk / "etc/hostname").write_text(f"{seed.hostname}\n")
    (disk / "etc/hosts").write_text(f"127.0.0.1\tlocalhost\n127.0.1.1\t{seed.hostname}\n")
    users = [name for name in seed.keys if name != "root"]
    _add_users(disk / "etc", users)
    for name, keys in seed.keys.items():
        home = disk / ("root" if name == "root" else f"home/{name}")
        number = 0 if name == "root" else FIRST_USER_ID + users.index(name)
        _write_keys(home, keys, number)


def _write_keys(home: Path, keys: Sequence[str], number: int) -> None:
    folder = home / ".ssh"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "authorized_keys"
    path.write_text("".join(f"{key}\n" for key in keys))
    path.chmod(0o600)
    for one in (home, folder, path):
        os.chown(one, number, number)
    home.chmod(0o700)


def _add_users(etc: Path, users: Sequence[str]) -> None:
    """Accounts without password, instead of the people of the machine that the lab runs on."""
    people = {
        row.split(":")[0]
        for row in Path("/etc/passwd").read_text().splitlines()
        if FIRST_USER_ID <= int(row.split(":")[2]) < LAST_USER_ID
    }
    for name, line in (
        ("passwd", "{user}:x:{number}:{number}::/home/{user}:/bin/bash\n"),
        ("group", "{user}:x:{number}:\n"),
        ("shadow", "{user}:*:20000:0:99999:7:::\n"),
    ):
        path = etc / name
        rows = (path if path.exists() else Path("/etc", name)).read_text().splitlines(keepends=True)
        gone = {*people, *users}
        text = "".join(row for row in rows if row.partition(":")[0] not in gone)
        for number, user in enumerate(users, FIRST_USER_ID):
            text += line.format(user=user, number=number)
        path.write_text(text)
        path.chmod(0o640 if name == "shadow" else 0o644)
    if users:
        sudoers = etc / "sudoers.d"
        sudoers.mkdir(mode=0o755, exist_ok=True)
        rule = sudoers / "90-gigawatt"
        rule.write_text("".join(f"{user} ALL=(ALL) NOPASSWD:ALL\n" for user in users))
        rule.chmod(0o440)
