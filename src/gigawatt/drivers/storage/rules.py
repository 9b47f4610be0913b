"""What a pool refuses, whatever its engine. Each function says why, or None."""

import re
from collections.abc import Mapping

from gigawatt.boundary.entries import Entry, Export, FileSystem
from gigawatt.drivers.storage.engine import PoolState, StoredFiles
from gigawatt.ids import ClusterId

VNI_MAX = 2**24 - 1
"""A VNI has 24 bits (RFC 7348, section 5)."""
FILESYSTEM_MAX = 2**48 - 1
"""A btrfs qgroup's number in its level has 48 bits (btrfs-qgroup(8))."""
PATH_CHARACTERS_MAX = 255
PATH = re.compile(r"(/[A-Za-z0-9_][A-Za-z0-9._@-]*){1,8}")
"""Paths that mean the same to a shell, a mount table and a mount option. Ours."""

Entries = Mapping[str, Entry]


def refuses(
    state: PoolState, wanted: Entries, owners: Mapping[str, ClusterId], capacity_bytes: int
) -> str | None:
    """Why a pool in ``state`` cannot come to hold ``wanted`` as well.

    Args:
        state: the pool now.
        wanted: new entries by key.
        owners: whose each key is, as far as known.
        capacity_bytes: what quotas may add up to.
    """
    for key, entry in wanted.items():
        reason = _refuses_entry(state, entry, owners.get(key))
        if reason is not None:
            return f"{key}: {reason}"
    files = {e.filesystem: e for e in wanted.values() if isinstance(e, FileSystem)}
    return (
        _refuses_paths(state, files)
        or _refuses_exports(state, wanted, owners, files)
        or _refuses_quotas(state, files, capacity_bytes)
    )


def refuses_removal(state: PoolState, leaving: Entries) -> str | None:
    """Why a pool in ``state`` cannot let go of ``leaving``."""
    gone = {e.filesystem for e in leaving.values() if isinstance(e, FileSystem)}
    closing = {(e.filesystem, e.vni) for e in leaving.values() if isinstance(e, Export)}
    for filesystem, vni in sorted(state.exports - closing):
        if filesystem in gone:
            return f"filesystem {filesystem} is still exported: export/{filesystem}/{vni}"
    return None


def is_shareable(owner: ClusterId) -> bool:
    """Whether others than its owner may be let into a file system: those that stand alone."""
    return owner.startswith("fsy_")


def _refuses_entry(state: PoolState, entry: Entry, owner: ClusterId | None) -> str | None:
    match entry:
        case Export():
            return (
                None if 1 <= entry.vni <= VNI_MAX else f"VNI is {entry.vni}, wanted 1 to {VNI_MAX}"
            )
        case FileSystem():
            return _refuses_files(state, entry, owner)
        case _:
            return "a storage pool holds file systems and exports only"


def _refuses_files(state: PoolState, entry: FileSystem, owner: ClusterId | None) -> str | None:
    if not 0 <= entry.filesystem <= FILESYSTEM_MAX:
        return f"its number is {entry.filesystem}, wanted 0 to {FILESYSTEM_MAX}"
    if entry.quota_bytes < 1:
        return f"quota is {entry.quota_bytes} bytes"
    if len(entry.path) > PATH_CHARACTERS_MAX or PATH.fullmatch(entry.path) is None:
        return f"path is {entry.path!r}, wanted up to 8 plain names, each after a slash"
    there = state.files.get(entry.filesystem)
    return None if there is None else _refuses_change(there, entry, owner)


def _refuses_change(there: StoredFiles, entry: FileSystem, owner: ClusterId | None) -> str | None:
    if owner is not None and there.owner != owner:
        return f"its files are of {there.owner}"
    if there.path != entry.path:
        return f"it is at {there.path} and does not move to {entry.path}"
    if there.used_bytes > entry.quota_bytes:
        return f"holds {there.used_bytes} bytes, the quota would be {entry.quota_bytes}"
    return None


def _refuses_paths(state: PoolState, files: Mapping[int, FileSystem]) -> str | None:
    """A path inside another's would give one tenant the other's files."""
    taken = {there.path: number for number, there in state.files.items()}
    for number, entry in files.items():
        parts = entry.path.split("/")
        above = {"/".join(parts[:depth]) for depth in range(2, len(parts) + 1)}
        for path, other in taken.items():
            if other != number and (path in above or path.startswith(entry.path + "/")):
                return f"{entry.key}: path {entry.path} meets {path} of filesystem {other}"
        taken[entry.path] = number
    return None


def _refuses_exports(
    state: PoolState,
    wanted: Entries,
    owners: Mapping[str, ClusterId],
    files: Mapping[int, FileSystem],
) -> str | None:
    for key, entry in wanted.items():
        if not isinstance(entry, Export):
            continue
        there = state.files.get(entry.filesystem)
        if there is None and entry.filesystem not in files:
            return f"{key}: there is no filesystem {entry.filesystem}"
        owner = there.owner if there else owners.get(f"filesystem/{entry.filesystem}")
        if owner is not None and owner != owners.get(key) and not is_shareable(owner):
            return f"{key}: the filesystem is held by {owner}"
    return None


def _refuses_quotas(
    state: PoolState, files: Mapping[int, FileSystem], capacity_bytes: int
) -> str | None:
    if state.size_bytes is not None:
        capacity_bytes = min(capacity_bytes, state.size_bytes)
    quotas = {number: there.quota_bytes for number, there in state.files.items()}
    after = quotas | {number: entry.quota_bytes for number, entry in files.items()}
    if files and sum(after.values()) > max(capacity_bytes, sum(quotas.values())):
        return f"quotas would be {sum(after.values())} of {capacity_bytes} bytes"
    return None
