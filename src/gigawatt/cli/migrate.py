"""``gw migrate``: a store of an older release, brought to the tables of this one."""

from gigawatt.cli import backend
from gigawatt.cli.options import new_command

app = new_command()


@app.command()
def migrate() -> None:
    """Bring a store of an older release to the tables of this one, wholly or not at all.

    It is this computer's own store, also when a server is configured.

    Stop every worker and run 'gw backup' first; there is no way back but 'gw restore'.

    Example: gw migrate
    """
    backend.keeping.migrate()
