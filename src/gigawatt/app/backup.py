"""One archive file with all that a control plane knows, and back.

A tar archive with a manifest, the copied store, and the fleet if one was imported. What devices
remember is not in it: they go on by themselves, and the reconciler finds what differs.
"""

import errno
import hashlib
import io
import json
import os
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from gigawatt import __version__
from gigawatt.app.home import Home
from gigawatt.errors import DataError, InputError, StorageFullError
from gigawatt.fleet.yaml_format import load_fleet
from gigawatt.store.copying import StoreCopy, copy_in, copy_out

_MANIFEST = "manifest.json"
_STORE = "store"
_FLEET = "fleet.yaml"
_MANIFEST_BYTES_MAX = 1 << 20


class Manifest(BaseModel):
    """What an archive says of itself.

    Fields:
        archive_format: version of the layout of the archive.
        gigawatt: release that wrote it.
        engine: engine of the store, "sqlite" or "postgresql".
        revision: revision of its tables.
        generation: of the store at the moment that was copied.
        made_s: Unix seconds.
        sha256: hexadecimal digest of each other file in the archive.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    archive_format: Literal[1] = 1
    gigawatt: str
    engine: Literal["sqlite", "postgresql"]
    revision: str
    generation: int
    made_s: float
    sha256: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Archive:
    """An archive that was unpacked and whose digests are right."""

    manifest: Manifest
    store: Path
    fleet: bytes | None


def back_up(home: Home, target: Path, now_s: float) -> Manifest:
    """Write everything of a home into the new archive ``target``, while others go on writing.

    Only its owner can read the archive. It appears whole or not at all.

    Raises:
        DataError: there is no store, it cannot be copied, or ``target`` cannot be written.
        InputError: ``target`` is there already.
        StorageFullError: no space for it.
    """
    if target.exists():
        raise InputError(f"{target} is there already", next_step="Name a new file.")
    part = target.with_name(target.name + ".part")
    with _told(target), TemporaryDirectory(dir=target.resolve().parent) as folder:
        store = Path(folder) / _STORE
        copied = copy_out(home.store_place, store)
        files = {_STORE: store}
        if home.fleet_path.exists():
            files[_FLEET] = home.fleet_path
        manifest = Manifest(
            gigawatt=__version__,
            engine="postgresql" if copied.engine == "postgresql" else "sqlite",
            revision=copied.revision,
            generation=copied.generation,
            made_s=now_s,
            sha256={name: _digest(path) for name, path in files.items()},
        )
        try:
            _write_archive(part, manifest, files)
            os.link(part, target)
        finally:
            part.unlink(missing_ok=True)
    return manifest


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write_archive(part: Path, manifest: Manifest, files: Mapping[str, Path]) -> None:
    def owned(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mode, info.mtime = 0o600, int(manifest.made_s)
        info.uid = info.gid = 0
        info.uname = info.gname = ""
        return info

    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            text = manifest.model_dump_json(indent=2).encode()
            info = owned(tarfile.TarInfo(_MANIFEST))
            info.size = len(text)
            archive.addfile(info, io.BytesIO(text))
            for name, path in files.items():
                archive.add(path, name, filter=owned)
        file.flush()
        os.fsync(file.fileno())


def restore(source: Path, home: Home) -> Manifest:
    """Put what an archive holds into an empty home, after its digests and the auditor agree.

    Raises:
        DataError: the archive is damaged or not sound, or the home holds a store.
        InputError: ``source`` cannot be read, or the home has another fleet.
        StorageFullError: no space for it.
    """
    home.make()
    with _told(home.path), TemporaryDirectory(dir=home.path) as folder:
        archive = _read_archive(source, Path(folder))
        if archive.fleet is not None:
            _refuse_other_fleet(home, archive.fleet)
        manifest = archive.manifest
        copied = StoreCopy(manifest.engine, manifest.revision, manifest.generation)
        copy_in(archive.store, copied, home.store_place)
        if archive.fleet is not None:
            home.fleet_path.write_bytes(archive.fleet)
    return manifest


def _refuse_other_fleet(home: Home, fleet: bytes) -> None:
    load_fleet(fleet.decode(), _FLEET)
    if home.fleet_path.exists() and home.fleet_path.read_bytes() != fleet:
        raise InputError(
            f"{home.fleet_path} is another fleet than the archive's",
            next_step=f"Move {home.fleet_path} away, then run the command again.",
        )


def _read_archive(source: Path, folder: Path) -> _Archive:
    try:
        file = source.open("rb")
    except OSError as error:
        raise InputError(
            f"{source} cannot be read: {error.strerror}", next_step="Name an archive of gw backup."
        ) from error
    try:
        with file, tarfile.open(fileobj=file, mode="r:") as archive:
            manifest = _manifest_in(archive)
            paths = {name: _unpack(archive, name, folder) for name in manifest.sha256}
    except (tarfile.TarError, EOFError, KeyError, ValidationError, json.JSONDecodeError) as error:
        raise DataError(
            f"{source} is damaged or is not an archive of gw backup: {error}",
            next_step="Take another copy; nothing was changed.",
        ) from error
    for name, path in paths.items():
        if _digest(path) != manifest.sha256[name]:
            raise DataError(
                f"{source} is damaged: the digest of {name} is not the manifest's",
                next_step="Take another copy; nothing was changed.",
            )
    fleet = paths.get(_FLEET)
    return _Archive(manifest, paths[_STORE], None if fleet is None else fleet.read_bytes())


def _manifest_in(archive: tarfile.TarFile) -> Manifest:
    member = archive.getmember(_MANIFEST)
    file = archive.extractfile(member)
    if file is None or member.size > _MANIFEST_BYTES_MAX:
        raise KeyError(f"{_MANIFEST} is not a file of reasonable size")
    manifest = Manifest.model_validate_json(file.read())
    if not {_STORE} <= set(manifest.sha256) <= {_STORE, _FLEET}:
        raise KeyError(f"the manifest names {', '.join(sorted(manifest.sha256))}")
    return manifest


def _unpack(archive: tarfile.TarFile, name: str, folder: Path) -> Path:
    file = archive.extractfile(name)
    if file is None:
        raise KeyError(f"{name} is not a file")
    path = folder / name
    with file, path.open("wb") as made:
        while chunk := file.read(1 << 20):
            made.write(chunk)
    return path


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say in our words what the operating system refuses."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise StorageFullError(f"{path}: no space left on the disk") from error
        raise DataError(
            f"{path} cannot be written: {error.strerror}",
            next_step="Name a folder that exists and that you may write to.",
        ) from error
