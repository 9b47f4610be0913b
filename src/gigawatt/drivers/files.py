"""Files that are changed as a whole or not at all, and locks among processes."""

import fcntl
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path


def replace_files(paths: Sequence[Path], text: str) -> None:
    """Put ``text`` in place of every one of ``paths`` (one folder), after all of it is on the disk.

    Each file is as it was or as it shall be, also after a crash; the first is never older than
    the others. On an ``OSError``, e.g. of a full disk, all are as they were.
    """
    prepare_files(paths, text)
    put_files(paths)
    sync_folder(paths[0].parent)


def prepare_files(paths: Sequence[Path], text: str) -> None:
    """Lay ``text`` on the disk beside each of ``paths``; an ``OSError`` leaves nothing of it."""
    fresh = [_fresh(path) for path in paths]
    try:
        with ExitStack() as stack:
            files = [stack.enter_context(path.open("w", encoding="utf-8")) for path in fresh]
            for file in files:
                file.write(text)
                file.flush()
            # Together: the disk's journal is then waited for once.
            with ThreadPoolExecutor(len(files)) as workers:
                list(workers.map(os.fsync, [file.fileno() for file in files]))
    except OSError:
        for path in fresh:
            with suppress(OSError):
                path.unlink()
        raise


def put_files(paths: Sequence[Path]) -> None:
    """Put what ``prepare_files`` laid down in place of ``paths``, the first one first."""
    for path in paths:
        _fresh(path).replace(path)


def sync_folder(folder: Path) -> None:
    """Have on the disk which files a folder has."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _fresh(path: Path) -> Path:
    return path.with_name(path.name + ".new")


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
