"""The processes around a lab, found by what they were called with, so that no file can lie.

A lab is three of them: ``unshare``, the first process of its room, and the supervisor. Everything
else ends with the second.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from select import select

from gigawatt.errors import InputError

SUPERVISOR = "gigawatt.lab.supervisor"
GONE_S_MAX = 30.0
"""Longest time for the kernel to end all that is in a room. Ours."""


def _words(pid: int) -> list[str]:
    try:
        text = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return []
    return text.decode(errors="replace").split("\0")[:-1]


def _belongs(pid: int, folder: Path) -> bool:
    words = _words(pid)
    return SUPERVISOR in words and str(folder) in words[words.index(SUPERVISOR) :]


def pids_of(folder: Path) -> tuple[int, ...]:
    """Processes of the lab in ``folder``, the outermost first; none if it does not run."""
    found = (int(path.name) for path in Path("/proc").glob("[0-9]*"))
    return tuple(sorted(pid for pid in found if _belongs(pid, folder)))


def first_of_room(folder: Path) -> int | None:
    """The first process of the lab's room, as seen from here; None if the lab does not run."""
    for pid in pids_of(folder):
        if Path(_words(pid)[0]).name == "unshare":
            children = _children(pid)
            return children[0] if children else None
    return None


def _children(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(word) for word in text.split()]


def kill_all(folder: Path) -> bool:
    """Kill the lab and wait until nothing of it runs; False if nothing ran.

    Raises:
        InputError: something does not end.
    """
    with ExitStack() as stack:
        descriptors = list(_killed(folder, stack))
        for descriptor in descriptors:
            # A descriptor of the room's first process reads as ready when all others are gone too.
            if not select([descriptor], [], [], GONE_S_MAX)[0]:
                raise InputError(
                    f"a process of the lab in {folder} does not end in {GONE_S_MAX:g} s",
                    next_step="See what it waits for with 'ps axl'; then try again.",
                )
        return bool(descriptors)


def _killed(folder: Path, stack: ExitStack) -> Iterator[int]:
    for pid in pids_of(folder):
        try:
            descriptor = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        stack.callback(os.close, descriptor)
        # The number may have been given to another process before it was opened.
        if _belongs(pid, folder):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
            yield descriptor
