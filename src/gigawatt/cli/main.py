"""The command ``gw``: finds the module of a command, runs it, and tells errors to people.

Modules of commands are imported when they are called, and what they work with when they work
(``cli.backend``), so that ``gw --help`` starts at once.
"""

import importlib
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import typer
from typing_extensions import override

from gigawatt import __version__
from gigawatt.cli.lazy import LazyGroup, Maker, command_of
from gigawatt.cli.options import CONTEXT
from gigawatt.cli.settings import HELP, take_flags
from gigawatt.errors import DriftError, GigawattError, NoCapacityError

COMMANDS = {
    "demo": ("gigawatt.cli.demo", "See the main job done: two tenants, proof, files, a fault."),
    "up": ("gigawatt.cli.up", "Serve for this computer alone, with a key made for you."),
    "plan": ("gigawatt.cli.plan", "Show what a create would do, and change nothing."),
    "explain": ("gigawatt.cli.explain", "Explain a cluster, a node, a phase, a plane, an error."),
    "cluster": ("gigawatt.cli.cluster", "Create, list, show, grow, shrink and release clusters."),
    "queue": ("gigawatt.cli.queue", "Wait for room; see what waits and what was turned away."),
    "file-system": ("gigawatt.cli.file_system", "Make file systems that outlive clusters."),
    "firewall": ("gigawatt.cli.firewall", "Keep what may come into clusters from outside."),
    "ssh-key": ("gigawatt.cli.ssh_key", "Keep public SSH keys with a project."),
    "operation": ("gigawatt.cli.operation", "See what is under way; turn it back."),
    "events": ("gigawatt.cli.events", "Show the audit trail."),
    "login": ("gigawatt.cli.login", "Keep a key for a server; later commands talk to it."),
    "logout": ("gigawatt.cli.logout", "Forget it; use this computer's own state again."),
    "whoami": ("gigawatt.cli.whoami", "Show who you are, and where."),
    "project": ("gigawatt.cli.project", "Make projects, see and grant their quotas."),
    "member": ("gigawatt.cli.member", "Add people and programs, give them roles."),
    "key": ("gigawatt.cli.key", "Make API keys, list them, end them."),
    "audit": ("gigawatt.cli.audit", "Show who called what."),
    "price": ("gigawatt.cli.price", "Show what GPUs would cost, and cheaper ways."),
    "capacity": ("gigawatt.cli.capacity", "Show when so many GPUs could start."),
    "reservation": ("gigawatt.cli.reservation", "Reserve GPUs from one moment to another."),
    "spot": ("gigawatt.cli.spot", "See what spot costs and which nodes are wanted back."),
    "usage": ("gigawatt.cli.usage", "Show GPU-hours and what they cost; check the records."),
    "budget": ("gigawatt.cli.budget", "See what a month costs; be told, and cap it."),
    "invoice": ("gigawatt.cli.invoice", "See invoices, pay them, save them, correct them."),
    "payment": ("gigawatt.cli.payment", "See payments, write them down, send them back."),
    "fleet": ("gigawatt.cli.fleet", "Show, draw, check and import the fleet."),
    "node": ("gigawatt.cli.node", "Drain nodes, quarantine them, return them."),
    "prove": ("gigawatt.cli.prove", "Prove that all clusters are isolated on all planes."),
    "reconcile": ("gigawatt.cli.reconcile", "Find drift between devices and targets; repair it."),
    "utilisation": ("gigawatt.cli.utilisation", "Show where GPU-hours and dollars went."),
    "rate": ("gigawatt.cli.rate", "See and set what GPU-hours cost."),
    "contract": ("gigawatt.cli.contract", "Agree commitments, credits, minimums, taxes, prices."),
    "billing": ("gigawatt.cli.billing", "Close months, see who owes what."),
    "ledger": ("gigawatt.cli.ledger", "Check the books, and export them."),
    "server": ("gigawatt.cli.server", "Serve the API, with its worker."),
    "lab": ("gigawatt.cli.lab", "Run the five planes for real on this machine."),
    "backup": ("gigawatt.cli.backup", "Copy everything into one archive, while work goes on."),
    "restore": ("gigawatt.cli.restore", "Put an archive back into an empty home or database."),
    "migrate": ("gigawatt.cli.migrate", "Bring a store of an older release to this one's tables."),
    "twin": ("gigawatt.cli.twin", "Replay a trace on a simulated fleet, with faults."),
    "economics": ("gigawatt.cli.economics", "Follow joules to tokens; cost and life of a GPU."),
    "index": ("gigawatt.cli.index", "Measure rental prices: matched indices per GPU and term."),
    "underwrite": ("gigawatt.cli.underwrite", "Size a loan on GPUs; write the term sheet."),
    "completion": ("gigawatt.cli.completion", "Print the script that completes commands."),
}
"""Command, its module, and the line that help shows for it."""

SECTIONS: Mapping[str, str] = {
    "demo": "Begin here",
    "cluster": "Clusters and what belongs to them",
    "login": "People and projects",
    "price": "Money",
    "fleet": "For who runs the site",
    "server": "The server and its store",
    "twin": "Studies",
    "completion": "The shell",
}
"""Headings of the help, by the command that each begins with."""

