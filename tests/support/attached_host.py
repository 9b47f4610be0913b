"""A host of a storage plane: a mount namespace to which the exports of one network are attached."""

import subprocess
from contextlib import contextmanager
from pathlib import Path

from gigawatt.drivers.storage.exports import attach_commands, hide_commands

AS_TENANT = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "--bounding-set=-all")


class Host:
    """A host's mount namespace; commands in it run as a tenant without capabilities."""

    def __init__(self, process: subprocess.Popen[bytes], root: Path) -> None:
        self.process, self.root = process, root

    def words(self, command, user=AS_TENANT):
        inside = ["nsenter", f"--mount=/proc/{self.process.pid}/ns/mnt", f"--wdns={self.root}"]
        return [*inside, *user, *command]

    def run(self, *command: str, user=AS_TENANT):
        return subprocess.run(
            self.words(command, user), capture_output=True, text=True, check=False
        )

    def write(self, number: int, name: str, mib: int, *more: str):
        words = ["dd", "if=/dev/urandom", f"of={number}/{name}", "bs=1M", f"count={mib}", *more]
        return self.run(*words)


@contextmanager
def attached_host(folder: Path, vni: int, root: Path):
    """A host to which the exports of a pool folder for its network are attached at ``root``."""
    root.mkdir()
    lines = [*attach_commands(folder, vni, root), *hide_commands(folder)]
    script = " && ".join(" ".join(words) for words in lines) + " && echo up && exec sleep 600"
    process = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "slave", "sh", "-c", script], stdout=subprocess.PIPE
    )
    try:
        assert process.stdout.readline() == b"up\n"
        yield Host(process, root)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
