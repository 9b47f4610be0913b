"""Whether a machine runs, as the kernel's process table says; and its end.

A machine's first process is number 1 of a process namespace and lives in the network namespace of
its node. While it is there the machine is on; when it goes, however it goes, the kernel ends all
others in it. Nothing is written down, so nothing can be wrong.
"""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from select import select
from typing import Literal

from gigawatt.lab.room import TOOL_PATH

INTERFACE = "eth0"
"""The in-band interface of every machine."""
UNPLUG_S_MAX = 10.0
LOOK_S = 0.02
"""Pause between two looks. Ours."""

WAITING = "sh"
"""Applet of BusyBox that is the first process of a machine with nothing to boot."""
INIT_NAMES = frozenset({"init", "busybox"})
"""What the first process is called once the machine's own init runs."""

Progress = Literal["None", "OSBootStarted", "OSRunning"]


def first_process(netns: Path) -> int | None:
    """Number, in our process namespace, of the first process of the machine; None if it is off."""
    own_depth = len(_status(Path("/proc/self"), "NSpid"))
    wanted = _inode(netns)
    for folder in _processes():
        numbers = _status(folder, "NSpid")
        is_first = len(numbers) == own_depth + 1 and numbers[-1] == "1"
        if is_first and wanted is not None and _inode(folder / "ns/net") == wanted:
            return int(folder.name)
    return None


def progress(first: int | None) -> Progress:
    """How far the boot of a machine has come, by its first process."""
    if first is None:
        return "None"
    space = _inode(Path(f"/proc/{first}/ns/pid"))
    for folder in _processes():
        if _name(folder) == "sshd" and space and _inode(folder / "ns/pid") == space:
            return "OSRunning"
    return "None" if _applet(first) == WAITING else "OSBootStarted"


def _applet(pid: int) -> str:
    """Which of BusyBox's programs a process is."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    return words[1].decode() if len(words) > 1 and words[0].endswith(b"busybox") else ""


def is_init_running(first: int) -> bool:
    """Whether the first process is the machine's init, no longer what prepared its start."""
    return _name(Path(f"/proc/{first}")) in INIT_NAMES


def end(netns: Path, *, is_graceful: bool, wait_s_max: float) -> bool:
    """End the machine; whether it is off at the end.

    Graceful: its init is asked to power off (``SIGUSR2``, see init of BusyBox).
    """
    first = first_process(netns)
    if first is not None:
        with suppress(ProcessLookupError):
            os.kill(first, signal.SIGUSR2 if is_graceful else signal.SIGKILL)
    is_off = first is None or wait_until(lambda: first_process(netns) is None, wait_s_max)
    if is_off:
        unplug(netns)
    return is_off


def unplug(netns: Path) -> None:
    """Forget what the machine's interface was told, as a NIC does whose power went."""
    for words in ("-4 address flush", "link set down"):
        subprocess.run(  # noqa: S603 - our own words
            ["nsenter", f"--net={netns}", "--", "ip", *words.split(), "dev", INTERFACE],  # noqa: S607 - found below
            check=False,
            capture_output=True,
            env={"PATH": TOOL_PATH},
            timeout=UNPLUG_S_MAX,
        )


def wait_until(is_so: Callable[[], bool], wait_s_max: float) -> bool:
    """Look until it is so; whether it was in time."""
    for _ in range(max(1, int(wait_s_max / LOOK_S))):
        if is_so():
            return True
        select([], [], [], LOOK_S)
    return is_so()


def _processes() -> Iterator[Path]:
    return (folder for folder in Path("/proc").iterdir() if folder.name.isdecimal())


def _status(folder: Path, field: str) -> list[str]:
    """A field of a process's status, in words; of a dead or vanished one nothing."""
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:
        return []
    fields = dict(line.partition(":")[::2] for line in lines)
    return [] if fields.get("State", "").split()[:1] in (["Z"], ["X"]) else fields[field].split()


def _name(folder: Path) -> str:
    try:
        return (folder / "comm").read_text().strip()
    except OSError:
        return ""


def _inode(path: Path) -> int | None:
    """Number of a namespace; None if it or its process is gone."""
    try:
        return path.stat().st_ino
    except OSError:
        return None