NOTES_SHOWN_MAX = 10
OF_THE_SERVICE = frozenset({1, 8})
"""Exit statuses of errors that whoever runs the service looks up by the id of the request."""
COMPLETE_VARIABLE = "_GW_COMPLETE"
"""Set by the shell when it asks for completions; the name is what typer's scripts set."""


PURPOSE = """Gigawatt carves GPU clusters out of a fleet and fences them on five planes.

Start with 'gw demo'. Or: gw plan train --gpus 512, gw cluster create train --gpus 512,
gw fleet map. Every command has --help with an example.
"""
EPILOG = (
    "Commands talk to the server of 'gw login' or $GIGAWATT_SERVER (with $GIGAWATT_API_KEY), else "
    "to this computer's own state: in $GIGAWATT_HOME, else ~/.local/share/gigawatt, and in the "
    "PostgreSQL database $GIGAWATT_DATABASE_URL if that is set. Exit status: 0 done, "
    "2 wrong request, 3 no capacity, 4 conflict, 5 device, 6 drift, 7 undo failed, 8 data; "
    "see 'gw explain errors'."
)


class RootGroup(LazyGroup):
    """``gw`` itself."""

    options = (("--version", "Say which."), *HELP, *LazyGroup.options)
    sections: ClassVar[Mapping[str, str]] = SECTIONS

    @override
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Answer ``--version``; leave the rest to the group."""
        if args[:1] == ["--version"]:
            typer.echo(f"gigawatt {__version__}")
            raise typer.Exit
        return super().parse_args(ctx, take_flags(args))


def _make(name: str) -> Callable[[], Any]:
    return lambda: command_of(importlib.import_module(COMMANDS[name][0]).app, name)


app = RootGroup(
    name="gw",
    help=PURPOSE,
    epilog=EPILOG,
    context_settings=CONTEXT,
    no_args_is_help=True,
    rich_markup_mode=None,
).fill({name: Maker(line, _make(name)) for name, (_, line) in COMMANDS.items()})


def _hanging(start: str, text: str) -> str:
    """A line for standard error; at a terminal it is broken between words and hangs."""
    if not sys.stderr.isatty():
        return start + text
    width = max(40, min(120, shutil.get_terminal_size().columns))
    gap = " " * len(start)
    filled = textwrap.wrap(
        text, width, initial_indent=start, subsequent_indent=gap, break_on_hyphens=False
    )
    return "\n".join(filled) or start


def _some(label: str, lines: Sequence[str]) -> None:
    for line in lines[:NOTES_SHOWN_MAX]:
        typer.echo(_hanging(f"  {label}: ", line), err=True)
    if len(lines) > NOTES_SHOWN_MAX:
        typer.echo(f"  {label}: and {len(lines) - NOTES_SHOWN_MAX:,} more", err=True)


def tell(error: GigawattError) -> None:
    """Write an error to standard error: what, why level by level, and what to do next."""
    colour = sys.stderr.isatty() and "NO_COLOR" not in os.environ
    # Reasons that stand below are not repeated in the sentence above them.
    reasons = error.reasons if isinstance(error, NoCapacityError) else ()
    whole, _, request_id = str(error).partition(" (request req_")
    sentence = whole.removesuffix(": " + "; ".join(reasons))
    typer.secho(_hanging("error: ", sentence), err=True, fg="red" if colour else None)
    if isinstance(error, NoCapacityError):
        _some("why not", error.reasons)
        _some("would fit", error.would_fit)
    if isinstance(error, DriftError):
        _some("found", error.notes)
    if request_id and error.exit_code in OF_THE_SERVICE:
        typer.echo(f"  request: req_{request_id.removesuffix(')')}", err=True)
    typer.echo(_hanging("  next: ", error.next_step), err=True)


def _tell_surprise(error: Exception) -> None:
    """Write an error that nobody foresaw: one line here, the rest into the log."""
    if os.environ.get("GIGAWATT_DEBUG"):
        raise error
    where = log_surprise(error)
    typer.echo(f"error: this should not happen: {type(error).__name__}: {error}", err=True)
    typer.echo(f"  next: report it with {where}; GIGAWATT_DEBUG=1 shows it here", err=True)


def log_surprise(error: Exception) -> str:
    """Write the traceback into the log of the home, if it can be written; where it is."""
    surprise = importlib.import_module("gigawatt.cli.work.surprise")
    where: str = surprise.log_traceback(error)
    return where


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``gw`` with ``arguments``, the process's own if None, and exit."""
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a sign shows "?" instead of ending the command.
        getattr(stream, "reconfigure", lambda **_: None)(errors="replace")
    try:
        if COMPLETE_VARIABLE in os.environ:
            importlib.import_module("typer.completion").completion_init()
        app(args=list(arguments) if arguments is not None else None, prog_name="gw")
    except GigawattError as error:
        tell(error)
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last line of defence before the person
        _tell_surprise(error)
        sys.exit(1)
