"""Builds the console when a wheel is built that does not have it yet."""

import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ConsoleHook(BuildHookInterface):
    """Runs before the files of a wheel are gathered."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build the console; an editable install takes what ``make console`` has built."""
        place = Path(self.root) / "src" / "gigawatt" / "console" / "dist" / "index.html"
        if version == "editable" or place.exists():
            return
        sys.path.insert(0, str(Path(__file__).parent))
        from npm import build

        build()
