"""How answers are written: aligned text for people, JSON or YAML for programs.

Answers go to standard output; questions, progress and remarks go to standard error.
"""

import json
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import typer
import yaml
from rich.console import Console
from rich.text import Text

from gigawatt.cli.options import Format
from gigawatt.errors import InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

Item = TypeVar("Item", bound="BaseModel")

WIDTH_MAX = 120
"""Lines for people are not longer, however wide their terminal is."""


def _plain_console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, soft_wrap=True, highlight=False, markup=False, emoji=False)


console = _plain_console(stderr=False)
remarks = _plain_console(stderr=True)


def width_of(target: Console) -> int | None:
    """Letters to a line, None where nobody looks and lines may be as long as they are."""
    return min(target.width, WIDTH_MAX) if target.is_terminal else None


def write(document: object, form: Format) -> None:
    """Write a JSON-able document as JSON or YAML."""
    if form is Format.JSON:
        typer.echo(json.dumps(document, indent=2, default=str))
    else:
        typer.echo(yaml.safe_dump(document, sort_keys=False, allow_unicode=True).rstrip())


def count_of(count: int, noun: str, plural: str | None = None) -> str:
    """A count with its noun, e.g. ``1 node``, ``1,250 nodes``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def bytes_words(size_bytes: int) -> str:
    """A size in its largest binary unit, e.g. ``50 TiB``."""
    value = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            return f"{value:,.0f} {unit}" if value == int(value) else f"{value:,.1f} {unit}"
        value /= 1024
    return f"{value:,.1f} PiB".replace(".0 ", " ")


def moment(at_s: float) -> str:
    """A moment in UTC, e.g. ``2026-01-31 12:00:00 UTC``."""
    return f"{datetime.fromtimestamp(at_s, UTC):%Y-%m-%d %H:%M:%S} UTC"


def iso(at_s: float) -> str:
    """A moment as ISO 8601 for programs."""
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds")


def span(duration_s: float) -> str:
    """A duration in its largest sensible unit, e.g. ``3 min``."""
    for unit, size_s in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if duration_s >= 2 * size_s:
            return f"{int(duration_s // size_s)} {unit}"
    return f"{max(0, int(duration_s))} s"


def _fitting(columns: Sequence[str], widths: Sequence[int], width: int | None) -> list[int]:
    """Columns that are shown: from the left, as many as fit into ``width``."""
    shown: list[int] = []
    used = 0
    for number in range(len(columns)):
        used += widths[number] + 2
        if width is not None and used - 2 > width and shown:
            break
        shown.append(number)
    return shown


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Write a table, the most important columns first: a narrow terminal drops the last ones.

    Columns of numbers go right.
    """
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max([len(c), *(len(row[i]) for row in cells)]) for i, c in enumerate(columns)]
    right = [bool(cells) and all(_is_number(row[i]) for row in cells) for i in range(len(columns))]
    shown = _fitting(columns, widths, width_of(console))

    def line(row: Sequence[str]) -> str:
        parts = (row[i].rjust(widths[i]) if right[i] else row[i].ljust(widths[i]) for i in shown)
        return "  ".join(parts).rstrip()

    console.print(Text(line([c.upper() for c in columns]), style="bold"))
    for row in cells:
        console.print(line(row))


def _is_number(text: str) -> bool:
    return text.lstrip("-$").replace(",", "").replace(".", "").isdigit()


def wrapped(label: str, value: str, label_width: int, target: Console) -> str:
    """A label and a value that hangs beside it over as many lines as it needs."""
    start = f"  {label:<{label_width}}  "
    width = width_of(target)
    if width is None or len(start) + len(value) <= width:
        return start + value
    return textwrap.fill(
        value,
        width,
        initial_indent=start,
        subsequent_indent=" " * len(start),
        break_on_hyphens=False,
    )


def pairs(
    title: str, values: Iterable[tuple[str, Any]] | Mapping[str, Any], target: Console = console
) -> None:
    """Write names and values below a title; a name may come twice, and is then shown once."""
    items = list(values.items() if isinstance(values, Mapping) else values)
    if title:
        target.print(Text(title, style="bold"))
    label_width = max((len(name) for name, _ in items), default=0)
    before = None
    for name, value in items:
        target.print(wrapped("" if name == before else name, str(value), label_width, target))
        before = name


def paragraph(text: str, target: Console = console) -> None:
    """Write prose, wrapped where somebody reads it."""
    width = width_of(target)
    target.print(text if width is None else textwrap.fill(text, width, break_on_hyphens=False))


@dataclass(frozen=True, slots=True)
class Listing(Generic[Item]):
    """How a list is shown to people.

    Fields: columns; cells of one item; what is said when there is none.
    """

    columns: Sequence[str]
    cells: Callable[[Item], Sequence[object]]
    empty: str


def show_document(document: "BaseModel", form: Format) -> None:
    """Write one document of the API as JSON or YAML."""
    write(document.model_dump(mode="json"), form)


def show_list(
    items: Sequence[Item], form: Format, listing: Listing[Item], *, quiet: bool = False
) -> None:
    """Write documents of the API: as a table, as JSON or YAML, or only their ids."""
    if quiet:
        for item in items:
            typer.echo(item.id)  # type: ignore[attr-defined]
    elif form is not Format.TABLE:
        write([item.model_dump(mode="json") for item in items], form)
    elif items:
        table(listing.columns, [list(listing.cells(item)) for item in items])
    else:
        console.print(listing.empty)


def ask(question: str) -> bool:
    """Whether the person says yes; asked on standard error.

    Raises:
        InputError: nobody answers.
    """
    try:
        return typer.confirm(question, default=True, err=True)
    except typer.Abort as error:
        sys.stderr.write("\n")
        raise InputError(
            "nobody said yes, so nothing was changed",
            next_step="Answer y, or add --yes to go ahead without being asked.",
        ) from error
