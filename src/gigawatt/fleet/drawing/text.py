"""The fleet map as rows of coloured glyphs, for a terminal; it knows no terminal library.

A hall has a heading; under it, each leaf group shows its nodes in order, as many groups side by
side as fit the width. A fleet too large for that has one cell a rack, then one cell a leaf group,
which shows its worst node: quarantined, drained, held, spare, free.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gigawatt.errors import InputError
from gigawatt.fleet.drawing.paint import Paint, Swatch
from gigawatt.fleet.model import I64, Fleet

WIDTH = 100
CELLS_MAX = 4_000
"""More cells than this are too many to read, so the next coarser cell is used."""
_WORST = {"quarantined": 4, "drained": 3, "spare": 1, "free": 0}
_HELD = 2


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of one style; see ``Swatch.style_name``; "title" and "label" are words."""

    text: str
    style_name: str


Row = tuple[Cell, ...]


def _severity(swatch: Swatch) -> int:
    return _WORST.get(swatch.style_name, _HELD)


def _cell_of_node(fleet: Fleet) -> tuple[I64, str]:
    """int64[N]: which cell each node is in, ascending by leaf group; and what a cell is."""
    group, count = fleet.nodes.leaf_group.astype(np.int64), len(fleet.nodes)
    if count <= CELLS_MAX:
        return np.arange(count), "node"
    if len(fleet.racks) <= CELLS_MAX:
        return fleet.nodes.rack.astype(np.int64), "rack"
    return group, "leaf group"


@dataclass(frozen=True, slots=True)
class _Strip:
    """One leaf group in one hall: its label and its cells."""

    label: str
    swatches: tuple[Swatch, ...]


def _strips(fleet: Fleet, paint: Paint, cell_of_node: I64) -> dict[int, list[_Strip]]:
    """Strips of each hall, in order of leaf group."""
    hall = fleet.racks.hall[fleet.nodes.rack]
    worst: dict[tuple[int, int, int], Swatch] = {}
    keys = zip(
        hall.tolist(),
        fleet.nodes.leaf_group.tolist(),
        cell_of_node.tolist(),
        strict=True,
    )
    for key, swatch in zip(keys, paint.swatch_of_node, strict=True):
        if key not in worst or _severity(swatch) > _severity(worst[key]):
            worst[key] = swatch
    strips: dict[int, dict[int, list[Swatch]]] = {}
    for (at_hall, group, _), swatch in sorted(worst.items(), key=lambda item: item[0]):
        strips.setdefault(at_hall, {}).setdefault(group, []).append(swatch)
    return {
        at_hall: [_Strip(fleet.leaf_groups.ids[g], tuple(cells)) for g, cells in groups.items()]
        for at_hall, groups in strips.items()
    }


def _runs(swatches: Sequence[Swatch]) -> list[Cell]:
    """Neighbours of one style as one cell."""
    runs: list[Cell] = []
    for swatch in swatches:
        if runs and runs[-1].style_name == swatch.style_name:
            runs[-1] = Cell(runs[-1].text + swatch.glyph, swatch.style_name)
        else:
            runs.append(Cell(swatch.glyph, swatch.style_name))
    return runs


def _hall_rows(strips: Sequence[_Strip], width: int) -> list[Row]:
    """Strips side by side in equal columns; a strip longer than a row is broken."""
    label_width = min(max(len(s.label) for s in strips), width // 3)
    longest = max(len(s.swatches) for s in strips)
    strip_width = min(longest, width - label_width - 1)
    per_row = max(1, (width + 2) // (label_width + 1 + strip_width + 2))
    pieces = [
        (strip.label if start == 0 else "", strip.swatches[start : start + strip_width])
        for strip in strips
        for start in range(0, len(strip.swatches), strip_width)
    ]
    rows: list[Row] = []
    for first in range(0, len(pieces), per_row):
        row: list[Cell] = []
        for i, (label, swatches) in enumerate(pieces[first : first + per_row]):
            gap = "  " if i else ""
            row.append(Cell(f"{gap}{label[-label_width:]:<{label_width}} ", "label"))
            row += _runs(swatches)
            if padding := strip_width - len(swatches):
                row.append(Cell(" " * padding, "label"))
        rows.append(tuple(row))
    return rows


def _unlabelled_rows(strips: Sequence[_Strip], width: int) -> list[Row]:
    """One cell a leaf group, 10 by 10, each row labelled by its first group."""
    label_width = min(max(len(s.label) for s in strips), width // 3)
    per_row = max(1, (width - label_width - 1) // 10 * 10)
    rows: list[Row] = []
    for first in range(0, len(strips), per_row):
        label = f"{strips[first].label[-label_width:]:<{label_width}} "
        cells = [swatch for strip in strips[first : first + per_row] for swatch in strip.swatches]
        rows.append((Cell(label, "label"), *_runs(cells)))
    return rows


def _legend_rows(paint: Paint, width: int) -> list[Row]:
    """Legend entries, as many to a row as fit."""
    rows: list[list[Cell]] = [[]]
    used = 0
    for swatch, label in paint.glyph_legend:
        words = f" {label}"[: width - len(swatch.glyph)]
        if used and used + 3 + len(swatch.glyph) + len(words) > width:
            rows.append([])
            used = 0
        gap = "   " if used else ""
        if gap:
            rows[-1].append(Cell(gap, "label"))
        rows[-1] += [Cell(swatch.glyph, swatch.style_name), Cell(words, "label")]
        used += len(gap) + len(swatch.glyph) + len(words)
    return [tuple(row) for row in rows if row]


def fleet_text(fleet: Fleet, paint: Paint, *, width: int = WIDTH) -> list[Row]:
    """Rows of cells, each row at most ``width`` letters wide: halls, then the legend.

    Args:
        fleet: what is shown.
        paint: how its N nodes look.
        width: letters in a row, at least 40.

    Raises:
        InputError: the paint is of another count of nodes, or the width is under 40.
    """
    if len(paint.swatch_of_node) != len(fleet.nodes):
        raise InputError(
            f"paint is of {len(paint.swatch_of_node)} nodes, fleet {fleet.name!r} has "
            f"{len(fleet.nodes)}"
        )
    if width < 40:
        raise InputError(f"width is {width} letters, wanted at least 40")
    cell_of_node, cell_name = _cell_of_node(fleet)
    rows: list[Row] = []
    for hall, strips in _strips(fleet, paint, cell_of_node).items():
        site = fleet.sites.ids[fleet.halls.site[hall]]
        heading = f"{site} / {fleet.halls.ids[hall]}   one sign = one {cell_name}"
        rows.append((Cell(heading[:width], "title"),))
        lay = _unlabelled_rows if cell_name == "leaf group" else _hall_rows
        rows += lay(strips, width)
        rows.append(())
    return rows + _legend_rows(paint, width)
