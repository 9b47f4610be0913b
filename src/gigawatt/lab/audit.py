"""What of any tenant is in a lab, by the components' own tools and never by our drivers or notes.

``python -m gigawatt.lab.audit FOLDER`` inside the lab's room prints it as JSON; ``read_audit`` runs
that from outside. Names and addresses of places come from the lab's layout, what is there from
``smpquery``, ``ip``, ``nft``, ``ps``, ``curl``, ``btrfs``, ``virsh`` and the file system.
"""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gigawatt.boundary.plane import Plane
from gigawatt.errors import DataError, InputError
from gigawatt.lab.audit_fabric import audit_fabric
from gigawatt.lab.audit_hosts import audit_hosts
from gigawatt.lab.audit_in_band import audit_in_band
from gigawatt.lab.audit_out_of_band import audit_out_of_band
from gigawatt.lab.audit_scene import AuditScene, Leftover
from gigawatt.lab.audit_storage import audit_storage
from gigawatt.lab.folder import LabFolder
from gigawatt.lab.places import room_command_of
from gigawatt.lab.running import SAID_MAX, tool_environment

AUDIT_S_MAX = 300.0
"""Longest time of an audit; 16 nodes take some seconds. Ours."""

AUDITS: Sequence[tuple[Plane, Callable[[AuditScene], Iterator[Leftover]]]] = (
    (Plane.FABRIC, audit_fabric),
    (Plane.IN_BAND, audit_in_band),
    (Plane.OUT_OF_BAND, audit_out_of_band),
    (Plane.STORAGE, audit_storage),
    (Plane.HOST, audit_hosts),
)


def audit_inside(scene: AuditScene) -> list[Leftover]:
    """Everything of a tenant, by plane; to be called inside the lab's room.

    Raises:
        InputError: a component does not answer, so that nothing can be said.
    """
    wanted = AUDITS[:1] if scene.spec.is_fabric_only else AUDITS
    with ThreadPoolExecutor(len(wanted)) as workers:
        found = list(workers.map(lambda one: sorted(one[1](scene)), wanted))
    return [leftover for some in found for leftover in some]


def read_audit(folder: LabFolder) -> tuple[Leftover, ...]:
    """Everything of a tenant in a lab that runs.

    Raises:
        InputError: not root, the lab does not run, or a component does not answer.
        DataError: the audit did not speak as it should.
    """
    words = [sys.executable, "-m", "gigawatt.lab.audit", str(folder.path)]
    command = room_command_of(folder, words)
    path = ":".join(str(Path(place).resolve()) for place in sys.path if place)
    try:
        done = subprocess.run(  # noqa: S603 - our own words
            command,
            capture_output=True,
            text=True,
            env={**tool_environment(), "PYTHONPATH": path},
            timeout=AUDIT_S_MAX,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"the audit did not end in {AUDIT_S_MAX:g} s") from error
    if done.returncode:
        raise InputError(
            f"lab {folder.name!r} cannot be audited: {done.stderr.strip()[-SAID_MAX:]}",
            next_step=f"gw lab status {folder.name}",
        )
    try:
        return TypeAdapter(tuple[Leftover, ...]).validate_json(done.stdout)
    except ValidationError as error:
        raise DataError(f"the audit said {done.stdout[-SAID_MAX:]!r}") from error


def main() -> None:
    """Print what is left."""
    try:
        found = audit_inside(AuditScene.of(LabFolder(Path(sys.argv[1]))))
    except InputError as error:
        sys.exit(str(error))
    sys.stdout.write(json.dumps([asdict(leftover) for leftover in found]))


if __name__ == "__main__":
    main()
