"""Files that are changed as a whole or not at all, and locks among processes."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path


def replace_files(paths: Sequence[Path], text: str) -> None:
    """Put ``text`` in place of every one of ``paths`` (one folder), after all of it is on the disk.

    Each file is as it was or as it shall be, also after a crash; the first is never older than
    the others. On an ``OSError``, e.g. of a full disk, all are as they were.
    """
    fresh = [path.with_name(path.name + ".new") for path in paths]
    try:
        for path in fresh:
            with path.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
    except OSError:
        for path in fresh:
            with suppress(OSError):
                path.unlink()
        raise
    for old, new in zip(paths, fresh, strict=True):
        new.replace(old)
    folder = os.open(paths[0].parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@contextmanager
def try_lock(path: Path) -> Iterator[bool]:
    """Hold the lock of ``path`` alone among all processes if nobody else does; says whether."""
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
