"""Price history out of a user's own clone of skypilot-catalog: one version a day, by ``git``."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from gigawatt.economics.index.catalogues import offers_of_skypilot
from gigawatt.economics.index.quote import Offer
from gigawatt.errors import InputError

GIT_TIMEOUT_S = 300
CLONE_ADVICE = (
    "Clone it first: git clone --filter=blob:none https://github.com/skypilot-org/skypilot-catalog"
)


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One stored version of a table. Fields: commit, full hash; day it was committed."""

    commit: str
    day: date


def _git(clone: Path, *arguments: str) -> str:
    git = shutil.which("git")
    if git is None:
        raise InputError("git is not installed", next_step="Install git and try again.")
    try:
        done = subprocess.run(  # noqa: S603 - our own words; names are checked before
            [git, "-C", str(clone), *arguments],
            capture_output=True,
            check=False,
            timeout=GIT_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"git took longer than {GIT_TIMEOUT_S} s in {clone}") from error
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip()[:300]
        raise InputError(f"git failed in {clone}: {complaint}", next_step=CLONE_ADVICE)
    return done.stdout.decode(errors="replace")


def table_path(catalog_version: str, cloud: str) -> str:
    """Path of a cloud's table in the clone, e.g. "catalogs/v8/lambda/vms.csv".

    Raises:
        InputError: a name holds more than letters, digits, "_" and "-".
    """
    for name in (catalog_version, cloud):
        if not re.fullmatch(r"[A-Za-z0-9][\w-]{0,63}", name):
            raise InputError(f"{name!r} is no name of a catalogue version or cloud")
    return f"catalogs/{catalog_version}/{cloud}/vms.csv"


def versions_of(clone: Path, path: str) -> tuple[TableVersion, ...]:
    """Versions of a table, oldest first, the last one of each day.

    Raises:
        InputError: there is no clone or no such table in it.
    """
    if not clone.is_dir():
        raise InputError(f"{clone} is no folder", next_step=CLONE_ADVICE)
    listed = _git(clone, "log", "--format=%H %cs", "--", path)
    by_day: dict[date, TableVersion] = {}
    for line in listed.splitlines():
        commit, _, day_text = line.partition(" ")
        day = date.fromisoformat(day_text)
        # The log runs backwards, so the first seen of a day is its last.
        by_day.setdefault(day, TableVersion(commit, day))
    if not by_day:
        raise InputError(f"{clone} has no history of {path}", next_step=CLONE_ADVICE)
    return tuple(by_day[day] for day in sorted(by_day))


def import_history(
    clone: Path, catalog_version: str, cloud: str, first_day: date | None = None
) -> Iterator[Offer]:
    """Offers of every stored version of one cloud's table, oldest first.

    Args:
        clone: folder of the clone.
        catalog_version: folder of the schema, e.g. "v8".
        cloud: folder of the provider, e.g. "lambda".
        first_day: older versions are passed over.

    Raises:
        InputError: no clone, no table, or a version is malformed; commit and line are named.
    """
    path = table_path(catalog_version, cloud)
    for version in versions_of(clone, path):
        if first_day is not None and version.day < first_day:
            continue
        # A commit that removed the table has no text of it.
        if not _git(clone, "ls-tree", version.commit, "--", path).strip():
            continue
        text = _git(clone, "cat-file", "blob", f"{version.commit}:{path}")
        name = f"skypilot-catalog {path}@{version.commit[:12]}"
        yield from offers_of_skypilot(text, cloud, version.day, name)
