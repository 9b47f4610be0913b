"""``gw whoami``: who commands act as, and where."""

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command

app = new_command()


@app.command()
def whoami(output: OutputOption = Format.TABLE) -> None:
    """Show who you are, what you may do, and which control plane you talk to.

    Example: gw whoami
    """
    backend.login.who_am_i(output)
