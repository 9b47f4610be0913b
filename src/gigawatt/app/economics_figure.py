"""What the pictures of the economics share: sheet, colours, source line."""

from pathlib import Path
from textwrap import wrap

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

DPI = 160
USEFUL = "#2A6F97"
LOSS = "#C05746"
NEUTRAL = "#8A9299"
PALETTE = (
    "#013A63", "#2A6F97", "#61A5C2", "#A9D6E5", "#E09F3E", "#9E2A2B", "#6D597A", "#335C67",
    "#8A9299", "#C9ADA7", "#540B0E",
)  # fmt: skip
MARKERS = "osD^v<>PX*h"


def sheet(width: float, height: float) -> Figure:
    """An empty white figure of so many inches."""
    figure = Figure(figsize=(width, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, source: str, path: Path) -> None:
    """Write the figure as PNG with its source along the bottom edge."""
    lines = "\n".join(wrap(source, int(figure.get_figwidth() * 21)))
    figure.text(0.01, 0.012, lines, fontsize=6.5, color="#555555", va="bottom", parse_math=False)
    figure.savefig(path, format="png")


def bare(axes: Axes) -> None:
    """Axes without the two lines that say nothing."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
