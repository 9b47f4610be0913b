"""A foreign CSV table as offers: its columns under our names, and stated values for the rest."""

import csv
import io
from collections.abc import Mapping

from gigawatt.economics.index.csv_format import COLUMNS, read_offers
from gigawatt.economics.index.quote import Offer
from gigawatt.errors import InputError

USUAL = {"basis": "gpu", "kind": "list"}
"""What is taken where neither a column nor a value is stated; anything else must be."""
OPTIONAL = {"form_factor", "memory_gbyte", "region", "sku", "gpu_count", "quantity_gpu_hours"}


def _check_names(names: Mapping[str, object]) -> None:
    for name in names:
        if name not in COLUMNS:
            raise InputError(f"no field {name!r}", next_step=f"Fields are {', '.join(COLUMNS)}.")


def offers_of_mapped_csv(
    text: str, name: str, columns: Mapping[str, str], values: Mapping[str, str]
) -> tuple[Offer, ...]:
    """Offers of a CSV table of any columns.

    Args:
        text: the table.
        name: what to call it in complaints; a complaint about a cell names our field.
        columns: the table's column by our field, e.g. ``{"price": "usd_per_hour"}``; a column that
            has our field's name needs none.
        values: a value for all rows by our field, e.g. ``{"currency": "USD"}``.

    Raises:
        InputError: a field is unknown or nobody states it, a column is missing, or a cell does not
            read; line and field are named.
    """
    _check_names(columns)
    _check_names(values)
    reader = csv.reader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    try:
        header = next(reader, [])
        places = _places(header, name, columns, values)
        for cells in reader:
            if len(cells) != len(header):
                raise InputError(
                    f"{name} line {reader.line_num}: {len(cells)} cells, wanted {len(header)}"
                )
            writer.writerow([
                value if place is None else cells[place] for place, value in places
            ])  # fmt: skip
    except csv.Error as error:
        raise InputError(f"{name} line {reader.line_num}: not CSV: {error}") from error
    return read_offers(out.getvalue(), name)


def _places(
    header: list[str], name: str, columns: Mapping[str, str], values: Mapping[str, str]
) -> list[tuple[int | None, str]]:
    """For each of our fields the column of the table, or a value for all rows."""
    found: list[tuple[int | None, str]] = []
    for field in COLUMNS:
        if field in columns and field in values:
            raise InputError(f"{field!r} has both a column and a value, wanted one")
        column = columns.get(field, field)
        if field in values:
            found.append((None, values[field]))
        elif column in header:
            found.append((header.index(column), ""))
        elif field in columns:
            raise InputError(f"{name} line 1: column {column!r} is missing")
        elif field in USUAL or field in OPTIONAL:
            found.append((None, USUAL.get(field, "")))
        else:
            raise InputError(
                f"{name}: nothing says {field!r}",
                next_step=f"Write --column {field}=NAME or --value {field}=VALUE.",
            )
    return found
