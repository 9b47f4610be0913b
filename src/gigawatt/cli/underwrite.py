"""``gw underwrite``: size a loan on GPUs, run its waterfall, and write the term sheet."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command

app = new_command()


@app.command()
def underwrite(
    deal: Annotated[
        Path, typer.Argument(help="Deal file (YAML); see examples/deals.", metavar="FILE")
    ],
    to: Annotated[
        Path | None,
        typer.Option("--to", help="Folder for HTML, PDF, CSV and XLSX.", metavar="FOLDER"),
    ] = None,
    cases: Annotated[
        int, typer.Option("--cases", help="Monte Carlo cases; 0 for none.", metavar="COUNT")
    ] = 2_000,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="Seed of the Monte Carlo.", metavar="SEED")
    ] = 1,
    output: OutputOption = Format.TABLE,
) -> None:
    """Size the loan of a deal, run its waterfall, and show or write the term sheet.

    Example: gw underwrite examples/deals/phased-build.yaml --to ./report
    """
    backend.deals.show(deal, to, cases, seed, output)
