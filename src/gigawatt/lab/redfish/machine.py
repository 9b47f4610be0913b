"""The machine behind a simulated BMC: the power command, or a state that is remembered."""

import subprocess
from pathlib import Path
from threading import Lock

from gigawatt.ids import NodeId
from gigawatt.lab.machine.processes import first_process, progress
from gigawatt.lab.redfish import POWER_S_MAX
from gigawatt.lab.redfish.answer import RefusedError

SAID_MAX = 300
"""Characters of a command's output that an error shows. Ours."""


class HostPower:
    """One host; see the package for what the command must do."""

    def __init__(
        self, node_id: NodeId, command: tuple[str, ...], namespace: Path | None = None
    ) -> None:
        """Power ``node_id`` by ``command``; without one, remember.

        ``namespace`` is the network namespace of a machine of the lab, see ``BmcConfig``.
        """
        self._node_id = node_id
        self._namespace = namespace
        self._command = command
        self._is_on = False
        self._turn = Lock()

    def state(self) -> tuple[bool, str]:
        """Whether it is on, and its boot progress in a word of Redfish.

        Raises:
            RefusedError: the command failed, or said something else.
        """
        if self._namespace is not None:
            first = first_process(self._namespace)
            return first is not None, progress(first)
        words = ["on" if self._is_on else "off"]
        if self._command:
            words = self._run("state", self._node_id).split()
        if words[:1] not in (["on"], ["off"]) or len(words) > 2:
            raise _failed(f"said {' '.join(words)!r}")
        is_on = words[0] == "on"
        return is_on, words[1] if len(words) == 2 else ("OSRunning" if is_on else "None")

    def power_on(self, media: Path | None) -> None:
        """Power on, from a CD image if one is given.

        Raises:
            RefusedError: the command failed.
        """
        if self._command:
            self._run("on", self._node_id, *(("--media", str(media)) if media else ()))
        self._is_on = True

    def power_off(self, *, is_graceful: bool = False) -> None:
        """Power off.

        Raises:
            RefusedError: the command failed.
        """
        if self._command:
            self._run("off", self._node_id, *(("--graceful",) if is_graceful else ()))
        self._is_on = False

    def _run(self, *words: str) -> str:
        with self._turn:
            try:
                done = subprocess.run(  # noqa: S603 - the operator's own words
                    [*self._command, *words],
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=POWER_S_MAX,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                raise _failed(f"took more than {POWER_S_MAX:g} s") from error
            except OSError as error:
                raise _failed(str(error)) from error
        if done.returncode:
            raise _failed((done.stderr or done.stdout).strip()[-SAID_MAX:])
        return done.stdout


def _failed(why: str) -> RefusedError:
    return RefusedError(500, "InternalError", f"the power command {why}")
