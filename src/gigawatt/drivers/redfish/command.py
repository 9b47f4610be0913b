"""One command at the out-of-band switch, with a time limit."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress

from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.ids import DeviceId

SAID_MAX = 400
"""Characters of what a command said that an error shows. Ours."""
TOOL_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"


async def run_command(device: DeviceId, words: Sequence[str], stdin: str, wait_s_max: float) -> str:
    """What a command printed that ended with 0.

    Raises:
        DriverRetryableError: it cannot be started, does not end in time, or, as ``ssh`` does
            when it cannot connect, ends with 255.
        DriverPermanentError: it failed.
    """
    env = {**os.environ, "PATH": f"{TOOL_PATH}:{os.environ.get('PATH', '')}", "LC_ALL": "C"}
    pipe = asyncio.subprocess.PIPE
    try:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, stderr=pipe, env=env
        )
    except OSError as error:
        raise DriverRetryableError(
            f"{device}: '{words[0]}' cannot be started: {error.strerror}", device=device
        ) from error
    try:
        async with asyncio.timeout(wait_s_max):
            printed, complaint = await process.communicate(stdin.encode())
    except TimeoutError as error:
        raise DriverRetryableError(
            f"{device}: '{' '.join(words)}' did not end in {wait_s_max:g} s",
            device=device,
            next_step="See whether the switch answers.",
        ) from error
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode:
        said = complaint.decode(errors="replace").strip()[-SAID_MAX:]
        words_said = f"{device}: '{' '.join(words)}' failed with {process.returncode}: {said}"
        if process.returncode == 255:
            raise DriverRetryableError(words_said, device=device)
        raise DriverPermanentError(words_said, device=device)
    return printed.decode(errors="replace")
