"""Where an audit looks, and what it says it found."""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gigawatt.boundary.plane import Plane
from gigawatt.errors import InputError
from gigawatt.lab.fleet import lab_fleet
from gigawatt.lab.folder import LabFolder
from gigawatt.lab.layout import LabSpec, Layout
from gigawatt.lab.running import SAID_MAX, in_namespace, tool_environment

TOOL_S_MAX = 60.0
"""Longest time of one tool. Ours."""


@dataclass(frozen=True, slots=True, order=True)
class Leftover:
    """One thing of a tenant: on which plane, what it is, and where."""

    plane: Plane
    what: str
    where: str


@dataclass(frozen=True)
class AuditScene:
    """One lab, as seen from inside its room."""

    folder: LabFolder
    spec: LabSpec
    layout: Layout

    @classmethod
    def of(cls, folder: LabFolder) -> "AuditScene":
        """The lab in a folder.

        Raises:
            InputError: there is none.
        """
        status = folder.read_status()
        if status is None:
            raise InputError(f"there is no lab in {folder.path}")
        return cls(folder, status.spec, Layout(status.spec, lab_fleet(status.spec)))

    def said(
        self,
        command: Sequence[str],
        *,
        namespace: str | None = None,
        environment: Mapping[str, str] | None = None,
        stdin: str = "",
    ) -> str:
        """What a tool printed.

        Raises:
            InputError: it failed or hangs: an audit that saw nothing must not say so.
        """
        assignments = [f"{name}={value}" for name, value in (environment or {}).items()]
        inner = [*(["env", *assignments] if assignments else []), *command]
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                in_namespace(inner, namespace),
                input=stdin,
                capture_output=True,
                text=True,
                env=tool_environment(),
                cwd=self.folder.rubbish_path,
                timeout=TOOL_S_MAX,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise InputError(f"{command[0]} does not run: {error}") from error
        if done.returncode:
            said = (done.stderr or done.stdout).strip()[-SAID_MAX:]
            raise InputError(f"{' '.join(command)} in {namespace or 'the room'}: {said}")
        return done.stdout

    def listed(self, command: Sequence[str], *, namespace: str | None = None) -> Any:  # noqa: ANN401 - whatever the tool says
        """What a tool printed as JSON.

        Raises:
            InputError: it failed, or that is no JSON.
        """
        said = self.said(command, namespace=namespace)
        try:
            return json.loads(said or "[]")
        except ValueError as error:
            raise InputError(f"{' '.join(command)} printed {said[:SAID_MAX]!r}") from error

    def processes(self) -> list[str]:
        """The command line of every process of the room."""
        return self.said(["ps", "-e", "-ww", "-o", "args="]).splitlines()

    @staticmethod
    def files(folder: Path) -> list[Path]:
        """Every file below a folder, or none where there is no such folder."""
        return [path for path in sorted(folder.rglob("*")) if path.is_symlink() or path.is_file()]
