"""Exports as mounts: one ceph-fuse for each, with its own key, before the hosts of its network.

It runs where the exports are attached to hosts (a DPU; in the lab the storage server), not on the
host: no host has a key or a way to Ceph, and quotas are counted by a client that is ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from gigawatt.drivers.storage.export_tree import ExportTree
from gigawatt.drivers.storage.exports import export_path
from gigawatt.errors import DriverRetryableError

LOOK_S, WAIT_SHARE = 0.2, 0.7
"""Pause between two looks at a mount, and how much of a command's time they may take. Ours."""
KEYRING = "/mnt/keyring"
"""Where a client finds its key: in a memory that only its own mount namespace shows."""

SERVE = """
target=$1 turns=$2
shift 2
mkdir -p "$target" && exec 9< "$target/.." && flock 9 || exit 1
mountpoint -q "$target" && exit
mount --make-private / &&
mount -t tmpfs -o mode=0700,size=1m,nosuid,nodev,noexec gigawatt-key /mnt || exit 1
(umask 077; cat > /mnt/keyring)
(
  while [ -d "$target" ] && ! mountpoint -q "$target"; do
    "$@" -f "$target" > /mnt/log 2>&1
    stat --file-system "$target" || umount --lazy "$target"
    sleep 1
  done
) 9<&- < /dev/null > /dev/null 2>&1 &
for _ in $(seq "$turns"); do
  mountpoint -q "$target" && exit
  sleep 0.2
done
rmdir "$target"
tail -n 3 /mnt/log >&2
exit 1
"""
"""Mount at $1 with the words $3.., and again when that client dies, until the folder goes.

$2 is how often it is looked whether the mount is there; then nothing of it is left.

The key comes by the standard input. The exports' own mount stays shared, so that hosts see it.
"""


@dataclass(frozen=True, slots=True)
class CephMounts:
    """The mounts of one pool."""

    tree: ExportTree

    async def mount(self, filesystem: int, vni: int, words: Sequence[str], keyring: str) -> None:
        """Have an export mounted for its network; nothing is done if it is.

        Raises:
            DriverRetryableError: it does not come up; the message has the client's last words.
        """
        commands, target = self.tree.commands, str(export_path(self.tree.folder, vni, filesystem))
        turns = str(max(1, int(commands.wait_s_max * WAIT_SHARE / LOOK_S)))
        apart = ["unshare", "--mount", "--propagation", "unchanged", "sh", "-c", SERVE, "sh"]
        command = [*apart, target, turns, *words, "-o", "nosuid,nodev"]
        said = await commands.say(command, stdin=keyring)
        if said.status:
            raise DriverRetryableError(
                f"{commands.device}: {target} is not mounted: {said.stderr.strip()[-300:]}",
                device=commands.device,
                next_step="Look at 'ceph -s', and whether this machine has FUSE.",
            )
