"""What btrfs, the mount table and extended attributes say, as text that is read."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of a mount table. Fields: device is ``major:minor``."""

    device: str
    root: str
    path: str
    options: tuple[str, ...]
    kind: str
    source: str


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


def read_mounts(text: str) -> tuple[Mount, ...]:
    """Mounts, from ``/proc/self/mountinfo`` (proc(5)), the last one on top."""
    found: list[Mount] = []
    for line in text.splitlines():
        before, _, after = line.partition(" - ")
        head, tail = before.split(" "), after.split(" ")
        if len(head) < 6 or len(tail) < 2:
            continue
        found.append(
            Mount(
                device=head[2],
                root=_plain(head[3]),
                path=_plain(head[4]),
                options=(*head[5].split(","), *head[6:]),
                kind=tail[0],
                source=_plain(tail[1]),
            )
        )
    return tuple(found)


def exports_in(mounts: Iterable[Mount], folder: Path) -> dict[tuple[int, int], Mount]:
    """Mounts below an export tree by file system and VNI; others in it are nobody's exports."""
    found: dict[tuple[int, int], Mount] = {}
    for mount in mounts:
        names = mount.path.removeprefix(f"{folder}/").split("/")
        if mount.path.startswith(f"{folder}/") and len(names) == 2 and all(map(_is_number, names)):
            found[int(names[1]), int(names[0])] = mount
    return found


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _plain(text: str) -> str:
    """A field of a mount table without its octal escapes."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)
