"""Small HTML tables for notebooks; every text in them is escaped."""

from collections.abc import Sequence
from html import escape


def html_table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """One table with a caption; numbers that are floats get four digits, None an empty cell.

    Example:
        >>> html_table("<cost>", ["USD"], [[0.5]])[:40]
        '<table><caption>&lt;cost&gt;</caption><t'
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    return (
        f"<table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table>"
    )


def _cell(value: object) -> str:
    if isinstance(value, float):
        digits = f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
        return f"<td style='text-align:right'>{digits}</td>"
    return f"<td>{'' if value is None else escape(str(value))}</td>"
