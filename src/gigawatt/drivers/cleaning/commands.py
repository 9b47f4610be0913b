"""A step that is a command of the site: what sanitises a disk, resets GPUs, or burns in."""

import asyncio
import os
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from gigawatt.drivers.cleaning.engine import Step, StepFailedError
from gigawatt.ids import NodeId

SAID_LENGTH_MAX = 400
"""Characters of what a command said that are kept, from its end. Ours."""

NOT_CONFIGURED = "not done: no hook configured"


class HookSettings(BaseModel):
    """One command of the site.

    Fields:
        command: words; ``{node}`` in a word becomes the node's id. Exit code 0 passes, and what it
            printed goes into the receipt; any other fails.
        time_s_max: it is killed after this many seconds, and has failed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    command: Annotated[tuple[str, ...], Field(min_length=1)]
    time_s_max: Annotated[float, Field(gt=0, le=86_400)] = 600.0


def hook_step(
    name: str, hook: HookSettings | None, node_id: NodeId, *, is_required: bool = False
) -> Step:
    """The step that runs ``hook`` for a node.

    Without a hook the step says that it was not done: it passes with these words, or does not if
    the site requires it.
    """
    if hook is not None:
        words = [word.replace("{node}", node_id) for word in hook.command]
        return Step(name, hook.time_s_max, lambda: run_command(words))

    async def say() -> str:
        if is_required:
            raise StepFailedError(f"{NOT_CONFIGURED}, and this site requires it")
        return NOT_CONFIGURED

    return Step(name, 1.0, say)


async def run_command(words: list[str]) -> str:
    """The end of what a command printed; the command and its children die with the call.

    Raises:
        StepFailedError: it did not end with 0, or cannot be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise StepFailedError(f"'{words[0]}' cannot be started: {error.strerror}") from error
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            os.killpg(process.pid, 9)
            await process.wait()
    said = output.decode(errors="replace").strip()[-SAID_LENGTH_MAX:]
    if process.returncode:
        raise StepFailedError(f"'{words[0]}' ended with {process.returncode}: {said or 'no word'}")
    return said or "done"
