"""The mount table of a storage server, and the exports in it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of a mount table. Fields: device is ``major:minor``."""

    device: str
    root: str
    path: str
    options: tuple[str, ...]
    kind: str
    source: str


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
