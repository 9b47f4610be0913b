"""How answers are written: a table for people, JSON or YAML for programs."""

import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
import yaml
from rich.console import Console
from rich.table import Table


class Format(StrEnum):
    """Formats of ``-o``."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


OutputOption = Annotated[
    Format, typer.Option("--output", "-o", help="table for people, json or yaml for programs.")
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
TenantOption = Annotated[
    str,
    typer.Option(
        "--tenant", "-t", envvar="GIGAWATT_TENANT", help="Who asks, e.g. ten_acme.", metavar="ID"
    ),
]
NameArgument = Annotated[str, typer.Argument(help="Name or id (clu_...) of a cluster.")]

console = Console(soft_wrap=True, highlight=False)


def write(document: object, form: Format) -> None:
    """Write a JSON-able document as JSON or YAML."""
    if form is Format.JSON:
        typer.echo(json.dumps(document, indent=2, default=str))
    else:
        typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table; columns whose every cell is a number or starts with one go right."""
    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for number, column in enumerate(columns):
        is_numeric = bool(rows) and all(str(row[number])[:1].isdigit() for row in rows)
        shown.add_column(column, justify="right" if is_numeric else "left", overflow="fold")
    for row in rows:
        shown.add_row(*(str(cell) for cell in row))
    console.print(shown)


def pairs(title: str, values: Mapping[str, Any]) -> None:
    """Write names and values below a title."""
    console.print(title, style="bold")
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        console.print(f"  {name:<{width}}  {value}")
