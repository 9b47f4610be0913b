"""The file ``partitions.conf`` on its disk: read strictly, changed whole, never left half.

Beside it lies a copy, ``partitions.conf.kept``, of what is written next. It is written first, so it
is never older than the file: to put it back can bring no port back that was taken out.
"""

import errno
from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from gigawatt.drivers.files import prepare_files, put_files, sync_folder, try_lock
from gigawatt.drivers.opensm.partitions_conf import (
    IbPartitions,
    parse_partitions,
    render_partitions,
)
from gigawatt.errors import DataError, DriverRetryableError
from gigawatt.ids import FabricId


class ConfFile:
    """``partitions.conf`` of one fabric."""

    def __init__(self, path: Path, fabric_id: FabricId) -> None:
        """Keep the file at ``path``, its copy and its lock beside it."""
        self.path = path
        self.kept_path = path.with_name(path.name + ".kept")
        self._lock_path = path.with_name(path.name + ".lock")
        self._fabric_id = fabric_id
        self._known: tuple[bytes, IbPartitions] | None = None

    def lay_down(self, managers: Collection[int] = ()) -> bool:
        """Write the first file, with no partitions but the default one; False if there was one.

        Args:
            managers: port GUIDs that are full members of the default partition, at most eight.

        Raises:
            DataError: there is no file, but a copy of one: it was lost, and is not made up anew.
            DriverRetryableError: the disk does not take it.
        """
        if self.path.exists():
            return False
        if self.kept_path.exists():
            raise DataError(f"{self.path} is gone, but there was one", next_step=self.next_step)
        self.write(IbPartitions(self._fabric_id, managers=frozenset(managers)))
        return True

    @property
    def next_step(self) -> str:
        """What to do about a file that is not ours."""
        return (
            f"See what changed with 'diff {self.kept_path} {self.path}'; to undo it, copy the first"
            " over the second and send SIGHUP to opensm; then run 'gw reconcile'."
        )

    def read(self) -> IbPartitions:
        """What the file says.

        Raises:
            DataError: it is not there, or not as we wrote it; says why and what to do.
        """
        return self._parsed(self.path)

    def read_kept(self) -> IbPartitions | None:
        """What the copy says; None if it is of no use."""
        try:
            return self._parsed(self.kept_path)
        except DataError:
            return None

    def _parsed(self, path: Path) -> IbPartitions:
        try:
            found, known = path.read_bytes(), self._known
            # The same bytes say the same: those that were read, or rendered, before.
            if known is None or known[0] != found:
                known = found, parse_partitions(found.decode("ascii"), self._fabric_id)
                self._known = known
        except (OSError, UnicodeDecodeError, DataError) as error:
            raise DataError(
                f"{path} is not as it was written: {error}", next_step=self.next_step
            ) from error
        return known[1]

    def write(self, ib_partitions: IbPartitions) -> None:
        """Change the file as a whole: all of it, on the disk, or nothing.

        Raises:
            DriverRetryableError: the disk does not take it; the file is as it was.
        """
        self.prepare(ib_partitions)
        self.put()
        self.settle()

    def prepare(self, ib_partitions: IbPartitions) -> None:
        """Lay what shall be beside the file, on the disk, and read back from its text.

        Raises:
            DriverRetryableError: the disk does not take it.
        """
        text = render_partitions(ib_partitions)
        again = parse_partitions(text, self._fabric_id)
        assert again == ib_partitions, "what we render is what we read"
        self._known = text.encode("ascii"), again
        with self._on_disk():
            prepare_files((self.kept_path, self.path), text)

    def put(self) -> None:
        """Put what was prepared in the file's place; after a crash it may be as it was.

        Raises:
            DriverRetryableError: the disk does not take it.
        """
        with self._on_disk():
            put_files((self.kept_path, self.path))

    def settle(self) -> None:
        """Have what was put on the disk, whatever crashes.

        Raises:
            DriverRetryableError: the disk does not say so.
        """
        with self._on_disk():
            sync_folder(self.path.parent)

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            cause = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
            raise DriverRetryableError(
                f"{self.path} was not changed: {cause}",
                next_step=f"Make room or mend the disk of {self.path.parent}, then try again.",
            ) from error

    def try_lock(self) -> AbstractContextManager[bool]:
        """Hold the file for oneself among all processes if nobody else does; says whether."""
        return try_lock(self._lock_path)
