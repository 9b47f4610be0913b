"""The fleet map as a PNG file, for reports and slides; the same plan as the SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import IO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from gigawatt.fleet.drawing.floor import Floor, floor_of
from gigawatt.fleet.drawing.legend import LEGEND_SIZE, SWATCH, legend_positions
from gigawatt.fleet.drawing.svg import WIDTH_MIN, check_colours
from gigawatt.fleet.model import F64, Fleet

PIXELS_MAX = 4_000.0
POINTS_PER_PIXEL = 0.72
"""At 100 pixels of the plan to an inch: a point is 1/72 inch."""


def _corners(boxes: F64, shift: float) -> F64:
    """float64[N, 4, 2]: corners of boxes (x, y, width, height), moved down by ``shift``."""
    x, y, width, height = boxes.T
    y = y + shift
    return np.stack(
        (
            np.stack((x, y), axis=1),
            np.stack((x + width, y), axis=1),
            np.stack((x + width, y + height), axis=1),
            np.stack((x, y + height), axis=1),
        ),
        axis=1,
    )


def _draw_words(figure: Figure, floor: Floor, shift: float) -> None:
    axes = figure.axes[0]
    for word in floor.words:
        axes.text(
            word.x,
            word.y + shift,
            word.text,
            fontsize=word.size * POINTS_PER_PIXEL,
            color="#111111" if word.is_title else "#333333",
            weight="bold" if word.is_title else "normal",
            parse_math=False,
        )


def _canvas(width: float, height: float) -> Figure:
    """An empty white figure whose one pair of axes is the plan, y pointing down."""
    dpi = min(200.0, 100.0 * PIXELS_MAX / max(width, height))
    figure = Figure(figsize=(width / 100.0, height / 100.0), dpi=dpi, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set_xlim(0.0, width)
    axes.set_ylim(height, 0.0)
    axes.axis("off")
    return figure


def write_fleet_png(
    fleet: Fleet,
    colours: Sequence[str],
    legend: Sequence[tuple[str, str]],
    title: str,
    path: Path | IO[bytes],
) -> None:
    """Write the map to ``path``; the longer side has at most 4,000 pixels.

    Args:
        fleet: what is drawn.
        colours: N colours "#rrggbb", one a node.
        legend: (colour, label) pairs, drawn above the plan.
        title: heading.
        path: file to write, which is replaced, or an open one.

    Raises:
        InputError: a colour is not "#rrggbb", or there are not N.
    """
    check_colours(fleet, colours)
    floor = floor_of(fleet)
    width = max(floor.width, WIDTH_MIN)
    places, shift = legend_positions(legend, width)
    figure = _canvas(width, floor.height + shift)
    axes = figure.axes[0]
    cells = _corners(floor.node_boxes, shift)
    keys = np.array([[x, y, SWATCH, SWATCH] for x, y in places]).reshape(-1, 4)
    for boxes, colour, line_width in (
        (cells, list(colours), 0.3),
        (_corners(keys, 0.0), [colour for colour, _ in legend], 0.3),
        (_corners(floor.rack_boxes, shift), "none", 0.7),
    ):
        axes.add_collection(
            PolyCollection(
                list(boxes), facecolors=colour, edgecolors="#8A9299", linewidths=line_width
            ),
            autolim=False,
        )
    axes.text(24.0, 28.0, title, fontsize=17.0 * POINTS_PER_PIXEL, weight="bold", parse_math=False)
    for (x, y), (_, label) in zip(places, legend, strict=True):
        axes.text(
            x + SWATCH + 5.0,
            y + 9.5,
            label,
            fontsize=LEGEND_SIZE * POINTS_PER_PIXEL,
            parse_math=False,
        )
    _draw_words(figure, floor, shift)
    figure.savefig(path, format="png")
