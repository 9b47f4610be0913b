"""Device states in one file, so that they outlive the process and several processes share them.

One row an entry: a large fabric is not rewritten for one small change, and the states that this
process has decoded are kept as long as the file says that nobody else changed them. The file is
this simulator's memory and no record of the product, so it survives the end of a process, not a
loss of power (``synchronous=OFF``).
"""

import json
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter

from gigawatt.boundary.entries import PartitionMember
from gigawatt.drivers.fake.state import Delta, DeviceState, Facts, Held
from gigawatt.drivers.fake.states import HISTORY_MAX
from gigawatt.errors import DataError, DriverRetryableError
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.codec import entries_from_json, entry_to_json

_FORMAT = 1

_SCHEMA = """
CREATE TABLE IF NOT EXISTS device (
    device TEXT PRIMARY KEY, version INTEGER NOT NULL, write_count INTEGER NOT NULL,
    facts TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS held (
    device TEXT NOT NULL, key TEXT NOT NULL, owner TEXT, entry TEXT NOT NULL,
    PRIMARY KEY (device, key)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS generation (
    device TEXT NOT NULL, cluster TEXT NOT NULL, newest INTEGER NOT NULL,
    PRIMARY KEY (device, cluster)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    device TEXT NOT NULL, write_count INTEGER NOT NULL, undo TEXT NOT NULL,
    PRIMARY KEY (device, write_count)
) WITHOUT ROWID;
"""

_AMONG = "device IN (SELECT value FROM json_each(?))"

LOCK_WAIT_S = 30.0
"""How long a call waits for the other processes, seconds."""


@cache
def _facts() -> TypeAdapter[Facts]:
    return TypeAdapter(Facts)


@cache
def _delta() -> TypeAdapter[Delta]:
    return TypeAdapter(Delta)


