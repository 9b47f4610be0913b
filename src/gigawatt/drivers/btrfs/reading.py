"""What btrfs, the mount table and extended attributes say, as text that is read."""

import re
from dataclasses import dataclass

from gigawatt.ids import ClusterId

MARK = "trusted.gigawatt"
"""Attribute of a file system's subvolume: its number and owner. Only the server's root sets it."""
QGROUP_LEVEL = 1
"""Level of the qgroups that carry limits: the files and their snapshots count in one of them."""

_QGROUP = re.compile(r"(\d+)/(\d+)\s+(\d+)\s+\d+\s+(\d+|none)\s+\S+\s+\S+\s+(\S+)")
_MARK = re.compile(r"(\d+):([A-Za-z0-9_.-]+)")


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit on one file system. Fields: limit_bytes is 0 when there is none or it binds nobody.

    used_bytes is what counts against it.
    """

    limit_bytes: int
    used_bytes: int


def qgroup_of(filesystem: int) -> str:
    """The qgroup that carries a file system's limit."""
    return f"{QGROUP_LEVEL}/{filesystem}"


def mark_of(filesystem: int, owner: ClusterId) -> str:
    """Value of the mark."""
    return f"{filesystem}:{owner}"


def read_limits(text: str) -> dict[int, Limit]:
    """Limits by file system, from ``btrfs qgroup show -pcre --raw``."""
    found: dict[int, Limit] = {}
    for line in text.splitlines():
        parts = _QGROUP.match(line.strip())
        if parts and int(parts[1]) == QGROUP_LEVEL:
            limits = parts[4] != "none" and parts[5] not in {"-", "---"}
            found[int(parts[2])] = Limit(int(parts[4]) if limits else 0, int(parts[3]))
    return found


def read_marks(text: str) -> dict[str, tuple[int, ClusterId]]:
    """Number and owner by path, from ``getfattr --absolute-names -n MARK PATH ...``."""
    found: dict[str, tuple[int, ClusterId]] = {}
    path = ""
    for line in text.splitlines():
        if line.startswith("# file: "):
            path = line.removeprefix("# file: ")
        elif line.startswith(f'{MARK}="'):
            mark = _MARK.fullmatch(line.removeprefix(f'{MARK}="').removesuffix('"'))
            if mark:
                found[path] = (int(mark[1]), ClusterId(mark[2]))
    return found
