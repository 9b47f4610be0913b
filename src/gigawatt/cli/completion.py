"""``gw completion``: the Tab key."""

from enum import StrEnum
from typing import Annotated

import typer
from typer.completion import get_completion_script  # type: ignore[attr-defined]

from gigawatt.cli.options import new_command

app = new_command()


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.")]) -> None:
    """Print the script that makes a shell complete commands and options.

    Example: gw completion bash >> ~/.bashrc
    """
    typer.echo(
        get_completion_script(prog_name="gw", complete_var="_GW_COMPLETE", shell=shell.value)
    )