class FileStates:
    """``DeviceStates`` in an SQLite file."""

    def __init__(self, path: Path) -> None:
        """Open or make the file at ``path``.

        Raises:
            DataError: the file cannot be opened, or is something else.
        """
        self._path = path
        self._cached: dict[DeviceId, DeviceState] = {}
        self._versions: dict[DeviceId, int] = {}
        self._write_counts: dict[DeviceId, int] = {}
        self._current: set[DeviceId] = set()
        self._touched: set[DeviceId] = set()
        self._file_version = -1
        try:
            self._db = sqlite3.connect(
                path, timeout=LOCK_WAIT_S, isolation_level=None, check_same_thread=False
            )
            self._prepare()
        except sqlite3.Error as error:
            raise DataError(
                f"{path} cannot be used for device states: {error}",
                next_step="Name another file, or remove this one to start with empty devices.",
            ) from error

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=OFF")
        self._db.execute("BEGIN IMMEDIATE")
        found = self._db.execute("PRAGMA user_version").fetchone()[0]
        if found not in {0, _FORMAT}:
            self._db.execute("ROLLBACK")
            raise DataError(f"{self._path} has format {found} of device states, wanted {_FORMAT}")
        for statement in _SCHEMA.split(";"):
            self._db.execute(statement)
        self._db.execute(f"PRAGMA user_version={_FORMAT}")
        self._db.execute("COMMIT")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """See ``DeviceStates.transaction``.

        Raises:
            DriverRetryableError: the file is locked for too long, or its disk is full.
            DataError: the file is damaged.
        """
        self._touched.clear()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._forget_if_changed()
            yield
            self._db.execute("COMMIT")
        except BaseException as error:
            self._roll_back()
            if isinstance(error, sqlite3.OperationalError):
                raise DriverRetryableError(f"{self._path} did not answer: {error}") from error
            if isinstance(error, sqlite3.Error):
                raise DataError(f"{self._path} is damaged: {error}") from error
            raise

    def _forget_if_changed(self) -> None:
        found = self._db.execute("PRAGMA data_version").fetchone()[0]
        if found != self._file_version:
            self._file_version = found
            self._current.clear()

    def _roll_back(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        for device in self._touched:
            self._cached.pop(device, None)
            self._versions.pop(device, None)
            self._write_counts.pop(device, None)
        self._current -= self._touched

    def load(self, devices: Collection[DeviceId]) -> Mapping[DeviceId, DeviceState]:
        """See ``DeviceStates.load``."""
        unsure = [device for device in devices if device not in self._current]
        if unsure:
            self._refresh(unsure)
        return {device: self._cached[device] for device in devices}

    def _refresh(self, devices: Collection[DeviceId]) -> None:
        rows = self._db.execute(
            f"SELECT device, version, write_count, facts FROM device WHERE {_AMONG}",  # noqa: S608
            (json.dumps(list(devices)),),
        ).fetchall()
        changed = []
        for device, version, write_count, facts in rows:
            if self._versions.get(device) != version:
                self._cached[device] = DeviceState(facts=_facts().validate_json(facts))
                self._versions[device] = version
                self._write_counts[device] = write_count
                changed.append(device)
        for device in devices:
            self._cached.setdefault(device, DeviceState())
        self._fill(changed)
        self._current.update(devices)

    def _fill(self, devices: list[DeviceId]) -> None:
        names = (json.dumps(devices),)
        rows = self._db.execute(
            f"SELECT device, key, owner, entry FROM held WHERE {_AMONG}",  # noqa: S608
            names,
        ).fetchall()
        entries = entries_from_json("[" + ",".join(row[3] for row in rows) + "]")
        for (device, key, owner, _), entry in zip(rows, entries, strict=True):
            self._cached[device].held[key] = Held(entry, owner)
        for device in devices:
            state = self._cached[device]
            members = (held.entry for held in state.held.values())
            state.p_key_count = Counter(m.guid for m in members if isinstance(m, PartitionMember))
        query = f"SELECT device, cluster, newest FROM generation WHERE {_AMONG}"  # noqa: S608
        for device, cluster, newest in self._db.execute(query, names):
            self._cached[device].generations[ClusterId(cluster)] = newest

    def written(self) -> frozenset[DeviceId]:
        """See ``DeviceStates.written``."""
        return frozenset(DeviceId(row[0]) for row in self._db.execute("SELECT device FROM device"))

    def apply(self, device: DeviceId, delta: Delta) -> None:
        """See ``DeviceStates.apply``."""
        self.load([device])
        undo = self._apply(device, delta)
        if delta.held:
            count = self._write_counts.get(device, 0) + 1
            text = _delta().dump_json(undo).decode()
            self._db.execute("INSERT INTO history VALUES (?, ?, ?)", (device, count, text))
            self._db.execute(
                "DELETE FROM history WHERE device = ? AND write_count <= ?",
                (device, count - HISTORY_MAX),
            )
            self._write_counts[device] = count
        self._save(device)

    def rewind(self, device: DeviceId, write_count: int) -> None:
        """See ``DeviceStates.rewind``."""
        self.load([device])
        rows = self._db.execute(
            "SELECT undo FROM history WHERE device = ? ORDER BY write_count DESC LIMIT ?",
            (device, write_count),
        ).fetchall()
        for (text,) in rows:
            self._apply(device, _delta().validate_json(text))
        count = self._write_counts.get(device, 0) - len(rows)
        self._db.execute(
            "DELETE FROM history WHERE device = ? AND write_count > ?", (device, count)
        )
        self._write_counts[device] = count
        self._save(device)

    def _apply(self, device: DeviceId, delta: Delta) -> Delta:
        self._touched.add(device)
        put = [
            (device, key, held.owner, entry_to_json(held.entry))
            for key, held in delta.held.items()
            if held is not None
        ]
        gone = [(device, key) for key, held in delta.held.items() if held is None]
        self._db.executemany("INSERT OR REPLACE INTO held VALUES (?, ?, ?, ?)", put)
        self._db.executemany("DELETE FROM held WHERE device = ? AND key = ?", gone)
        for cluster, newest in delta.generations.items():
            if newest is None:
                self._db.execute(
                    "DELETE FROM generation WHERE device = ? AND cluster = ?", (device, cluster)
                )
            else:
                row = (device, cluster, newest)
                self._db.execute("INSERT OR REPLACE INTO generation VALUES (?, ?, ?)", row)
        return self._cached[device].apply(delta)

    def _save(self, device: DeviceId) -> None:
        version = self._versions.get(device, 0) + 1
        facts = _facts().dump_json(self._cached[device].facts).decode()
        row = (device, version, self._write_counts.get(device, 0), facts)
        self._db.execute("INSERT OR REPLACE INTO device VALUES (?, ?, ?, ?)", row)
        self._versions[device] = version

    def close(self) -> None:
        """See ``DeviceStates.close``."""
        self._db.close()
