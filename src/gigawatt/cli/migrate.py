"""``gw migrate``: a store of an older release, brought to the tables of this one."""

import typer

from gigawatt.app.home import Home
from gigawatt.store.migration import migrate_store

app = typer.Typer(help="Bring a store of an older release to this one's tables.")


@app.command()
def migrate() -> None:
    """Bring the store to the tables of this release. Stop all workers and run gw backup first."""
    before, after = migrate_store(Home.default().store_place)
    done = "nothing to do" if before == after else f"from revision {before}"
    typer.echo(f"the store has tables of revision {after} ({done})")
