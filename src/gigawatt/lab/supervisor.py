"""Brings a lab's parts up in order and watches them, inside the lab's room.

``python -m gigawatt.lab.supervisor FOLDER DESCRIPTOR``; it ends when it is killed, and with it the
lab. ``FOLDER/status.json`` says how far it is.
"""

import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from select import select

from gigawatt.boundary.plane import Plane
from gigawatt.errors import GigawattError
from gigawatt.lab.control_plane import ControlPlane
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.folder import LabFolder, LabStatus, PartState, PartStatus
from gigawatt.lab.layout import Layout
from gigawatt.lab.parts import parts_of
from gigawatt.lab.running import LastingPart, Part, Running

WATCH_S = 2.0
"""Pause between two looks at the parts. Ours."""


class Supervisor:
    """One lab, from the first part to the end."""

    def __init__(self, folder: LabFolder, status: LabStatus, parts: Sequence[Part]) -> None:
        """Start ``parts`` in order, and say in ``folder`` how far that is."""
        self._folder = folder
        self._parts = parts
        self._start_s = time.monotonic()
        self._said_of: dict[str, str] = {}
        waiting = tuple(PartStatus(part.name) for part in parts)
        self._status = replace(status, parts=waiting)

    def bring_up(self) -> Running:
        """Start every part; the lab when all are up.

        Raises:
            GigawattError: a part does not come up; the status says which and why.
        """
        fleet = lab_fleet(self._status.spec)
        lab = Running(fleet, Layout(self._status.spec, fleet), self._folder.path)
        for part in self._parts:
            self._start(part, lab)
        drivers = {str(plane): [s["driver"] for s in lab.settings[plane]] for plane in Plane}
        took_s = time.monotonic() - self._start_s
        self._say(replace(self._status, state="up", took_s=took_s, drivers=drivers))
        return lab

    def _start(self, part: Part, lab: Running) -> None:
        start_s = time.monotonic()
        self._say(self._status.with_part(PartStatus(part.name, "starting")))
        try:
            part.start(lab)
        except GigawattError as error:
            took_s = time.monotonic() - start_s
            failed = PartStatus(part.name, "failed", took_s, str(error))
            self._say(self._status.with_part(failed))
            raise
        took_s = time.monotonic() - start_s
        self._say(self._status.with_part(PartStatus(part.name, "up", took_s)))

    def watch(self, lab: Running) -> None:
        """Say what ails the parts, now; one that lasts is started again, and that is said."""
        status = self._status
        for part, before in zip(self._parts, status.parts, strict=True):
            ailment = part.ailment(lab)
            state: PartState = "ailing" if ailment else "up"
            if ailment and isinstance(part, LastingPart):
                again = part.start_again(lab)
                if again:
                    state, self._said_of[part.name] = "up", again
            said = ailment if state == "ailing" else self._said_of.get(part.name, "")
            status = status.with_part(PartStatus(part.name, state, before.took_s, said))
        if status != self._status:
            self._say(status)

    def fail(self, said: str, next_step: str) -> None:
        """Say that the lab did not come up, and why."""
        self._say(replace(self._status, state="failed", said=said, next_step=next_step))

    def _say(self, status: LabStatus) -> None:
        self._status = status
        self._folder.write_status(status)


def main() -> None:
    """Bring the lab up, and watch it until killed."""
    folder, descriptor = LabFolder(Path(sys.argv[1])), int(sys.argv[2])
    status = folder.read_status()
    assert status is not None, "who starts a lab writes its first status"
    supervisor = Supervisor(folder, status, [*parts_of(status.spec), ControlPlane(descriptor)])
    try:
        lab = supervisor.bring_up()
        while True:
            select([], [], [], WATCH_S)
            supervisor.watch(lab)
    except GigawattError as error:
        supervisor.fail(str(error), error.next_step)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001 - whoever waits for the lab is told
        traceback.print_exc()
        supervisor.fail(
            f"this should not happen: {type(error).__name__}: {error}",
            f"report it with {folder.logs_path / 'supervisor.log'}",
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
