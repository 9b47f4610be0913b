"""A detached worker: one process that carries one operation to its end and goes.

The command line starts it and only watches the store, so closing the terminal changes nothing.
"""

import argparse
import asyncio
import os
import subprocess
import sys
from pathlib import Path

from gigawatt.app.home import DATABASE_VARIABLE, Home
from gigawatt.app.watch.logs import set_up_logs
from gigawatt.app.watch.settings import WatchSettings
from gigawatt.app.watch.watches import following
from gigawatt.app.wiring import open_control, worker_name
from gigawatt.errors import ConflictError, GigawattError, StaleGenerationError
from gigawatt.ids import OperationId


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


def main(arguments: list[str] | None = None) -> int:
    """Run one operation; exit status 0 also when another worker was faster."""
    parser = argparse.ArgumentParser(prog="python -m gigawatt.app.worker")
    parser.add_argument("home", type=Path)
    parser.add_argument("operation_id", type=OperationId)
    given = parser.parse_args(arguments)
    settings = WatchSettings.of_environment()
    set_up_logs(settings.log_format)
    with (
        following(settings) as watch,
        open_control(Home(given.home), watch=watch) as control,
    ):
        try:
            asyncio.run(control.run(given.operation_id, worker_name()))
        except (ConflictError, StaleGenerationError):
            return 0
        except GigawattError as error:
            sys.stderr.write(f"{given.operation_id}: {type(error).__name__}: {error}\n")
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
