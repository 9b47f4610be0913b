"""A lab while it runs: what its parts start programs, network namespaces and settings with.

Everything is done inside a room (``lab.room``), so nothing here cleans up behind itself but
processes that must go in order.
"""

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from select import select
from typing import Any, Protocol, runtime_checkable

from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.lab.layout import Layout
from gigawatt.lab.room import TOOL_PATH

LOOK_S = 0.02
"""Pause between two looks at something that comes up. Ours."""
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL")
SAID_MAX = 400
"""Characters of a program's output that an error shows. Ours."""


@dataclass
class Running:
    """One lab.

    Fields:
        fleet, layout: what is there, and how it is named.
        folder: for files, logs and sockets; seen from outside the room too.
        settings: by plane, the settings of its drivers, as parts declared them for the site file.
        programs: by name, in the order in which they were started.
    """

    fleet: Fleet
    layout: Layout
    folder: Path
    settings: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    programs: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def log_path(self, name: str) -> Path:
        """Where the program ``name`` writes what it says."""
        return self.folder / "logs" / f"{name}.log"

    def add_namespace(self, name: str) -> None:
        """Make a network namespace, its loopback up.

        Raises:
            InputError: it cannot be made.
        """
        self.run(["ip", "netns", "add", name])
        self.run(["ip", "link", "set", "lo", "up"], namespace=name)

    def run(self, command: Sequence[str], *, namespace: str | None = None, stdin: str = "") -> str:
        """What a command that ends by itself printed.

        Raises:
            InputError: it failed; the message has what it said.
        """
        words = in_namespace(command, namespace)
        done = subprocess.run(  # noqa: S603 - the lab's own words
            words, input=stdin, capture_output=True, text=True, env=tool_environment(), check=False
        )
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-SAID_MAX:]
            raise InputError(f"'{' '.join(words)}' failed with {done.returncode}: {said}")
        return done.stdout

    def spawn(
        self,
        name: str,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        descriptors: Sequence[int] = (),
    ) -> "subprocess.Popen[bytes]":
        """Start a program that stays; what it says goes to its log. It dies with this process.

        ``descriptors`` are files and sockets of this process that it keeps.
        """
        path = self.log_path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as log:
            process = subprocess.Popen(  # noqa: S603 - the lab's own words
                [*DIE_WITH_PARENT, *in_namespace(command, namespace)],
                cwd=cwd or self.folder,
                env={**tool_environment(), **(env or {})},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                pass_fds=descriptors,
            )
        self.programs[name] = process
        return process

    def until(self, is_so: Callable[[], bool], what: str, wait_s_max: float = 30.0) -> None:
        """Look until it is so.

        Raises:
            InputError: it was not in time; the message says what was waited for.
        """
        for _ in range(int(wait_s_max / LOOK_S)):
            if is_so():
                return
            select([], [], [], LOOK_S)
        raise InputError(f"the lab waited {wait_s_max:g} s for {what}, in vain")

    def declare(self, plane: str, driver: str, settings: Mapping[str, Any]) -> None:
        """Add a driver of a plane, with its settings, to the site file."""
        self.settings.setdefault(plane, []).append({"driver": driver, **settings})

    def stop(self) -> None:
        """End every program, the last one first."""
        for process in reversed(self.programs.values()):
            process.kill()
        for process in self.programs.values():
            process.wait()
        self.programs.clear()


class Part(Protocol):
    """One thing that a lab consists of: a fabric, a network, BMCs, storage, hosts."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        ...

    def start(self, lab: Running) -> None:
        """Bring it up, wait until it works, and declare its driver's settings.

        Raises:
            InputError: it does not come up; says what did not and what its log said.
        """
        ...

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now, in one sentence; empty when all is well."""
        ...


@runtime_checkable
class PreparedPart(Protocol):
    """A part that needs something of the world outside, which a room does not reach."""

    def prepare(self) -> None:
        """Fetch it before there is a room; nothing to do if it is there.

        Raises:
            InputError: it cannot be had.
        """
        ...


@runtime_checkable
class LastingPart(Protocol):
    """A part that is started again when it has ended."""

    def start_again(self, lab: Running) -> str:
        """Start it again after it ended; what to say of it. Empty if that was done too often."""
        ...


def missing_packages(package_of_tool: Mapping[str, str]) -> tuple[str, ...]:
    """Debian packages whose programs are not on this machine."""
    lost = {p for tool, p in package_of_tool.items() if shutil.which(tool, path=TOOL_PATH) is None}
    return tuple(sorted(lost))


def in_namespace(command: Sequence[str], namespace: str | None) -> list[str]:
    """The words that run a command in a network namespace of the room.

    ``nsenter`` and not ``ip netns exec``: that one makes another mount namespace, in which
    mounts and namespaces made later are not seen.
    """
    if namespace is None:
        return list(command)
    return ["nsenter", f"--net=/run/netns/{namespace}", "--", *command]


def tool_environment() -> dict[str, str]:
    """Environment of the lab's programs: ours, with Debian's folders first."""
    return {**os.environ, "PATH": f"{TOOL_PATH}:{os.environ.get('PATH', '')}", "LC_ALL": "C"}
