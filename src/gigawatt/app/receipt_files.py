"""Receipts of cleaning in files of a home: one for each node, one line for each receipt."""

import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from gigawatt.errors import DataError
from gigawatt.ids import NodeId
from gigawatt.interfaces.receipts import CleaningReceipt


@cache
def _adapter() -> TypeAdapter[CleaningReceipt]:
    return TypeAdapter(CleaningReceipt)


class ReceiptFiles:
    """``Receipts`` in a folder; appended to, never changed."""

    def __init__(self, folder: Path) -> None:
        """Keep them in ``folder``."""
        self._folder = folder

    def keep(self, receipt: CleaningReceipt) -> None:
        """See ``Receipts.keep``.

        Raises:
            DataError: the disk does not take it.
        """
        line = _adapter().dump_json(receipt) + b"\n"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._path(receipt.node_id)
            if any(kept.receipt_id == receipt.receipt_id for kept in self._read(path)):
                return
            # One write to a file that only grows: lines of two processes do not mix.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            try:
                os.write(descriptor, line)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(
                f"the receipt {receipt.receipt_id} of {receipt.node_id} was not kept:"
                f" {error.strerror}",
                next_step=f"Make room on, or mend, the disk of {self._folder}.",
            ) from error

    def of_node(self, node_id: NodeId, limit: int = 100) -> Sequence[CleaningReceipt]:
        """See ``Receipts.of_node``.

        Raises:
            DataError: a receipt does not read back.
        """
        return tuple(reversed(self._read(self._path(node_id))))[:limit]

    def _path(self, node_id: NodeId) -> Path:
        return self._folder / f"{node_id.replace('/', '__')}.jsonl"

    def _read(self, path: Path) -> list[CleaningReceipt]:
        try:
            lines = path.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        try:
            return [_adapter().validate_json(line) for line in lines]
        except ValidationError as error:
            raise DataError(f"{path} has a receipt that does not read back") from error
