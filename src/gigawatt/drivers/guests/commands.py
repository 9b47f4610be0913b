"""Commands on a hypervisor: each with a time limit, and its failure told as what it means.

libvirt is spoken to by ``virsh``: its Python binding has to be compiled against the library of
the system, the command line need not, and goes over SSH as it is.
"""

import asyncio
import os
import shlex
from collections.abc import Sequence

from gigawatt.drivers.guests.settings import HypervisorSettings
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId

SAID_MAX = 400
"""Characters of a command's words that an error shows. Ours."""
SSH_FAILED = 255
"""Exit status of ssh when it could not reach the machine (ssh(1))."""

_UNANSWERED = (
    "failed to connect to the hypervisor",
    "Failed to connect socket",
    "Cannot recv data",
    "Cannot write data",
    "End of file while reading data",
    "client socket is closed",
    "connection closed due to keepalive timeout",
    "internal error: client socket is closed",
    "cannot acquire state change lock",
)
"""What virsh says when libvirt does not answer, or is too busy to."""


class Commands:
    """Runs commands on one hypervisor."""

    def __init__(self, settings: HypervisorSettings, command_s_max: float) -> None:
        """Run them there, each for ``command_s_max`` seconds at most."""
        self._settings = settings
        self._command_s_max = command_s_max
        self._device = DeviceId(f"host/{settings.node_id}")

    async def virsh(self, *words: str, stdin: str = "") -> str:
        """What virsh printed.

        Raises:
            DriverRetryableError: libvirt does not answer.
            DriverPermanentError: it refuses.
        """
        command = ["virsh", "--quiet", "--connect", self._settings.uri, *words]
        return (await self.run(command, stdin=stdin.encode())).decode(errors="replace")

    async def run(
        self, command: Sequence[str], *, stdin: bytes = b"", time_s_max: float | None = None
    ) -> bytes:
        """What a command printed.

        Raises:
            DriverRetryableError: no answer in time, or the machine cannot be reached.
            DriverPermanentError: it failed.
        """
        limit_s = time_s_max or self._command_s_max
        try:
            async with asyncio.timeout(limit_s):
                code, output, said = await self._run(command, stdin)
        except TimeoutError as error:
            raise self._unanswered(command, f"no answer within {limit_s:g} s") from error
        except OSError as error:
            raise self._unanswered(command, str(error)) from error
        if code == 0:
            return output
        words = (said or output).decode(errors="replace").strip()[-SAID_MAX:]
        is_unreached = code == SSH_FAILED and bool(self._settings.prefix)
        if is_unreached or any(line in words for line in _UNANSWERED):
            raise self._unanswered(command, words)
        raise DriverPermanentError(
            f"{self._device}: '{_shown(command)}' failed with {code}: {words or 'no word'}",
            device=self._device,
            next_step=f"Look at the hypervisor's libvirt and disk, and at {self._settings.folder}.",
        )

    def _unanswered(self, command: Sequence[str], why: str) -> DriverRetryableError:
        return DriverRetryableError(
            f"{self._device}: '{_shown(command)}' got no answer from {self._settings.uri}: {why}",
            device=self._device,
            next_step="See that libvirtd runs on the hypervisor; guests live on without it.",
        )

    async def _run(self, command: Sequence[str], stdin: bytes) -> tuple[int, bytes, bytes]:
        process = await asyncio.create_subprocess_exec(
            *self._words(command),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )
        try:
            output, said = await process.communicate(stdin)
        finally:
            if process.returncode is None:
                os.killpg(process.pid, 9)
                await process.wait()
        return process.returncode or 0, output, said

    def _words(self, command: Sequence[str]) -> list[str]:
        prefix = self._settings.prefix
        if prefix and prefix[0].rpartition("/")[2] == "ssh":
            # ssh joins its words with blanks and gives them to a shell.
            return [*prefix, shlex.join(command)]
        return [*prefix, *command]


def _shown(command: Sequence[str]) -> str:
    return shlex.join(command)[:SAID_MAX]
