"""Geometry of the floor plan: a box per node and per rack, and the words beside them.

Halls stand under one another, each under its title. In a hall, racks stand in their rows; a hall
with many rows is folded into bands side by side, so the plan stays about as wide as it is high.
Lengths are in pixels, y points down. Empty floor rows and columns are left out.
"""

from dataclasses import dataclass
from math import ceil, sqrt

import numpy as np

from gigawatt.fleet.model import F64, I64, Fleet

RACK_WIDTH = 30.0
NODE_HEIGHT = 9.0
MARGIN = 24.0
RACK_GAP = 5.0
LABEL_HEIGHT = 9.0
ROW_LABEL_WIDTH = 22.0
TITLE_HEIGHT = 30.0
LETTER_WIDTH_EM = 0.6
"""Width of an average sans-serif letter, in units of its size (an estimate, on the safe side)."""
WIDE_OVER_HIGH = 1.5


@dataclass(frozen=True, slots=True)
class Word:
    """One text: left end of its base line, letter size, and what it says."""

    x: float
    y: float
    size: float
    text: str
    is_title: bool = False


@dataclass(frozen=True, slots=True)
class Floor:
    """The plan.

    Fields:
        width, height: of the whole plan.
        node_boxes: float64[N, 4], x, y, width and height of each node, in node order.
        rack_boxes: float64[R, 4], likewise of each rack.
        words: hall titles, row numbers and rack names that fit.
    """

    width: float
    height: float
    node_boxes: F64
    rack_boxes: F64
    words: tuple[Word, ...]


def _position_in_rack(fleet: Fleet) -> tuple[I64, I64]:
    """int64[N]: position of each node in its rack; int64[R]: nodes of each rack."""
    rack = fleet.nodes.rack
    order = np.argsort(rack, kind="stable")
    count = np.bincount(rack, minlength=len(fleet.racks)).astype(np.int64)
    first = np.concatenate(([0], np.cumsum(count)[:-1]))
    position = np.empty(len(rack), np.int64)
    position[order] = np.arange(len(rack)) - first[rack[order]]
    return position, count


def short_name(text: str, width: float, size: float) -> str:
    """The name, or its last part, if it fits into ``width``; else nothing.

    Example:
        >>> short_name("h-r0012", 22.0, 7.0)
        'r0012'
    """
    for candidate in (text, text.rpartition("-")[2]):
        if len(candidate) * size * LETTER_WIDTH_EM <= width:
            return candidate
    return ""


@dataclass(frozen=True, slots=True)
class _Hall:
    """Placed racks of one hall: boxes, words, and the size of the whole."""

    racks: I64
    boxes: F64
    words: list[Word]
    width: float
    height: float


def _place_hall(fleet: Fleet, racks: I64, slots: I64, top: float) -> _Hall:
    """Racks of one hall as boxes; ``slots`` is the height of each in nodes, at least 1."""
    _, row = np.unique(fleet.racks.row[racks], return_inverse=True)
    _, column = np.unique(fleet.racks.column[racks], return_inverse=True)
    rows, columns = int(row.max()) + 1, int(column.max()) + 1
    pitch_x = RACK_WIDTH + RACK_GAP
    height = slots * NODE_HEIGHT
    pitch_y = float(height.max()) + LABEL_HEIGHT + RACK_GAP
    band_width = columns * pitch_x + ROW_LABEL_WIDTH + 2 * RACK_GAP
    bands = max(1, round(sqrt(WIDE_OVER_HIGH * rows * pitch_y / band_width)))
    rows_per_band = ceil(rows / bands)
    band, row_in_band = np.divmod(row, rows_per_band)
    x = MARGIN + band * band_width + ROW_LABEL_WIDTH + column * pitch_x
    y = top + row_in_band * pitch_y + LABEL_HEIGHT
    boxes = np.stack((x, y, np.full(len(x), RACK_WIDTH), height), axis=1).astype(np.float64)
    words = [
        Word(float(bx), float(by) - 2.0, 7.0, name)
        for bx, by, name in zip(
            x.tolist(),
            y.tolist(),
            (short_name(fleet.racks.ids[r], RACK_WIDTH, 7.0) for r in racks.tolist()),
            strict=True,
        )
        if name
    ]
    for number in range(rows):
        at_band, at_row = divmod(number, rows_per_band)
        middle = top + at_row * pitch_y + LABEL_HEIGHT + float(height.max()) / 2 + 3.0
        words.append(Word(MARGIN + at_band * band_width, middle, 8.0, str(number)))
    used_bands = ceil(rows / rows_per_band)
    return _Hall(racks, boxes, words, used_bands * band_width, rows_per_band * pitch_y)


def floor_of(fleet: Fleet) -> Floor:
    """The floor plan of every hall of the fleet, sites in order, halls in order."""
    position, count = _position_in_rack(fleet)
    rack_boxes = np.zeros((len(fleet.racks), 4))
    words: list[Word] = []
    top, width = MARGIN, 0.0
    for hall in np.lexsort((np.arange(len(fleet.halls)), fleet.halls.site)).tolist():
        racks = np.flatnonzero(fleet.racks.hall == hall)
        if not len(racks):
            continue
        site = fleet.sites.ids[fleet.halls.site[hall]]
        title = f"{site} / {fleet.halls.ids[hall]}: {len(racks)} racks, {count[racks].sum()} nodes"
        words.append(Word(MARGIN, top + 14.0, 13.0, title, is_title=True))
        placed = _place_hall(fleet, racks, np.maximum(count[racks], 1), top + TITLE_HEIGHT)
        rack_boxes[racks] = placed.boxes
        words += placed.words
        top += TITLE_HEIGHT + placed.height + MARGIN
        width = max(width, placed.width, len(title) * 13.0 * LETTER_WIDTH_EM)
    node_boxes = rack_boxes[fleet.nodes.rack]
    node_boxes[:, 1] += position * NODE_HEIGHT
    node_boxes[:, 3] = NODE_HEIGHT
    return Floor(width + 2 * MARGIN, top, node_boxes, rack_boxes, tuple(words))
