"""Places in a lab where a person can stand: the room itself, its namespaces, its subnets."""

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from gigawatt.app.home import read_fleet
from gigawatt.errors import InputError, UnknownIdError
from gigawatt.lab.folder import LabFolder
from gigawatt.lab.processes import first_of_room
from gigawatt.lab.room import ROOM_VARIABLE, refuse_roomless
from gigawatt.lab.running import in_namespace, tool_environment

MANAGEMENT = "management"
FABRIC = "fabric"
DEFAULT_SHELL = ("bash", "--norc")


@dataclass(frozen=True, slots=True)
class LabPlace:
    """A place: the network namespace, None for the room's own, and what a program needs there."""

    namespace: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def subnet_environments(folder: LabFolder) -> dict[str, dict[str, str]]:
    """Environments of the lab's simulated subnets, by name."""
    try:
        text = (folder.home.path / "site.yaml").read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    drivers = yaml.safe_load(text)[FABRIC]
    # OpenSM's driver has fabrics, each with its subnets; that of UFM has the subnets of one.
    fabrics = [one for driver in drivers for one in driver.get("fabrics", (driver,))]
    return {
        subnet["name"]: subnet["environment"]
        for fabric in fabrics
        for subnet in fabric.get("subnets", ())
    }


def find_place(folder: LabFolder, first_pid: int, where: str) -> LabPlace:
    """The place called ``where`` in the lab whose room's first process is ``first_pid``.

    Raises:
        UnknownIdError: there is none; says which there are.
    """
    if where == MANAGEMENT:
        return LabPlace()
    subnets = subnet_environments(folder)
    name = where.removeprefix(FABRIC).lstrip("/") or next(iter(subnets), "")
    if where.startswith(FABRIC) and name in subnets:
        return LabPlace(None, subnets[name])
    there = Path(f"/proc/{first_pid}/root") / "run" / "netns"
    namespaces = sorted(path.name for path in there.iterdir()) if there.is_dir() else []
    if where in namespaces:
        return LabPlace(where)
    nodes = read_fleet(folder.home.fleet_path).nodes.index_of
    row = {str(name): row for name, row in nodes.items()}.get(where)
    if row is not None:
        # A node that runs guests is the room itself, with bridges in it.
        inside = f"node{row}"
        return LabPlace(inside if inside in namespaces else None)
    known = [MANAGEMENT, *(f"{FABRIC}/{name}" for name in subnets), *namespaces]
    raise UnknownIdError(
        f"lab {folder.name!r} has no place {where!r}",
        next_step=f"Use one of {', '.join(known)}, or the id of a node.",
    )


def enter(folder: LabFolder, where: str, command: Sequence[str]) -> None:
    """Become ``command``, or a shell, at a place of a lab.

    Raises:
        InputError: not root, or the lab does not run.
        UnknownIdError: there is no such place.
    """
    first_pid = _first_pid(folder)
    place = find_place(folder, first_pid, where)
    inside = in_namespace(list(command) or list(DEFAULT_SHELL), place.namespace)
    env = {**tool_environment(), ROOM_VARIABLE: "1", **place.environment}
    env["PS1"] = f"{folder.name}:{where}# "
    program = shutil.which("nsenter", path=env["PATH"])
    assert program is not None, "util-linux is looked for first"
    words = [*_room_words(folder, first_pid), "env", *_assignments(place.environment), *inside]
    os.execve(program, words, {k: v for k, v in env.items() if k not in place.environment})  # noqa: S606 - the person's own command


def room_command_of(folder: LabFolder, command: Sequence[str]) -> list[str]:
    """The words that run ``command`` in the room of a lab.

    Raises:
        InputError: not root, or the lab does not run.
    """
    return [*_room_words(folder, _first_pid(folder)), *command]


def _first_pid(folder: LabFolder) -> int:
    refuse_roomless()
    first_pid = first_of_room(folder.path)
    if first_pid is None:
        raise InputError(
            f"lab {folder.name!r} does not run", next_step=f"Start it: gw lab up {folder.name}"
        )
    return first_pid


def _room_words(folder: LabFolder, first_pid: int) -> list[str]:
    # Tools of simulated subnets leave folders where they run.
    room = f"--target {first_pid} --mount --net --pid --uts --ipc --wd={folder.rubbish_path}"
    return ["nsenter", *room.split(), "--"]


def _assignments(environment: Mapping[str, str]) -> list[str]:
    """Words for ``env``: what is preloaded must reach the command only, not ``nsenter``."""
    return [f"{name}={value}" for name, value in environment.items()]
