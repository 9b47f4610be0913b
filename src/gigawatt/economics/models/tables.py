"""The shipped tables as text rows, with complaints that name table, line and column.

The tables are ``economics/models/*.csv``: one value per column, the unit at the end of the
column's name, a source and a confidence in every row (ADR-0010).
"""

import csv
import io
from importlib.resources import files
from math import isfinite

from gigawatt.errors import DataError


class Row:
    """One row of a table that names itself and its column in every complaint.

    Attributes:
        place: table and line, for complaints.
        cells: text by column.
    """

    def __init__(self, table: str, line: int, cells: dict[str, str]) -> None:
        """Keep the cells and say where they stand."""
        self.place = f"{table} line {line}"
        self.cells = cells

    def _wrong(self, column: str, sentence: str) -> DataError:
        return DataError(
            f"{self.place}, column {column!r}: {sentence}",
            next_step="Correct the cell; a number stands alone, its unit is in the column's name.",
        )

    def text(self, column: str) -> str:
        """The cell, which may be empty.

        Raises:
            DataError: the table has no such column.
        """
        try:
            return self.cells[column].strip()
        except KeyError:
            raise self._wrong(column, "is missing; a column ends in its unit") from None

    def number(self, column: str, low: float = 0.0) -> float:
        """The cell as a finite number of at least ``low``.

        Raises:
            DataError: it is not.
        """
        value = self.text(column)
        try:
            number = float(value)
        except ValueError:
            raise self._wrong(column, f"is {value!r}, wanted a number") from None
        if not isfinite(number) or number < low:
            raise self._wrong(column, f"is {value!r}, wanted a number of {low:g} or more")
        return number

    def count(self, column: str, low: int = 0) -> int:
        """The cell as a whole number of at least ``low``.

        Raises:
            DataError: it is not.
        """
        number = self.number(column, low)
        if not number.is_integer():
            raise self._wrong(column, f"is {number:g}, wanted a whole number")
        return int(number)


def parse_rows(text: str, table: str) -> tuple[Row, ...]:
    """Rows of a CSV text with a header, in order.

    Args:
        text: the table.
        table: what to call it in complaints.

    Raises:
        DataError: not CSV, or a row has more or fewer cells than the header.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    rows: list[Row] = []
    try:
        header = next(reader, [])
        if not header:
            raise DataError(f"{table} is empty")
        for cells in reader:
            if len(cells) != len(header):
                raise DataError(
                    f"{table} line {reader.line_num}: {len(cells)} cells, wanted {len(header)}"
                )
            rows.append(Row(table, reader.line_num, dict(zip(header, cells, strict=True))))
    except csv.Error as error:
        raise DataError(f"{table} line {reader.line_num}: not CSV") from error
    return tuple(rows)


def shipped_rows(table: str) -> tuple[Row, ...]:
    """Rows of a shipped table, e.g. "llm.csv"."""
    folder = files("gigawatt.economics.models")
    return parse_rows(folder.joinpath(table).read_text(encoding="utf-8"), table)
