"""Where the entries of a legend stand: in columns under the title, wrapped to the plan's width."""

from collections.abc import Sequence

from gigawatt.fleet.drawing.floor import LETTER_WIDTH_EM, MARGIN

LEGEND_SIZE = 11.0
LINE_HEIGHT = 18.0
SWATCH = 11.0
TITLE_SPACE = 44.0


def legend_positions(
    legend: Sequence[tuple[str, str]], width: float
) -> tuple[list[tuple[float, float]], float]:
    """(x, y) of the swatch of each entry, and the height of title and legend together.

    Args:
        legend: (colour, label) pairs.
        width: of the plan; entries stand in equal columns inside it.
    """
    longest = max((len(label) for _, label in legend), default=0)
    column_width = longest * LEGEND_SIZE * LETTER_WIDTH_EM + SWATCH + 24.0
    columns = max(1, int((width - 2 * MARGIN) // column_width))
    places = [
        (MARGIN + i % columns * column_width, TITLE_SPACE + i // columns * LINE_HEIGHT)
        for i in range(len(legend))
    ]
    return places, TITLE_SPACE + -(-len(legend) // columns) * LINE_HEIGHT
