"""Folders of storage servers, as settings name them."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

FOLDER = re.compile(r"(/[A-Za-z0-9._@+-]+)+")
"""Folders that mean the same to a shell, a mount table and a mount option. Ours."""


def _plain(folder: Path) -> Path:
    if FOLDER.fullmatch(str(folder)) is None or ".." in folder.parts:
        raise ValueError(f"wanted an absolute path of plain names, got {str(folder)!r}")
    return folder


PlainFolder = Annotated[Path, AfterValidator(_plain)]
"""An absolute path of plain names."""
