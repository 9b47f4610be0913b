"""``gw price``: what something would cost, before anything is made."""

from datetime import datetime
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    ForOption,
    Gpus,
    GpuType,
    OutputOption,
    Spares,
    Tenant,
    new_command,
)
from gigawatt.cli.options import Site as SiteOption
from gigawatt.intent.term import Term

app = new_command()


@app.command()
def price(
    gpus: Gpus,
    gpu_type: GpuType = None,
    term: Annotated[Term, typer.Option("--term", help="How they are held.")] = Term.ON_DEMAND,
    months: Annotated[
        int, typer.Option("--months", help="For so many months; reserved only.", min=0, max=60)
    ] = 0,
    duration: ForOption = None,
    start: Annotated[
        datetime | None,
        typer.Option("--from", help="First start that is of use, in UTC; now if left out."),
    ] = None,
    spares: Spares = 0,
    site: SiteOption = None,
    project: Tenant = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show what GPUs would cost, and every other way to have them, the cheapest first.

    A reservation says from when it can be had, by what is promised to others until then.

    Example: gw price --gpus 64 --type h100 --for 72h
    """
    wish = backend.rates.Wish(
        gpus, gpu_type, term, months, duration, spares, tuple(site or ()), start
    )
    backend.rates.show_price(wish, project, output)
