"""Where a lab keeps its files, and what it says of itself there."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from gigawatt.app.home import Home
from gigawatt.drivers.files import try_lock
from gigawatt.errors import ConflictError, DataError, InputError
from gigawatt.lab.layout import LabSpec

_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")

PartState = Literal["waiting", "starting", "up", "ailing", "failed"]
LabState = Literal["starting", "up", "failed"]


@dataclass(frozen=True, slots=True)
class PartStatus:
    """One part of a lab now; ``said`` tells what is wrong, if anything is."""

    name: str
    state: PartState = "waiting"
    took_s: float = 0.0
    said: str = ""


@dataclass(frozen=True, slots=True)
class LabStatus:
    """A lab now, as its supervisor last wrote it.

    Fields:
        url: address of its control plane, from this machine.
        drivers: by plane, what drives it; ``fake`` where nothing real does.
        said: why it failed; next_step: what to do about it.
    """

    spec: LabSpec
    url: str
    started_s: float
    state: LabState = "starting"
    took_s: float = 0.0
    parts: tuple[PartStatus, ...] = ()
    drivers: dict[str, list[str]] | None = None
    said: str = ""
    next_step: str = ""

    def with_part(self, part: PartStatus) -> "LabStatus":
        """The same, but for one part."""
        parts = tuple(part if part.name == old.name else old for old in self.parts)
        return replace(self, parts=parts)


@dataclass(frozen=True, slots=True)
class LabKeys:
    """Keys to a lab's control plane: of its operator, and of a tenant."""

    operator: str
    tenant: str


@cache
def _adapter() -> TypeAdapter[LabStatus]:
    return TypeAdapter(LabStatus)


@dataclass(frozen=True, slots=True)
class LabFolder:
    """The folder of one lab."""

    path: Path

    @classmethod
    def of(cls, name: str) -> "LabFolder":
        """That of the lab called ``name``.

        Raises:
            InputError: no lab can be called so.
        """
        if not _NAME.fullmatch(name):
            raise InputError(
                f"no lab can be called {name!r}",
                next_step="Use up to 31 lower-case letters, digits and hyphens, a letter first.",
            )
        return cls(Home.default().path.resolve() / "labs" / name)

    @property
    def name(self) -> str:
        """Name of the lab."""
        return self.path.name

    @property
    def home(self) -> Home:
        """What its control plane keeps: always files of its own."""
        return Home(self.path / "home", database_url=None)

    @property
    def logs_path(self) -> Path:
        """Folder of what its programs say."""
        return self.path / "logs"

    @property
    def rubbish_path(self) -> Path:
        """Folder for what tools leave where they run."""
        return self.path / "tmp"

    @property
    def keys_path(self) -> Path:
        """File of its keys, for its owner only."""
        return self.path / "keys.json"

    @property
    def _status_path(self) -> Path:
        return self.path / "status.json"

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Have the starting and stopping of this lab to oneself.

        Raises:
            ConflictError: another command is at it.
        """
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with try_lock(self.path.parent / f".{self.name}.lock") as is_ours:
            if not is_ours:
                raise ConflictError(
                    f"another command is starting or stopping lab {self.name!r}",
                    next_step="Wait for it, then try again.",
                )
            yield

    def make(self) -> None:
        """Make it anew, empty, for its owner only."""
        self.remove()
        for folder in (self.path, self.logs_path, self.rubbish_path):
            folder.mkdir(mode=0o700, parents=True)

    def remove(self, *, keep_logs: bool = False) -> None:
        """Remove it with all that is in it, but for the logs if they shall be kept."""
        if not self.path.exists():
            return
        for path in self.path.iterdir():
            if keep_logs and path == self.logs_path:
                continue
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink()
        if not keep_logs:
            self.path.rmdir()

    def write_status(self, status: LabStatus) -> None:
        """Replace the status as a whole; who reads it sees the former or this one."""
        fresh = self._status_path.with_suffix(".new")
        fresh.write_bytes(_adapter().dump_json(status, indent=1))
        fresh.replace(self._status_path)

    def read_status(self) -> LabStatus | None:
        """What the lab last said; None if there is no such lab.

        Raises:
            DataError: the file is not one of ours.
        """
        try:
            return _adapter().validate_json(self._status_path.read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, ValidationError) as error:
            raise DataError(
                f"{self._status_path} does not read: {str(error).partition(chr(10))[0]}",
                next_step=f"gw lab down {self.name}",
            ) from error

    def write_keys(self, keys: LabKeys) -> None:
        """Keep the keys."""
        fresh = self.keys_path.with_suffix(".new")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(asdict(keys), file)
        fresh.replace(self.keys_path)

    def read_keys(self) -> LabKeys:
        """The keys.

        Raises:
            DataError: they are not there.
        """
        try:
            return LabKeys(**json.loads(self.keys_path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise DataError(
                f"the keys of lab {self.name!r} do not read: {error}",
                next_step=f"gw lab down {self.name}, then gw lab up {self.name}",
            ) from error


def lab_folders() -> tuple[LabFolder, ...]:
    """Folders of all labs of this home that have said something."""
    parent = Home.default().path.resolve() / "labs"
    found = sorted(parent.glob("*/status.json")) if parent.is_dir() else []
    return tuple(LabFolder(path.parent) for path in found)
