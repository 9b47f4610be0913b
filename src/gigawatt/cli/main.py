"""The command ``gw``: finds the module of a command, runs it, and tells errors to people.

Modules of commands are imported when they are called, so that ``gw --help`` starts at once.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command
from typing_extensions import override

from gigawatt import __version__
from gigawatt.errors import GigawattError, NoCapacityError

COMMANDS = {
    "cluster": ("gigawatt.cli.cluster", "Create, list, show, grow, shrink and release clusters."),
    "fleet": ("gigawatt.cli.fleet", "Show, draw, check and import the fleet."),
    "node": ("gigawatt.cli.node", "Drain nodes, quarantine them, return them."),
    "plan": ("gigawatt.cli.plan", "Show what a create would do, and change nothing."),
    "explain": ("gigawatt.cli.explain", "Explain a cluster, a phase, a plane or an error."),
    "reconcile": ("gigawatt.cli.reconcile", "Find drift between devices and targets; repair it."),
    "events": ("gigawatt.cli.events", "Show the audit trail."),
    "prove": ("gigawatt.cli.prove", "Prove that all clusters are isolated on all planes."),
    "twin": ("gigawatt.cli.twin", "Replay a trace on a simulated fleet, with faults."),
    "economics": (
        "gigawatt.cli.economics",
        "Follow joules to tokens; cost of a GPU-hour, its life.",
    ),
    "demo": ("gigawatt.cli.demo", "See the main job done: two tenants, proof, files, a replay."),
}
"""Command, its module, and the line that help shows for it."""


class LazyGroup(TyperGroup):
    """A group whose commands are imported when they are needed."""

    @override
    def list_commands(self, ctx: Any) -> list[str]:
        """Names, in the order people use them."""
        del ctx
        return list(COMMANDS)

    @override
    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command; while help lists commands, a stand-in with the short help."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, short_help = COMMANDS[cmd_name]
        if cmd_name not in sys.argv[1:2]:
            return TyperCommand(cmd_name, short_help=short_help, help=short_help)
        return get_command(importlib.import_module(module).app)


app = typer.Typer(
    name="gw",
    cls=LazyGroup,
    help="Gigawatt: carve GPU clusters out of a fleet, fenced on five planes.\n\n"
    "Start with 'gw demo', then 'gw fleet map' and 'gw cluster create --help'.",
    epilog="Exit status: 0 done, 2 wrong request, 3 no capacity, 4 conflict, 5 device, "
    "6 drift, 7 undo failed, 8 data.",
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"gigawatt {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Options before the command."""
    del version


def tell(error: GigawattError) -> None:
    """Write an error to standard error: what, why level by level, and what to do next."""
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    typer.secho(f"error: {error}", err=True, fg="red" if colour else None)
    if isinstance(error, NoCapacityError):
        for reason in error.reasons:
            typer.echo(f"  why not: {reason}", err=True)
        for sentence in error.would_fit:
            typer.echo(f"  would fit: {sentence}", err=True)
    typer.echo(f"  next: {error.next_step}", err=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``gw`` with ``arguments``, the process's own if None, and exit."""
    try:
        app(args=list(arguments) if arguments is not None else None, prog_name="gw")
    except GigawattError as error:
        tell(error)
        sys.exit(error.exit_code)
