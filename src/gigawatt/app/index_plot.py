"""The picture of one sub-index: levels, mix effect and coverage, readable in print."""

from pathlib import Path
from textwrap import fill

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gigawatt.economics.index.subindex import SubIndex
from gigawatt.fleet.model import F64

BLUE, ORANGE, GREEN, GREY, RED = "#0072B2", "#D55E00", "#009E73", "#555555", "#CC3311"
"""Colours that stay apart for colour-blind readers. Source: Okabe and Ito 2008; Tol 2021."""
SHADE = "#E6E6E6"
MONTH_LABELS_MAX = 18
REASON_WIDTH = 15
"""Letters a line of a reason, so that those of neighbouring months stay apart."""


def _shade(axes: Axes, withheld: F64) -> None:
    for number in np.flatnonzero(withheld):
        axes.axvspan(number - 0.5, number + 0.5, facecolor=SHADE, edgecolor="none", zorder=0)


def _grid(axes: Axes, label: str) -> None:
    axes.set_ylabel(label, fontsize=9)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _legend(axes: Axes) -> None:
    """A legend above the axes, where no line can cross it."""
    axes.legend(
        fontsize=8, ncols=3, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 0.99),
        borderaxespad=0.2,
    )  # fmt: skip


def _draw_levels(axes: Axes, part: SubIndex, at: F64) -> None:
    low, high = part.band
    axes.fill_between(at, 100 * low, 100 * high, color=BLUE, alpha=0.18, linewidth=0, zorder=1)
    # A month between withheld ones has no area, so every month gets its bar as well.
    axes.vlines(at, 100 * low, 100 * high, color=BLUE, alpha=0.5, linewidth=1.0, zorder=1)
    lines: tuple[tuple[str, F64, str, str, str], ...] = (
        ("pooled mean (naive)", part.pooled_mean_level, ORANGE, "--", "s"),
        ("pooled median (naive)", part.pooled_median_level, ORANGE, ":", "D"),
        ("time dummy, cell effects", part.dummy_level, GREEN, "-.", "^"),
        ("GEKS", part.geks_level, GREY, ":", "v"),
        ("matched index, 95 % band", part.level, BLUE, "-", "o"),
    )
    if part.unit_value_level is not None:
        lines = (("unit value", part.unit_value_level, RED, "--", "P"), *lines)
    for label, values, colour, style, marker in lines:
        axes.plot(
            at, 100 * values, style, color=colour, marker=marker, markersize=4, linewidth=1.6,
            label=label,
        )  # fmt: skip
    axes.axhline(100, color="black", linewidth=0.6)
    if part.chain.base is None:
        axes.text(0.5, 0.6, "withheld in every month", transform=axes.transAxes, ha="center")
        axes.set_ylim(90, 110)
        _grid(axes, "price level")
    else:
        _grid(axes, f"price level\n({part.panel.months[part.chain.base]} = 100)")
    _legend(axes)


def _draw_mix(axes: Axes, part: SubIndex, at: F64) -> None:
    effect = 100.0 * (part.mix_effect - 1.0)
    axes.bar(at, effect, width=0.55, color=ORANGE, zorder=2)
    for x, value in zip(at, effect, strict=True):
        if np.isfinite(value):
            above = value >= 0
            axes.annotate(
                f"{value:+.1f}" if value else "0",
                (x, value),
                xytext=(0, 3 if above else -3),
                textcoords="offset points",
                fontsize=8,
                ha="center",
                va="bottom" if above else "top",
            )
    axes.axhline(0, color="black", linewidth=0.6)
    axes.margins(y=0.25)
    if not np.isfinite(effect).any():
        axes.set_ylim(-10, 10)
    naive = "unit value" if part.unit_value_level is not None else "pooled mean"
    _grid(axes, f"mix effect, %\n({naive} / index)")


def _draw_coverage(axes: Axes, part: SubIndex, at: F64, withheld: F64) -> None:
    chained = part.chain
    for shift, count, colour, hatch, label in (
        (-0.22, chained.cell_count, GREY, "", "cells"),
        (0.0, chained.matched_count, BLUE, "////", "matched cells"),
        (0.22, chained.provider_count, GREEN, "....", "providers"),
    ):
        axes.bar(
            at + shift, count, width=0.22, color=colour, hatch=hatch, edgecolor="white",
            linewidth=0.0, label=label,
        )  # fmt: skip
    top = float(max(chained.cell_count.max(), 1))
    for number in np.flatnonzero(withheld):
        words = fill(chained.reasons[number], REASON_WIDTH)
        axes.text(float(number), 1.58 * top, words, ha="center", va="top", fontsize=7, color=RED)
    axes.set_ylim(0, (1.65 if withheld.any() else 1.1) * top)
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    _grid(axes, "coverage\n(count)")
    _legend(axes)


def draw_sub_index(part: SubIndex, source: str, path: Path) -> None:
    """Write the picture of a sub-index; the file's suffix says the format, png or svg.

    Args:
        part: what is drawn; withheld months are shaded.
        source: where the prices come from, for the caption.
        path: file to write; it is replaced.
    """
    months = part.panel.months
    at = np.arange(len(months), dtype=np.float64)
    withheld = np.array([bool(reason) for reason in part.chain.reasons], dtype=np.float64)
    figure = Figure(figsize=(7.2, 8.2), dpi=150, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(3.0, 1.4, 1.6))
    for axes in (upper, middle, lower):
        _shade(axes, withheld)
    _draw_levels(upper, part, at)
    _draw_mix(middle, part, at)
    _draw_coverage(lower, part, at, withheld)
    step = -(-len(months) // MONTH_LABELS_MAX)
    lower.set_xticks(at[::step], months[::step], fontsize=9)
    lower.set_xlim(-0.6, len(months) - 0.4)
    figure.suptitle(
        f"{part.series.gpu.label} rental, {part.series.term.value.replace('_', ' ')}, "
        f"{part.series.kind.value} price of a GPU-hour",
        fontsize=12, x=0.01, ha="left", weight="bold", parse_math=False,
    )  # fmt: skip
    notes = [
        f"Source: {source}; prices in USD per GPU-hour. Grey months are withheld: see coverage."
    ]
    notes.extend(found.sentence for found in part.breaks[:1])
    figure.supxlabel("\n".join(notes), fontsize=7, x=0.01, ha="left", wrap=True, parse_math=False)
    # Text stays text in SVG, and the file is the same for the same input.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gigawatt"}):
        metadata = {"Date": None} if path.suffix == ".svg" else {}
        figure.savefig(path, format=path.suffix[1:], metadata=metadata)
