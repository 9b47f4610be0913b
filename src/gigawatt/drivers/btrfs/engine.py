"""One storage pool on btrfs: a subvolume and a qgroup for each file system, a server per export.

In the pool folder: ``disk`` is the btrfs. On it, ``tree`` has the file systems at their paths,
``making`` those that are not finished, ``snapshots`` what was kept of them. An export is a bindfs
process that serves one file system to one network by FUSE. Through it no btrfs call passes, so no
tenant makes a subvolume that counts for nobody; and the kernel cuts it off at once for everybody,
files that are open and copies of the mount included (a bind mount it would not).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

from gigawatt.boundary.entries import FileSystem
from gigawatt.drivers.btrfs.reading import (
    MARK,
    Limit,
    mark_of,
    qgroup_of,
    read_limits,
    read_marks,
)
from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.engine import PoolState, StoredFiles
from gigawatt.drivers.storage.export_tree import ExportTree
from gigawatt.drivers.storage.exports import export_path, exports_folder
from gigawatt.drivers.storage.mounts import Mount, exports_in
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId, StoragePoolId

SUBVOLUME_INODE = "256"
"""Number of the root folder of every subvolume, and of nothing else (btrfs on-disk format)."""

FILES = "files"
"""Folder of a subvolume that is exported: the mark is on the one above, out of a host's reach."""

SHOW_COUNT_MAX = 5
"""The tool fails when the kernel drops the qgroup of a deleted subvolume beneath it. MEASURED"""

SERVE = ("bindfs", "--multithreaded", "-o", "nosuid,nodev,big_writes")
"""Without big_writes every write is cut into pieces of 4 KiB (mount.fuse(8) of libfuse 2)."""


