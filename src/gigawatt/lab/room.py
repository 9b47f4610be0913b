"""A room for a lab: namespaces of its own, so that it touches nothing and leaves nothing.

``python -m gigawatt.lab.room COMMAND ...`` runs a command as the first process of new mount,
network, process and host-name namespaces. When it ends, or is killed, the kernel ends every
process in the room and with them all interfaces, mounts and network namespaces. Rooms do not see
each other, so many labs run side by side. Needs root, ``unshare`` (util-linux) and ``ip``.

A socket that was opened outside and is handed in keeps listening outside: that is how a control
plane in a room is reached from the machine.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gigawatt.errors import InputError

TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/frr"
"""Where Debian puts the programs of a lab."""

ROOM_VARIABLE = "GIGAWATT_LAB_ROOM"
"""Set to 1 for every process in a room."""

OWN_FOLDERS = ("/run/netns", "/etc/frr", "/run/frr", "/run/libvirt", "/etc/netns")
"""Folders that programs insist on; in a room they are empty and nobody else's."""

UNSHARE = (
    "unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
    "--mount-proc", "--propagation", "private",
)  # fmt: skip


def room_command(command: Sequence[str]) -> list[str]:
    """The words that run ``command`` in a new room."""
    return [*UNSHARE, sys.executable, "-m", "gigawatt.lab.room", *command]


def is_in_room() -> bool:
    """Whether this process is in a room, so that what it does to networks stays there."""
    return os.environ.get(ROOM_VARIABLE) == "1"


def _furnish() -> None:
    """Loopback up, and empty folders where programs want to write."""
    env = {**os.environ, "PATH": TOOL_PATH}
    for folder in OWN_FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "mode=0755", "gigawatt-lab", folder]
        subprocess.run(mount, check=True, env=env)  # noqa: S603 - fixed words
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env=env)  # noqa: S607


def main() -> None:
    """Furnish the room that this process is the first in, and become the command.

    Raises:
        InputError: no command was given.
    """
    if len(sys.argv) < 2:
        raise InputError("what shall run in the room? python -m gigawatt.lab.room COMMAND ...")
    _furnish()
    os.environ[ROOM_VARIABLE] = "1"
    os.execvp(sys.argv[1], sys.argv[1:])  # noqa: S606 - the caller's own command


if __name__ == "__main__":
    main()
