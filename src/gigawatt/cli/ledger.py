"""``gw ledger``: whether the books are whole, and the books for other programs; for operators."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_group

app = new_group("Check the ledger, and export it.")


class ExportFormat(StrEnum):
    """Formats of an export."""

    BEANCOUNT = "beancount"


@app.command()
def check(output: OutputOption = Format.TABLE) -> None:
    """Check that no row of the books was changed; the first one that was is named.

    Example: gw ledger check
    """
    backend.billing.check_ledger(output)


@app.command()
def export(
    export_format: Annotated[
        ExportFormat, typer.Option("--format", help="For whom.")
    ] = ExportFormat.BEANCOUNT,
    to: Annotated[Path | None, typer.Option("--to", help="File; left out: here.")] = None,
) -> None:
    """Write the whole ledger out, in the language of beancount.

    Example: gw ledger export --format beancount --to books.beancount
    """
    backend.billing.export_ledger(export_format.value, to)
