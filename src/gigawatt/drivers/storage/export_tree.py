"""The export tree of one pool at its server: reading it, cutting an export off, trying it."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from gigawatt.drivers.storage.commands import Commands
from gigawatt.drivers.storage.exports import export_path, exports_folder, network_folder
from gigawatt.drivers.storage.mounts import Mount, exports_in, read_mounts
from gigawatt.errors import DriverPermanentError, DriverRetryableError

FUSE_CONTROL = "/sys/fs/fuse/connections"

ABORT = """
mountpoint -q "$1" || mount -t fusectl fusectl "$1" || exit 1
[ ! -e "$1/$2/abort" ] || echo 1 > "$1/$2/abort"
"""
"""Cut off FUSE connection $2 (Linux, Documentation/filesystems/fuse.rst, "Control filesystem")."""

TIDY = 'grep -qsE "^[0-9]+ [0-9]+ [0-9:]+ [^ ]*/$1 /" /proc/[0-9]*/mountinfo || rmdir "$2"'
"""Removes the folder of a network in which nothing is left, unless a host has it attached: to that
host later exports would not come any more. Root of a mount: fourth word, proc(5)."""
TRY_MOUNTS = """
mount --rbind "$1" /mnt && mount --make-rprivate /mnt || exit 1
shift
for number; do
  mountpoint -q "/mnt/$number" && ls "/mnt/$number" > /dev/null 2>&1 && echo "$number"
done
true
"""
"""What a host does with the folder $1 of its network; says which of $2.. it can read."""


@dataclass(frozen=True, slots=True)
class ExportTree:
    """The export tree in one pool folder; each export in it is a FUSE mount."""

    folder: Path
    commands: Commands

    async def mounts(self) -> tuple[Mount, ...]:
        """All mounts of the server.

        Raises:
            DriverError: it does not answer.
        """
        return read_mounts(await self.commands.run(["cat", "/proc/self/mountinfo"]))

    async def exports(self) -> dict[tuple[int, int], Mount]:
        """The exports that are mounted, by file system and VNI.

        Raises:
            DriverRetryableError: the tree is no shared mount, so that no host would see them.
            DriverError: the server does not answer.
        """
        mounts, folder = await self.mounts(), exports_folder(self.folder)
        tree = next((mount for mount in reversed(mounts) if mount.path == str(folder)), None)
        if tree is None or not any(option.startswith("shared:") for option in tree.options):
            raise DriverRetryableError(
                f"{self.commands.device}: {folder} is no shared mount",
                device=self.commands.device,
                next_step="Mount a tmpfs there, and 'mount --make-shared' it.",
            )
        return exports_in(mounts, folder)

    async def cut(self, filesystem: int, vni: int) -> None:
        """End the connection of an export, then take its mount and its folder away.

        Raises:
            DriverError: it may still be there.
        """
        target, key = export_path(self.folder, vni, filesystem), (filesystem, vni)
        while (mount := (await self.exports()).get(key)) is not None:
            minor = mount.device.partition(":")[2]
            await self.commands.run(["sh", "-c", ABORT, "sh", FUSE_CONTROL, minor])
            said = await self.commands.say(["umount", "--lazy", str(target)])
            # Its server, which just ended, may have been faster.
            if said.status and (await self.exports()).get(key) == mount:
                raise DriverPermanentError(
                    f"{self.commands.device}: {target} does not go: {said.stderr.strip()}",
                    device=self.commands.device,
                )
        with suppress(DriverPermanentError):
            await self.commands.run(["rmdir", str(target)])
        tidy = ["sh", "-c", TIDY, "sh", str(vni), str(target.parent)]
        with suppress(DriverPermanentError):
            await self.commands.run(tidy)

    async def readable(self, vni: int, filesystems: Collection[int]) -> frozenset[int]:
        """Those that a host of the network reads, tried in a mount namespace that is thrown away.

        Raises:
            DriverRetryableError: it could not be tried.
        """
        source = str(network_folder(self.folder, vni))
        if (await self.commands.say(["test", "-d", source])).status:
            return frozenset()
        words = ["unshare", "--mount", "--propagation", "slave", "sh", "-c", TRY_MOUNTS, "sh"]
        said = await self.commands.say([*words, source, *map(str, sorted(filesystems))])
        if said.status:
            raise DriverRetryableError(
                f"{self.commands.device}: no mount could be tried: {said.stderr.strip()}",
                device=self.commands.device,
            )
        return frozenset(int(number) for number in said.stdout.split()) & frozenset(filesystems)
