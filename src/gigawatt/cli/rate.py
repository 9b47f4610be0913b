"""``gw rate``: the rate card, what is sold at what price."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, QuietOption, new_group
from gigawatt.intent.term import Term

app = new_group("See and set what GPU-hours cost. What was promised before keeps its price.")

TypeOption = Annotated[str | None, typer.Option("--type", help="GPU type, e.g. h100.")]
TermOption = Annotated[Term | None, typer.Option("--term", help="Only this term.")]
ForOption = Annotated[
    str | None, typer.Option("--for", help="Id of an organisation (org_...): a negotiated price.")
]


@app.command("list")
def list_(
    gpu_type: TypeOption = None,
    term: TermOption = None,
    organisation: ForOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List the rows that are in force or will be; those of other organisations are not shown.

    Example: gw rate list --type h100
    """
    backend.rates.list_rates(
        backend.rates.Choice(gpu_type, term, organisation), output, quiet=quiet, with_past=False
    )


@app.command()
def history(
    gpu_type: TypeOption = None,
    term: TermOption = None,
    organisation: ForOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List all rows there ever were, newest first, and who set them.

    Example: gw rate history --type h100
    """
    backend.rates.list_rates(
        backend.rates.Choice(gpu_type, term, organisation), output, quiet=quiet, with_past=True
    )


@app.command("set")
def set_(
    gpu_type: Annotated[str, typer.Argument(metavar="GPU", help="GPU type, e.g. h100.")],
    price: Annotated[str, typer.Argument(metavar="USD", help="Dollars a GPU-hour, e.g. 2.49.")],
    term: Annotated[Term, typer.Option("--term", help="What it is a price for.")] = Term.ON_DEMAND,
    site: Annotated[str | None, typer.Option("--site", help="For one site only.")] = None,
    organisation: ForOption = None,
    gpus: Annotated[int, typer.Option("--gpus-min", help="From so many GPUs on.", min=1)] = 1,
    months: Annotated[
        int, typer.Option("--months-min", help="From so many months on; reserved only.", min=0)
    ] = 0,
    since: Annotated[
        str | None, typer.Option("--from", help="Day or moment it begins; left out: now.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Day or moment it ends; 'now' withdraws it.")
    ] = None,
    note: Annotated[str, typer.Option("--note", help="What to say about it.")] = "",
    output: OutputOption = Format.TABLE,
) -> None:
    """Add one row; it follows the newest row of the same kind.

    Example: gw rate set h100 2.19 --gpus-min 512 --from 2027-01-01
    """
    row = backend.rates.Row(
        gpu_type, price, term, site, organisation, gpus, months, since, until, note
    )
    backend.rates.set_rate(row, output)


@app.command("import")
def import_(
    path: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="A rate card as CSV or YAML.")
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="An illustrative card from the fleet's list prices.")
    ] = False,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Add all rows of a rate card, or none of them.

    Example: gw rate import card.csv
    """
    backend.rates.import_rates(path, output, is_demo=demo, quiet=quiet)
