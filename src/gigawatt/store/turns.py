"""Turns: planners of all replicas go one after the other, as far as that can be had cheaply.

Planners that start from one snapshot want the same best nodes and the same lowest keys, so of a
hundred at once one wins and the others plan again. A turn spares that work. It protects nothing:
the commit compares and sets whoever's turn it is, so a turn that does not come soon is not waited
for, and a replica that stops with the turn in its hand delays the others only a little.
"""

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

TURN_WAIT_S = 2.0
"""Longest wait for a turn. Ours: planning and committing 4,000 GPUs takes less on an idle core."""

_POLL_S = 0.01
_ADVISORY_LOCK = 0x67_69_67_61_74_75_72_6E
"""Key of the lock on PostgreSQL: "gigaturn" in ASCII."""


@contextmanager
def turn_by_file(path: Path) -> Iterator[None]:
    """A turn by the kernel's lock on a file beside a SQLite store; it ends with its process."""
    try:
        file = path.with_name(f"{path.name}-turn").open("ab")
    except OSError:
        # A full disk or a folder without rights: the commit will tell.
        yield
        return
    with file:
        until_s = time.monotonic() + TURN_WAIT_S
        while time.monotonic() < until_s:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                time.sleep(_POLL_S)
        yield


@contextmanager
def turn_by_database(engine: Engine) -> Iterator[None]:
    """A turn by an advisory lock on PostgreSQL; it ends with its connection."""
    with engine.connect() as connection:
        try:
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{TURN_WAIT_S:g}s'")
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_ADVISORY_LOCK})")
        except DBAPIError:
            with suppress(DBAPIError):
                connection.rollback()
        try:
            yield
        finally:
            with suppress(DBAPIError):
                connection.rollback()
