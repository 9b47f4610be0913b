"""``gw index``: the rental price index, and price history from a catalogue's clone."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_group

app = new_group("Measure rental prices: matched indices per GPU and term.")

Since = Annotated[
    str | None, typer.Option("--since", help="First day, e.g. 2026-02-19.", metavar="DAY")
]

Gpus = Annotated[
    list[str] | None,
    typer.Option("--gpu", help="e.g. H100 (repeatable); else all.", metavar="GPU"),
]
Terms = Annotated[
    list[str] | None,
    typer.Option("--term", help="on_demand, spot, reserved_1y, ... (repeatable).", metavar="TERM"),
]
Rates = Annotated[
    list[str] | None,
    typer.Option("--rate", help="USD for one unit, e.g. EUR=1.08 (repeatable).", metavar="CUR=USD"),
]
Weights = Annotated[
    list[str] | None,
    typer.Option("--weight", help="GPU-hours of a term in the basket.", metavar="TERM=HOURS"),
]


@app.command()
def report(
    panel: Annotated[Path, typer.Argument(help="Price file: our CSV table or a daily panel.")],
    gpu: Gpus = None,
    term: Terms = None,
    since: Since = None,
    until: Annotated[str | None, typer.Option("--until", help="Last day.", metavar="DAY")] = None,
    rate: Rates = None,
    weight: Weights = None,
    min_providers: Annotated[
        int, typer.Option("--min-providers", help="Withhold below this many matched sellers.")
    ] = 3,
    min_matched: Annotated[
        float, typer.Option("--min-matched", help="Withhold below this matched share, 0 to 1.")
    ] = 0.5,
    max_dispersion: Annotated[
        float,
        typer.Option("--max-dispersion", help="Withhold above this deviation of log relatives."),
    ] = 0.45,
    cell_price: Annotated[
        str,
        typer.Option("--cell-price", help="A cell's price of a month: median or geometric_mean."),
    ] = "median",
    outlier_factor: Annotated[
        float, typer.Option("--outlier-factor", help="Smaller moves are no outliers; 0 keeps all.")
    ] = 2.0,
    open_gates: Annotated[
        bool, typer.Option("--open-gates", help="Withhold nothing: own sales, or to compare.")
    ] = False,
    out: Annotated[Path | None, typer.Option("--out", help="Folder for JSON and pictures.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the index of every GPU and term in a price file, and what is withheld and why.

    Example: gw index report prices.csv --gpu H100 --out report
    """
    prices = backend.prices
    prices.show_report(
        panel,
        prices.choice_of(gpu or (), term or (), since, until),
        prices.Judgements(
            min_providers=min_providers,
            min_matched=min_matched,
            max_dispersion=max_dispersion,
            cell_price=cell_price,
            outlier_factor=outlier_factor,
            open_gates=open_gates,
        ),
        prices.Stated(tuple(rate or ()), tuple(weight or ())),
        out,
        output,
    )


@app.command("import-skypilot")
def import_skypilot(
    clone: Annotated[Path, typer.Argument(help="Your clone of skypilot-catalog.")],
    cloud: Annotated[
        list[str], typer.Option("--cloud", help="e.g. lambda (repeatable).", metavar="CLOUD")
    ],
    out: Annotated[Path, typer.Option("--out", help="CSV file to write.")],
    catalog_version: Annotated[
        str, typer.Option("--catalog-version", help="Schema folder of the clone.")
    ] = "v8",
    since: Since = None,
) -> None:
    """Turn the git history of a clone of skypilot-catalog into a price file.

    Example: gw index import-skypilot skypilot-catalog --cloud lambda --out prices.csv
    """
    prices = backend.prices
    prices.import_skypilot(clone, catalog_version, cloud, prices.day_of(since), out)
