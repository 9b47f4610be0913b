"""Running commands on a switch: one shell for one change, however far away the switch is.

The script goes in by standard input, so that ``ssh`` need not quote it, and is read whole before
its first command runs, so that a connection that breaks in the middle runs all of it or nothing.
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress

from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId

REACHED = "gigawatt: reached"
SECTION = "gigawatt: section "
TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
SAID_MAX = 400
"""Characters of what a switch said that an error shows. Ours."""


class Reach:
    """The way to one switch."""

    def __init__(self, name: str, words: Sequence[str], wait_s_max: float) -> None:
        """Reach switch ``name`` by putting ``words`` before ``sh -s``."""
        self.name = name
        self._words = tuple(words)
        self._wait_s_max = wait_s_max

    async def run(self, script: str, device: DeviceId) -> str:
        """What a script printed that ran to its end.

        Raises:
            DriverRetryableError: the switch was not reached, or not in time.
            DriverPermanentError: a command failed; those before it were run.
        """
        start = f"export PATH={TOOL_PATH} LC_ALL=C\nset -e\necho '{REACHED}'"
        whole = f"{{ {start}\n{script}\n}} </dev/null\n"
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words,
                "sh",
                "-s",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
        except OSError as error:
            raise self._unreached(device, f"{error}") from error
        try:
            out, said = await asyncio.wait_for(
                process.communicate(whole.encode()), self._wait_s_max
            )
        except TimeoutError as error:
            raise self._unreached(device, f"no answer in {self._wait_s_max:g} s") from error
        finally:
            if process.returncode is None:
                with suppress(ProcessLookupError):
                    process.kill()
                await process.wait()
        text = out.decode(errors="replace")
        complaint = said.decode(errors="replace").strip()[-SAID_MAX:]
        if not text.startswith(REACHED):
            raise self._unreached(device, complaint or f"ended with {process.returncode}")
        if process.returncode:
            raise DriverPermanentError(
                f"{device}: switch {self.name} failed with {process.returncode}: {complaint}",
                device=device,
                next_step=f"Look at switch {self.name}; nothing of this change is left there.",
            )
        return text.partition("\n")[2]

    async def read(self, commands: Mapping[str, str], device: DeviceId) -> dict[str, str]:
        """What each command printed, errors among it, by the command's name.

        Raises:
            DriverRetryableError: the switch was not reached, or not in time.
        """
        script = "\n".join(
            f"echo; echo '{SECTION}{name}'; {{ {command} ; }} 2>&1 || true"
            for name, command in commands.items()
        )
        found = (await self.run(script, device)).split(f"\n{SECTION}")[1:]
        return {name: text for name, _, text in (part.partition("\n") for part in found)}

    def _unreached(self, device: DeviceId, why: str) -> DriverRetryableError:
        return DriverRetryableError(
            f"{device}: switch {self.name} cannot be reached by '{' '.join(self._words)}': {why}",
            device=device,
            next_step=f"See whether switch {self.name} is up and lets this machine in.",
        )


def fed(tool: str, lines: Sequence[str]) -> str:
    """Shell words that give ``ip`` or ``bridge`` lines in one process; nothing for no lines."""
    return "\n".join([f"{tool} -batch - <<'END'", *lines, "END"]) if lines else ""


def nft(text: str) -> str:
    """Shell words that load one transaction of nftables, given as JSON."""
    return f"nft -j -f - <<'END'\n{text}\nEND"
