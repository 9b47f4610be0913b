"""Starting and stopping labs from outside their rooms."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from select import select

from gigawatt.app.clock import SystemClock
from gigawatt.errors import ConflictError, InputError
from gigawatt.lab.folder import LabFolder, LabStatus
from gigawatt.lab.layout import LabSpec
from gigawatt.lab.parts import install_line, packages_missing, parts_of
from gigawatt.lab.processes import SUPERVISOR, kill_all, pids_of
from gigawatt.lab.room import refuse_roomless, room_command
from gigawatt.lab.running import PreparedPart, tool_environment

LOOK_S = 0.1
"""Pause between two looks at a lab's status. Ours."""
LOOKS_IN_VAIN_MAX = 10


def start(folder: LabFolder, spec: LabSpec) -> bool:
    """Start a lab, detached from this process; False if it runs already.

    What is left of one that ended is removed first. It is not waited for: see ``follow``.

    Raises:
        InputError: not root, packages are missing, or the disk has too little room.
        ConflictError: another command is starting or stopping it.
    """
    parts = parts_of(spec)
    refuse_roomless()
    lost = packages_missing(parts)
    if lost:
        raise InputError(f"not installed: {', '.join(lost)}", next_step=install_line(lost))
    with folder.turn():
        if pids_of(folder.path):
            return False
        for part in parts:
            if isinstance(part, PreparedPart):
                part.prepare()
        _detach_loops(folder.path)
        folder.make()
        free_bytes = shutil.disk_usage(folder.path).free
        if not spec.is_fabric_only and free_bytes < spec.storage_bytes:
            folder.remove()
            raise InputError(
                f"{folder.path.parent} has {free_bytes >> 30} GiB free, the lab's storage takes"
                f" {spec.storage_bytes >> 30} GiB",
                next_step="Make room, or name less: --storage-size 1GiB.",
            )
        with socket.create_server(("127.0.0.1", 0)) as listening:
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            folder.write_status(LabStatus(spec, url, SystemClock().now_s()))
            _spawn(folder, listening.fileno())
    return True


def _spawn(folder: LabFolder, descriptor: int) -> None:
    """Start the supervisor in a room that outlives this process and its terminal."""
    words = [sys.executable, "-m", SUPERVISOR, str(folder.path), str(descriptor)]
    # The lab works in a folder of its own, so names that start here must not be relative.
    python_path = os.pathsep.join(str(Path(place).resolve()) for place in sys.path if place)
    with (folder.logs_path / "supervisor.log").open("ab") as log:
        subprocess.Popen(  # noqa: S603 - our own words
            room_command(words),
            cwd=folder.path,
            env={**tool_environment(), "PYTHONPATH": python_path, "PYTHONUNBUFFERED": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=(descriptor,),
            start_new_session=True,
        )


def follow(folder: LabFolder) -> Iterator[LabStatus]:
    """The status of a lab as it starts, until it is up.

    Raises:
        InputError: it does not come up; says why.
    """
    looks_in_vain = 0
    while True:
        looks_in_vain = 0 if pids_of(folder.path) else looks_in_vain + 1
        status = folder.read_status()
        if status is None:
            raise _failed(folder, "it was taken down while it started", "")
        yield status
        if status.state == "up" and not looks_in_vain:
            return
        # A program that is just being started has no words yet, so one look in vain says nothing.
        if status.state == "failed" or looks_in_vain == LOOKS_IN_VAIN_MAX:
            said = status.said or "it ended without a word"
            raise _failed(folder, said, status.next_step)
        select([], [], [], LOOK_S)


def _failed(folder: LabFolder, said: str, next_step: str) -> InputError:
    return InputError(
        f"lab {folder.name!r} did not come up: {said}",
        next_step=f"{next_step or 'See what its programs said'}: gw lab logs --lab {folder.name}",
    )


def stop(folder: LabFolder, *, keep_logs: bool = False) -> bool:
    """Take a lab down and leave nothing of it but, if wanted, the logs; False if there was none.

    Raises:
        InputError: not root, or something does not end.
        ConflictError: another command is starting or stopping it.
    """
    if not folder.path.exists() and not pids_of(folder.path):
        return False
    refuse_roomless()
    with folder.turn():
        kill_all(folder.path)
        _detach_loops(folder.path)
        folder.remove(keep_logs=keep_logs)
    return True


def _detach_loops(folder: Path) -> None:
    """Detach loop devices over files of a lab: they are the one thing that no room holds."""
    listed = subprocess.run(
        ["losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"],  # noqa: S607 - found below
        capture_output=True,
        text=True,
        check=False,
        env=tool_environment(),
    )
    for line in listed.stdout.splitlines():
        device, _, file = line.strip().partition(" ")
        if file.strip().startswith(f"{folder}/"):
            subprocess.run(  # noqa: S603 - a device that was listed
                ["losetup", "--detach", device],  # noqa: S607
                capture_output=True,  # the kernel may have been faster
                check=False,
                env=tool_environment(),
            )


def refuse_other(status: LabStatus, wanted: LabSpec) -> None:
    """Refuse to take a running lab for one with other settings; any will do if none are wanted.

    Raises:
        ConflictError: it has other settings.
    """
    if wanted not in (status.spec, LabSpec(wanted.name)):
        raise ConflictError(
            f"lab {wanted.name!r} runs with other settings",
            next_step=f"Take it down first, 'gw lab down {wanted.name}', or name another lab.",
        )
