"""Snapshots of file systems on btrfs: read-only, and counted in the quota of their file system."""

import re

from gigawatt.drivers.btrfs.engine import BtrfsEngine
from gigawatt.drivers.btrfs.reading import qgroup_of
from gigawatt.errors import DriverPermanentError, InputError

NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@-]{0,63}")


async def take_snapshot(engine: BtrfsEngine, filesystem: int, name: str) -> None:
    """Keep a file system as it is now. It shares what does not change, and counts in the quota.

    Raises:
        InputError: the name is none.
        DriverPermanentError: there is no such file system, or there is one of this name.
        DriverRetryableError: the pool does not answer.
    """
    _check(name)
    there = (await engine.read()).files.get(filesystem)
    if there is None:
        raise DriverPermanentError(
            f"there is no filesystem {filesystem}", device=engine.commands.device
        )
    path = engine.snapshots / f"{filesystem}-{name}"
    if path in await engine.snapshots_of(filesystem):
        raise DriverPermanentError(
            f"filesystem {filesystem} has a snapshot {name!r}", device=engine.commands.device
        )
    await engine.commands.run(["mkdir", "-p", str(engine.snapshots)])
    words = ["btrfs", "subvolume", "snapshot", "-r", "-i", qgroup_of(filesystem)]
    await engine.commands.run([*words, str(engine.tree / there.path[1:]), str(path)])


async def snapshot_names(engine: BtrfsEngine, filesystem: int) -> tuple[str, ...]:
    """Names of the snapshots of a file system.

    Raises:
        DriverError: the pool does not answer.
    """
    found = await engine.snapshots_of(filesystem)
    return tuple(path.name.partition("-")[2] for path in found)


async def delete_snapshot(engine: BtrfsEngine, filesystem: int, name: str) -> None:
    """Delete a snapshot; what only it held is free when this returns. Nothing to do without it.

    Raises:
        InputError: the name is none.
        DriverError: it is not gone.
    """
    _check(name)
    path = engine.snapshots / f"{filesystem}-{name}"
    if path in await engine.snapshots_of(filesystem):
        run = engine.commands.run
        await run(["btrfs", "subvolume", "delete", "--commit-after", str(path)])
        await run(["btrfs", "subvolume", "sync", str(engine.disk)])


def _check(name: str) -> None:
    if NAME.fullmatch(name) is None:
        raise InputError(f"a snapshot's name is up to 64 plain characters, got {name!r}")
