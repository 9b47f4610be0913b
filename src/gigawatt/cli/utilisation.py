"""``gw utilisation``: where the fleet's GPU-hours went, in percent and in dollars."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command

app = new_command()


class By(StrEnum):
    """What a row is of."""

    ALL = "all"
    TYPE = "type"
    SITE = "site"
    TERM = "term"
    HOUR = "hour"


@app.command()
def utilisation(
    from_: Annotated[
        str | None,
        typer.Option("--from", help="From this day or moment of UTC; else a day.", metavar="WHEN"),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help="Up to, and not with, this day or moment.", metavar="WHEN"),
    ] = None,
    by: Annotated[By, typer.Option("--by", help="A row for each type, site, ...")] = By.ALL,
    plot: Annotated[
        Path | None, typer.Option(help="Draw states and revenue by row into this PNG.")
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show where GPU-hours went and what they brought; for who runs the site.

    used: held by clusters; paid: billed, or kept by a reservation; dollars: revenue over that of
    every GPU-hour sold at list price; stranded: free, and of no use to anybody who waited.

    Example: gw utilisation --from 2026-01-01 --to 2026-02-01 --by type
    """
    backend.utilisation.show((from_, to), by.value, output, plot)
