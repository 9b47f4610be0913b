"""A detached worker: one process that carries one operation to its end and goes.

The command line starts it and only watches the store, so closing the terminal changes nothing.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

from gigawatt.app.control import Control
from gigawatt.app.home import DATABASE_VARIABLE, Home
from gigawatt.app.watch.logs import set_up_logs
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.watches import following
from gigawatt.app.wiring import open_control, worker_name
from gigawatt.errors import ConflictError, GigawattError, StaleGenerationError
from gigawatt.ids import OperationId
from gigawatt.store.directory import open_directory
from gigawatt.store.store import SqlStore

CANCEL_LOOK_S = 0.5
"""Pause between two looks whether the operation shall be turned back. Ours."""


def start_worker(home: Home, operation_id: OperationId) -> subprocess.Popen[bytes]:
    """Start a worker that outlives this process, in a session of its own; its process."""
    home.make()
    # By the environment, because anybody can read the arguments of a process.
    surroundings = {name: text for name, text in os.environ.items() if name != DATABASE_VARIABLE}
    if home.database_url is not None:
        surroundings[DATABASE_VARIABLE] = home.database_url
    with home.log_path.open("ab") as log:
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "gigawatt.app.worker", str(home.path), operation_id],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env=surroundings,
        )


async def _carry(control: Control, operation_id: OperationId) -> None:
    """Carry an operation to its end; turn back if somebody asks for that meanwhile."""
    store, name = control.around.store, worker_name()
    assert isinstance(store, SqlStore), "a home has a SQL store"
    directory = open_directory(store)

    def turns_back() -> bool:
        who = directory.cancellations([operation_id]).get(operation_id)
        line = directory.operation_line(operation_id)
        is_asked = who is not None and line.state == "applying" and line.kind.is_reversible
        return is_asked and not task.done()

    task = asyncio.create_task(control.run(operation_id, name))
    while not task.done():
        await asyncio.wait([task], timeout=CANCEL_LOOK_S)
        if turns_back():
            task.cancel()
            await asyncio.wait([task])
            who = directory.cancellations([operation_id])[operation_id]
            control.cancel(operation_id, name, f"cancelled by {who}")
            task = asyncio.create_task(control.run(operation_id, name))
    await task


def main(arguments: list[str] | None = None) -> int:
    """Run one operation; exit status 0 also when another worker was faster."""
    parser = argparse.ArgumentParser(prog="python -m gigawatt.app.worker")
    parser.add_argument("home", type=Path)
    parser.add_argument("operation_id", type=OperationId)
    given = parser.parse_args(arguments)
    with (
        following(WatchSettings.of_environment()) as watch,
        open_control(Home(given.home), watch=watch) as control,
    ):
        try:
            asyncio.run(_carry(control, given.operation_id))
        except (ConflictError, StaleGenerationError):
            return 0
        except GigawattError as error:
            sys.stderr.write(f"{given.operation_id}: {type(error).__name__}: {error}\n")
            return error.exit_code
    return 0


if __name__ == "__main__":
    # Only of a process that is ours alone: it changes the loggers of all.
    set_up_logs(WatchSettings.of_environment().log_format)
    sys.exit(main())
