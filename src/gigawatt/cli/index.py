"""``gw index``: the rental price index, and imports of prices."""

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


imports = new_group("Turn prices of others, and own sales, into a price file.")
app.add_typer(imports, name="import")
OutFile = Annotated[Path, typer.Option("--out", help="CSV file to write.")]


@imports.command("skypilot")
def import_skypilot(
    clone: Annotated[Path, typer.Argument(help="Your clone of skypilot-catalog.")],
    cloud: Annotated[
        list[str], typer.Option("--cloud", help="e.g. lambda (repeatable).", metavar="CLOUD")
    ],
    out: OutFile,
    catalog_version: Annotated[
        str, typer.Option("--catalog-version", help="Schema folder of the clone.")
    ] = "v8",
    since: Since = None,
) -> None:
    """Turn the git history of a clone of skypilot-catalog into a price file.

    Example: gw index import skypilot skypilot-catalog --cloud lambda --out prices.csv
    """
    backend.prices.import_skypilot(clone, catalog_version, cloud, since, out)


@imports.command("gpuhunt")
def import_gpuhunt(
    out: OutFile,
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="Catalogue files, PROVIDER.csv; none asks an installed gpuhunt."),
    ] = None,
    day: Annotated[
        str | None, typer.Option("--day", help="When the files were published.", metavar="DAY")
    ] = None,
    provider: Annotated[
        list[str] | None,
        typer.Option("--provider", help="Who sells, if the file is not named so.", metavar="NAME"),
    ] = None,
) -> None:
    """Turn gpuhunt's catalogue files, or what it answers now, into a price file.

    Example: gw index import gpuhunt lambdalabs.csv --day 2026-07-01 --out prices.csv
    """
    backend.prices.import_gpuhunt(files or (), day, provider or (), out)


@imports.command("meter")
def import_meter(
    file: Annotated[Path, typer.Argument(help="Own sales: CSV or JSON lines; see docs/index.md.")],
    out: OutFile,
) -> None:
    """Turn own sales into a price file with the hours sold.

    Example: gw index import meter sales.jsonl --out prices.csv
    """
    backend.prices.import_meter(file, out)


@imports.command("csv")
def import_csv(
    file: Annotated[Path, typer.Argument(help="A CSV table of any columns.")],
    out: OutFile,
    column: Annotated[
        list[str] | None,
        typer.Option("--column", help="Where a field stands (repeatable).", metavar="FIELD=NAME"),
    ] = None,
    value: Annotated[
        list[str] | None,
        typer.Option("--value", help="A field of all rows (repeatable).", metavar="FIELD=VALUE"),
    ] = None,
) -> None:
    """Turn a table of any columns into a price file.

    Example: gw index import csv mine.csv --column price=usd --value currency=USD --out prices.csv
    """
    backend.prices.import_csv(file, column or (), value or (), out)
