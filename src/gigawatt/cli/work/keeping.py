"""Keeping what the control plane knows: copies of it, and tables of the right revision."""

from pathlib import Path

from gigawatt.app.backup import back_up
from gigawatt.app.backup import restore as put_back
from gigawatt.app.clock import SystemClock
from gigawatt.app.home import Home
from gigawatt.cli.output import console
from gigawatt.store.migration import migrate_store


def backup(file: Path) -> None:
    """Write an archive and say what is in it. Errors as ``app.backup.back_up``."""
    made = back_up(Home.default(), file, SystemClock().now_s())
    size_bytes = file.stat().st_size
    console.print(
        f"{file}: {size_bytes:,} bytes, from {made.engine}, generation {made.generation}",
        soft_wrap=True,
    )


def restore(file: Path) -> None:
    """Put an archive back and say what it was. Errors as ``app.backup.restore``."""
    found = put_back(file, Home.default())
    console.print(
        f"Restored and audited: {found.engine}, generation {found.generation}.", soft_wrap=True
    )
    console.print("Next: 'gw reconcile' finds what devices did since the copy was made.")


def migrate() -> None:
    """Bring the tables to this release's and say so. Errors as ``store.migration``."""
    before, after = migrate_store(Home.default().store_place)
    done = "nothing to do" if before == after else f"from revision {before}"
    console.print(f"The store has tables of revision {after}: {done}.")
