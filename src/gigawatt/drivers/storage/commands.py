"""Commands at a storage server, each with a time limit."""

import asyncio
import os
import shlex
import signal
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId

SAID_MAX = 300
"""Characters of a command's output that an error shows. Ours."""
TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said, whether it worked or not."""

    status: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Commands:
    """The way to one storage server.

    Fields:
        device: named in errors.
        prefix: words before every command, e.g. ``("ssh", "nas0")``; empty on the server itself.
        is_quoted: whether the prefix gives the words to a shell (``ssh`` does).
        wait_s_max: how long one command may take.
    """

    device: DeviceId
    prefix: tuple[str, ...] = ()
    is_quoted: bool = False
    wait_s_max: float = 60.0

    async def say(self, words: Sequence[str], stdin: str = "") -> Said:
        """Run a command, whatever its status.

        Raises:
            DriverRetryableError: it cannot be started, or takes too long (it is then killed).
        """
        line = [*self.prefix, shlex.join(words)] if self.is_quoted else [*self.prefix, *words]
        try:
            process = await asyncio.create_subprocess_exec(
                *line,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, "PATH": f"{TOOL_PATH}:{os.environ.get('PATH', '')}"}
                | {"LC_ALL": "C"},
                start_new_session=True,
            )
        except OSError as error:
            raise DriverRetryableError(
                f"{self.device}: '{words[0]}' cannot be started: {error.strerror}",
                device=self.device,
                next_step=f"Install what has '{line[0]}' on the machine of the control plane.",
            ) from error
        try:
            async with asyncio.timeout(self.wait_s_max):
                stdout, stderr = await process.communicate(stdin.encode())
        except TimeoutError as error:
            raise DriverRetryableError(
                f"{self.device}: '{_shown(words)}' did not end in {self.wait_s_max:g} s",
                device=self.device,
                next_step="Look whether the storage server and its disks answer.",
            ) from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                await process.communicate()
        assert process.returncode is not None, "communicate waits for the end"
        return Said(
            process.returncode, stdout.decode(errors="replace"), stderr.decode(errors="replace")
        )

    async def run(self, words: Sequence[str], stdin: str = "") -> str:
        """What a command printed that had to work.

        Raises:
            DriverRetryableError: it cannot be started, or takes too long.
            DriverPermanentError: it failed; the message has what it said.
        """
        said = await self.say(words, stdin)
        if said.status:
            raise DriverPermanentError(
                f"{self.device}: '{_shown(words)}' failed with {said.status}:"
                f" {(said.stderr or said.stdout).strip()[-SAID_MAX:]}",
                device=self.device,
            )
        return said.stdout


def _shown(words: Sequence[str]) -> str:
    """The beginning of a command; scripts and lists of files are long."""
    return shlex.join(words).partition("\n")[0][:120]
