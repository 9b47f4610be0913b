"""The energy balance as a Sankey picture: bands as wide as their power, losses turned down."""

from dataclasses import dataclass
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path as Outline

from gigawatt.app.economics_figure import LOSS, NEUTRAL, USEFUL, save, sheet
from gigawatt.economics.chain.energy import EnergyBalance, PowerStage

COLUMN_GAP = 1.0
BAR_WIDTH = 0.14
TOTAL_HEIGHT = 6.0
SPREAD = 0.55
"""Empty space between bands that leave one stage, in the height of the picture."""


@dataclass(frozen=True, slots=True)
class _Bar:
    """A stage as drawn: column, bottom and height."""

    stage: PowerStage
    x: float
    low: float
    height: float


def power_text(power_w: float) -> str:
    """Watts with a fitting prefix.

    Example:
        >>> power_text(1_204_000.0)
        '1.2 MW'
    """
    for scale, unit in ((1e9, "GW"), (1e6, "MW"), (1e3, "kW")):
        if power_w >= scale:
            return f"{power_w / scale:.3g} {unit}"
    return f"{power_w:.3g} W"


def _bars(balance: EnergyBalance) -> dict[str, _Bar]:
    """Places of all stages that carry power: children right of their parent, losses lowest."""
    scale = TOTAL_HEIGHT / balance.source_w
    root = balance.stages[0]
    bars = {root.name: _Bar(root, 0.0, 0.0, root.power_w * scale)}
    for stage in balance.stages:
        if stage.name not in bars:
            continue
        parent = bars[stage.name]
        children = [child for child in balance.children(stage.name) if child.power_w > 0]
        losses = [child for child in children if child.is_loss]
        useful = [child for child in children if not child.is_loss]
        top = parent.low + parent.height + SPREAD * (len(useful) - 1) / 2.0
        for child in sorted(useful, key=lambda c: -c.power_w):
            height = child.power_w * scale
            bars[child.name] = _Bar(child, parent.x + COLUMN_GAP, top - height, height)
            top -= height + SPREAD
        low = parent.low - SPREAD
        for child in losses:
            height = child.power_w * scale
            bars[child.name] = _Bar(child, parent.x + COLUMN_GAP * 0.62, low - height, height)
            low -= height + SPREAD
    return bars


def _ribbon(axes: Axes, start: tuple[float, float], end: _Bar, colour: str) -> None:
    """A band from ``start`` (x, bottom) to a bar, as high as the bar."""
    x0, low0 = start
    x1, low1, height = end.x, end.low, end.height
    middle = (x0 + x1) / 2.0
    corners = [
        (x0, low0), (middle, low0), (middle, low1), (x1, low1), (x1, low1 + height),
        (middle, low1 + height), (middle, low0 + height), (x0, low0 + height), (x0, low0),
    ]  # fmt: skip
    curve = Outline.CURVE4
    codes = [Outline.MOVETO, curve, curve, curve, Outline.LINETO, curve, curve, curve]
    band = Outline(corners, [*codes, Outline.CLOSEPOLY])
    axes.add_patch(PathPatch(band, facecolor=colour, alpha=0.35, linewidth=0))


def _draw_bar(axes: Axes, bar: _Bar, share: float, *, is_leaf: bool) -> None:
    colour = LOSS if bar.stage.is_loss else USEFUL
    block = Rectangle((bar.x, bar.low), BAR_WIDTH, bar.height, facecolor=colour, linewidth=0)
    if bar.stage.is_loss:
        block.set(hatch="////", edgecolor="white")
    axes.add_patch(block)
    text = f"{bar.stage.name}\n{power_text(bar.stage.power_w)} · {100 * share:.3g} %"
    if is_leaf:
        spot = (bar.x + BAR_WIDTH + 0.04, bar.low + bar.height / 2.0)
        axes.text(*spot, text, fontsize=8, va="center", ha="left", parse_math=False)
    else:
        spot = (bar.x + BAR_WIDTH / 2.0, bar.low + bar.height + 0.12)
        axes.text(*spot, text, fontsize=8, va="bottom", ha="center", parse_math=False)


def write_sankey(balance: EnergyBalance, title: str, source: str, path: Path) -> None:
    """Write the balance as a Sankey picture (PNG); the file is replaced.

    Args:
        balance: the tree of stages.
        title: heading.
        source: where the numbers are from, along the bottom edge.
        path: file to write.
    """
    figure = sheet(10.5, 5.6)
    axes = figure.add_axes((0.03, 0.05, 0.94, 0.85))
    bars = _bars(balance)
    for name, bar in bars.items():
        children = [bars[c.name] for c in balance.children(name) if c.name in bars]
        edge = bar.low
        ordered = sorted(children, key=lambda b: (not b.stage.is_loss, b.low))
        for child in ordered:
            colour = LOSS if child.stage.is_loss else USEFUL if child.x else NEUTRAL
            _ribbon(axes, (bar.x + BAR_WIDTH, edge), child, colour)
            edge += child.height
        _draw_bar(axes, bar, bar.stage.power_w / balance.source_w, is_leaf=not children)
    axes.set_xlim(-0.3, max(bar.x for bar in bars.values()) + 1.0)
    low = min(bar.low for bar in bars.values())
    high = max(bar.low + bar.height for bar in bars.values())
    axes.set_ylim(low - 0.3, high + 1.0)
    axes.axis("off")
    figure.text(0.03, 0.94, title, fontsize=12, weight="bold", parse_math=False)
    save(figure, f"Power and its share of the source; red, hatched: lost as heat. {source}", path)