@dataclass(frozen=True, slots=True)
class BtrfsEngine:
    """``PoolEngine`` over btrfs.

    Fields: folder is the pool folder; is_thin says that quotas may add up to more than the disk.
    """

    pool_id: StoragePoolId
    folder: Path
    commands: Commands
    is_thin: bool = False

    @property
    def exports(self) -> ExportTree:
        """The exports, as mounts."""
        return ExportTree(self.folder, self.commands)

    @property
    def disk(self) -> Path:
        """The mounted btrfs."""
        return self.folder / "disk"

    @property
    def tree(self) -> Path:
        """File systems at their paths."""
        return self.disk / "tree"

    @property
    def snapshots(self) -> Path:
        """Snapshots, named ``<file system>-<name>``."""
        return self.disk / "snapshots"

    async def read(self) -> PoolState:
        """See ``PoolEngine.read``.

        Raises:
            DriverRetryableError: the disk is not mounted, has no quotas, or does not answer.
            DriverPermanentError: a command failed.
        """
        mounts = await self.exports.mounts()
        self._require_mounts(mounts)
        limits = await self._limits()
        files = {
            number: StoredFiles(
                path="/" + str(Path(path).relative_to(self.tree)),
                owner=owner,
                quota_bytes=limits.get(number, Limit(0, 0)).limit_bytes,
                used_bytes=limits.get(number, Limit(0, 0)).used_bytes,
            )
            for path, (number, owner) in (await self._marks()).items()
        }
        exports = exports_in(mounts, exports_folder(self.folder))
        size = await self.commands.run(["df", "--block-size=1", "--output=size", str(self.disk)])
        return PoolState(
            files,
            await self._served(exports, files),
            None if self.is_thin else int(size.split()[-1]),
        )

    async def make(self, entry: FileSystem, owner: ClusterId) -> None:
        """See ``PoolEngine.make``: the limit first, then a subvolume that is born under it.

        Raises:
            DriverError: it did not come about.
        """
        number = entry.filesystem
        await self.sweep()
        making, path = self.disk / "making" / str(number), self.tree / entry.path[1:]
        run = self.commands.run
        await run(["mkdir", "-p", str(making.parent), str(path.parent)])
        await self._make_limit(number, entry.quota_bytes)
        await run(["btrfs", "subvolume", "create", "-i", qgroup_of(number), str(making)])
        # The folder belongs to whoever mounts it; who is let in is not for permissions to say.
        await run(["mkdir", str(making / FILES)])
        await run(["chmod", "0777", str(making / FILES)])
        await run(["setfattr", "-n", MARK, "-v", mark_of(number, owner), str(making)])
        await run(["mv", "--no-target-directory", "--no-clobber", str(making), str(path)])
        await run(["btrfs", "filesystem", "sync", str(self.disk)])

    async def resize(self, filesystem: int, quota_bytes: int) -> None:
        """See ``PoolEngine.resize``; what is written meanwhile counts.

        Raises:
            DriverPermanentError: it holds more.
            DriverRetryableError: the pool does not answer.
        """
        before = (await self._limits()).get(filesystem)
        await self._set_limit(filesystem, quota_bytes)
        after = (await self._limits()).get(filesystem)
        if before and after and after.used_bytes > quota_bytes:
            if before.limit_bytes:
                await self._set_limit(filesystem, before.limit_bytes)
            raise DriverPermanentError(
                f"filesystem {filesystem} holds {after.used_bytes} bytes,"
                f" the quota would be {quota_bytes}",
                device=self.commands.device,
            )

    async def delete(self, filesystem: int) -> None:
        """See ``PoolEngine.delete``. Snapshots go first, so that what is left has its mark.

        Mounts whose server died are no exports any more, so nobody else takes them away.

        Raises:
            DriverError: it is not, or not all, gone.
        """
        await self.sweep()
        for number, vni in await self.exports.exports():
            if number == filesystem:
                await self.shut_out(number, vni)
        marks = {n: path for path, (n, _) in (await self._marks()).items()}
        doomed = await self.snapshots_of(filesystem)
        if filesystem in marks:
            doomed = (*doomed, Path(marks[filesystem]))
        run = self.commands.run
        if doomed:
            await run(["btrfs", "subvolume", "delete", "--commit-after", *map(str, doomed)])
            await run(["btrfs", "subvolume", "sync", str(self.disk)])
        limit = (await self._limits()).get(filesystem)
        if limit is not None:
            if limit.used_bytes:
                raise DriverRetryableError(
                    f"{self.commands.device}: filesystem {filesystem} is deleted, but"
                    f" {limit.used_bytes} bytes of it are not free yet",
                    device=self.commands.device,
                )
            await run(["btrfs", "qgroup", "destroy", qgroup_of(filesystem), str(self.disk)])
        empty = ["-type", "d", "-empty", "-not", "-inum", SUBVOLUME_INODE, "-delete"]
        await run(["find", str(self.tree), "-xdev", "-mindepth", "1", *empty])

    async def let_in(self, filesystem: int, vni: int) -> None:
        """See ``PoolEngine.let_in``: start a server for it.

        Raises:
            DriverError: it does not serve.
        """
        await self.shut_out(filesystem, vni)
        marks = {n: path for path, (n, _) in (await self._marks()).items()}
        if filesystem not in marks:
            raise DriverPermanentError(
                f"there is no filesystem {filesystem}", device=self.commands.device
            )
        target = str(export_path(self.folder, vni, filesystem))
        await self.commands.run(["mkdir", "-p", target])
        await self.commands.run([*SERVE, f"{marks[filesystem]}/{FILES}", target])

    async def shut_out(self, filesystem: int, vni: int) -> None:
        """See ``PoolEngine.shut_out``: end the server's connection, then take the mount away.

        Raises:
            DriverError: they may still be in.
        """
        await self.exports.cut(filesystem, vni)

    async def mountable(self, vni: int, filesystems: Collection[int]) -> frozenset[int]:
        """See ``PoolEngine.mountable``: in a mount namespace that is thrown away.

        Raises:
            DriverRetryableError: it could not be tried.
        """
        return await self.exports.readable(vni, filesystems)

    async def snapshots_of(self, filesystem: int) -> tuple[Path, ...]:
        """Snapshots of a file system, sorted by name.

        Raises:
            DriverError: the server does not answer.
        """
        if (await self.commands.say(["test", "-d", str(self.snapshots)])).status:
            return ()
        words = ["find", str(self.snapshots), "-mindepth", "1", "-maxdepth", "1"]
        text = await self.commands.run([*words, "-name", f"{filesystem}-*", "-print"])
        return tuple(sorted(Path(line) for line in text.splitlines()))

    async def sweep(self) -> None:
        """Take away what a call that was killed left half made; nobody was let into it.

        Raises:
            DriverError: it does not go.
        """
        await self.commands.run(["mkdir", "-p", str(self.disk / "making")])
        words = ["find", str(self.disk / "making"), "-mindepth", "1", "-maxdepth", "1"]
        text = await self.commands.run([*words, "-inum", SUBVOLUME_INODE, "-print"])
        if text.split():
            await self.commands.run(
                ["btrfs", "subvolume", "delete", "--commit-after", *text.split()]
            )
            await self.commands.run(["btrfs", "subvolume", "sync", str(self.disk)])

    async def _make_limit(self, filesystem: int, quota_bytes: int) -> None:
        if filesystem not in await self._limits():
            await self.commands.run(
                ["btrfs", "qgroup", "create", qgroup_of(filesystem), str(self.disk)]
            )
        await self._set_limit(filesystem, quota_bytes)

    async def _set_limit(self, filesystem: int, quota_bytes: int) -> None:
        words = ["btrfs", "qgroup", "limit", str(quota_bytes), qgroup_of(filesystem)]
        await self.commands.run([*words, str(self.disk)])

    async def _limits(self) -> dict[int, Limit]:
        """Limits and use, after all that was written is counted."""
        words = ["btrfs", "qgroup", "show", "--sync", "-pcre", "--raw", str(self.disk)]
        said = await self.commands.say(words)
        for _ in range(SHOW_COUNT_MAX - 1):
            if "cannot find the qgroup" not in said.stderr:
                break
            said = await self.commands.say(words)
        if said.status or "inconsistent" in said.stderr:
            raise DriverRetryableError(
                f"{self.commands.device}: quotas do not count: {said.stderr.strip()}",
                device=self.commands.device,
                next_step=f"Run 'btrfs quota rescan -w {self.disk}' at the storage server.",
            )
        return read_limits(said.stdout)

    async def _marks(self) -> dict[str, tuple[int, ClusterId]]:
        """Number and owner of each finished file system by its path at the server."""
        words = ["find", str(self.tree), "-xdev", "-mindepth", "1"]
        text = await self.commands.run([*words, "-inum", SUBVOLUME_INODE, "-print"])
        paths = text.splitlines()
        if not paths:
            return {}
        said = await self.commands.say(["getfattr", "--absolute-names", "-n", MARK, *paths])
        # A subvolume of somebody else has no mark; one whose mark cannot be read may be ours.
        problems = [x for x in said.stderr.splitlines() if not x.endswith("No such attribute")]
        if problems:
            raise DriverRetryableError(
                f"{self.commands.device}: whose files these are cannot be read: {problems[0]}",
                device=self.commands.device,
                next_step=f"Look at the disk of {self.disk} ('dmesg', 'btrfs device stats').",
            )
        return read_marks(said.stdout)

    async def _served(
        self, exports: dict[tuple[int, int], Mount], files: dict[int, StoredFiles]
    ) -> frozenset[tuple[int, int]]:
        """Exports whose server lives and serves what it says.

        Raises:
            DriverPermanentError: an export shows other files than its name says.
        """
        alive = await self._alive(exports.values())
        served = {key: mount for key, mount in exports.items() if mount.path in alive}
        for (number, vni), mount in served.items():
            there = files.get(number)
            if there is None or Path(mount.source) != self.tree / there.path[1:] / FILES:
                raise DriverPermanentError(
                    f"{self.commands.device}: {mount.path} shows {mount.source}"
                    f" and not filesystem {number}",
                    device=self.commands.device,
                    next_step=f"Run 'umount --lazy {mount.path}' at the storage server and find"
                    f" out who let VNI {vni} into it.",
                )
        return frozenset(served)

    async def _alive(self, exports: Collection[Mount]) -> set[str]:
        """Paths of the exports whose server answers; a dead one shows nobody anything."""
        if not exports:
            return set()
        # Of the file system: what is asked of a file may be answered from the kernel's memory.
        words = ["stat", "--file-system", "--format=%n"]
        said = await self.commands.say([*words, *(mount.path for mount in exports)])
        return set(said.stdout.splitlines())

    def _require_mounts(self, mounts: Sequence[Mount]) -> None:
        """Refuse to take an empty folder for an empty pool.

        Raises:
            DriverRetryableError: the disk or the export tree is not mounted.
        """
        on_top = {mount.path: mount for mount in mounts}
        disk, exports = on_top.get(str(self.disk)), on_top.get(str(exports_folder(self.folder)))
        problem = ""
        if disk is None or disk.kind != "btrfs":
            problem = f"{self.disk} is no mounted btrfs"
        elif "rw" not in disk.options:
            problem = f"{self.disk} is read-only"
        elif not {"nosuid", "nodev"} <= set(disk.options):
            problem = f"{self.disk} is not mounted nosuid,nodev"
        elif exports is None or not any(o.startswith("shared:") for o in exports.options):
            problem = f"{exports_folder(self.folder)} is no shared mount"
        if problem:
            raise DriverRetryableError(
                f"{self.commands.device}: {problem}",
                device=self.commands.device,
                next_step="Look at the disk ('dmesg', 'losetup -l'), and mount it again.",
            )
