"""A room for a lab: namespaces of its own, so that it touches nothing and leaves nothing.

``python -m gigawatt.lab.room COMMAND ...`` runs a command in new mount, network, process and
host-name namespaces. When it ends, or it or anything around it is killed, the kernel ends every
process in the room and with them all interfaces, mounts and network namespaces. Rooms do not see
each other, so many labs run side by side. Needs root, ``unshare`` (util-linux) and ``ip``.

A socket that was opened outside and is handed in keeps listening outside: that is how a control
plane in a room is reached from the machine.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from gigawatt.errors import GigawattError, InputError

TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/frr"
"""Where Debian puts the programs of a lab."""

PACKAGE_OF_TOOL = {"unshare": "util-linux", "setpriv": "util-linux", "ip": "iproute2"}
"""Debian package of each program that a room needs."""

ROOM_VARIABLE = "GIGAWATT_LAB_ROOM"
"""Set to 1 for every process in a room."""

OWN_FOLDERS = (
    "/run/netns", "/etc/netns", "/etc/frr", "/run/frr", "/run/gigawatt",
    "/run/libvirt", "/etc/libvirt", "/var/lib/libvirt", "/var/cache/libvirt", "/var/log/libvirt",
)  # fmt: skip
"""Folders that programs insist on; in a room they are empty and nobody else's."""

UNSHARE = (
    "unshare", "--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child",
    "--mount-proc", "--propagation", "private",
)  # fmt: skip
INSIDE = "--inside"
"""First word for this module where the namespaces are made already."""


def room_command(command: Sequence[str]) -> list[str]:
    """The words that run ``command`` in a new room."""
    return [*UNSHARE, sys.executable, "-m", "gigawatt.lab.room", INSIDE, *command]


def is_in_room() -> bool:
    """Whether this process is in a room, so that what it does to networks stays there."""
    return os.environ.get(ROOM_VARIABLE) == "1"


def refuse_roomless() -> None:
    """Refuse a machine or a user that can have no room, before anything starts.

    Raises:
        InputError: not root, a program is missing, or the kernel refuses new namespaces.
    """
    if os.geteuid() != 0:
        raise InputError(
            "a lab makes network namespaces and mounts, and that takes root",
            next_step=f"sudo -E {' '.join([sys.executable, *sys.argv])}",
        )
    lost = {p for t, p in PACKAGE_OF_TOOL.items() if shutil.which(t, path=TOOL_PATH) is None}
    if lost:
        raise InputError(
            f"not installed: {', '.join(sorted(lost))}",
            next_step=f"apt-get install -y {' '.join(sorted(lost))}",
        )
    tried = subprocess.run(  # noqa: S603 - fixed words
        [*UNSHARE, "true"], capture_output=True, text=True, check=False, env=_tool_environment()
    )
    if tried.returncode:
        raise InputError(
            f"this machine refuses new namespaces: {tried.stderr.strip()}",
            next_step="In a container, start it with --privileged; or use a virtual machine.",
        )


def _tool_environment() -> dict[str, str]:
    return {**os.environ, "PATH": TOOL_PATH}


def _furnish() -> None:
    """Loopback up, and empty folders where programs want to write."""
    env = _tool_environment()
    for folder in OWN_FOLDERS:
        Path(folder).mkdir(parents=True, exist_ok=True)
        mount = ["mount", "-t", "tmpfs", "-o", "mode=0755", "gigawatt-lab", folder]
        subprocess.run(mount, check=True, env=env)  # noqa: S603 - fixed words
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True, env=env)  # noqa: S607


def _be_first(command_pid: int) -> int:
    """Bury what ends in the room until the command does; its exit status.

    The first process of a room is told the end of every orphan; a program that is not written for
    that would let the dead pile up. When this one ends, the kernel ends all others.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal tells the command too
    signal.signal(signal.SIGTERM, lambda number, _: os.kill(command_pid, number))
    while True:
        pid, status = os.wait()
        if pid == command_pid:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def main() -> None:
    """Run the command of the command line in a new room, and end with its exit status."""
    words = sys.argv[1:]
    try:
        if words[:1] != [INSIDE]:
            refuse_roomless()
            enter = room_command(words or ["bash"])
            os.execve(shutil.which(enter[0], path=TOOL_PATH) or enter[0], enter, os.environ)  # noqa: S606 - fixed words
    except GigawattError as error:
        sys.exit(f"error: {error}\n  next: {error.next_step}")
    _furnish()
    os.environ[ROOM_VARIABLE] = "1"
    pid = os.fork()
    if pid == 0:
        try:
            os.execvp(words[1], words[1:])  # noqa: S606 - the caller's own command
        except OSError as error:
            sys.exit(f"error: {words[1]} does not start: {error.strerror}")
    sys.exit(_be_first(pid))


if __name__ == "__main__":
    main()
