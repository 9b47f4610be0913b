"""``gw ssh-key``: public keys that a project keeps for its clusters."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    ProjectOption,
    QuietOption,
    key_of,
    new_group,
)

app = new_group("Keep public SSH keys with a project.")


@app.command("list")
def list_(
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List the SSH keys of a project.

    Example: gw ssh-key list
    """
    backend.accounts.list_ssh_keys(project, output, quiet=quiet)


@app.command()
def add(
    name: Annotated[str, typer.Argument(help="Its name.")],
    file: Annotated[Path, typer.Argument(help="The public half, e.g. id_ed25519.pub.")],
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Keep a public key.

    Example: gw ssh-key add laptop ~/.ssh/id_ed25519.pub
    """
    backend.accounts.add_ssh_key(name, key_of(file), project, output, quiet=quiet)


@app.command()
def remove(key: Annotated[str, typer.Argument(help="Id (ssh_...).")]) -> None:
    """Forget a key; clusters that have it keep it.

    Example: gw ssh-key remove ssh_0123456789abcdef
    """
    backend.accounts.remove_ssh_key(key)
