"""Pictures of a market: policies against each other, and where a year's GPU-hours went."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gigawatt.app.economics_figure import LOSS, NEUTRAL, PALETTE, USEFUL, bare, save
from gigawatt.intent.term import Term
from gigawatt.market.utilisation import GpuState
from gigawatt.twin.market.compare import Comparison, bootstrap
from gigawatt.twin.market.figures import FIGURES
from gigawatt.twin.market.judge import fleet_time
from gigawatt.twin.market.replay import MarketOutcome

PANELS = (
    ("used_share", "dollar_share"),
    ("revenue_usd_per_gpu_hour",),
    ("wait_on_demand_s_p95", "wait_spot_s_p95"),
    ("spread_ratio",),
    ("preemption_count",),
    ("stranded_share",),
)
"""Figures of one panel share an axis."""
DAY_MS = 86_400_000


def _panel(axes: Axes, comparison: Comparison, keys: tuple[str, ...]) -> None:
    names = list(comparison.figures)
    for number, key in enumerate(keys):
        figure = FIGURES[key]
        found = [bootstrap(comparison.figures[n][key] * figure.factor) for n in names]
        at = np.arange(len(names)) + 0.18 * (number - (len(keys) - 1) / 2)
        means = np.array([estimate.mean for estimate in found])
        ends = np.array([[e.mean - e.low, e.high - e.mean] for e in found]).T
        axes.errorbar(
            means, at, xerr=np.maximum(ends, 0.0), fmt="os"[number], capsize=3, markersize=5,
            color=(USEFUL, LOSS)[number], label=figure.title,
        )  # fmt: skip
    axes.set_yticks(range(len(names)), [name.replace("_", " ") for name in names])
    axes.set_title(FIGURES[keys[0]].title if len(keys) == 1 else "", fontsize=9, loc="left")
    if len(keys) > 1:
        axes.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    bare(axes)


def plot_policies(comparison: Comparison, path: Path) -> None:
    """Write means and intervals of all policies, one panel a figure (PNG)."""
    figure = Figure(figsize=(11, 6.4), dpi=140, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 3, sharey=True)
    for axes, keys in zip(panels.flat, PANELS, strict=True):
        _panel(axes, comparison, keys)
    panels[0, 0].invert_yaxis()  # of all, because they share it
    seeds = len(comparison.seeds)
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))  # type: ignore[union-attr,call-arg]
    text = (
        f"{comparison.source}; {comparison.gpu_count:,} GPUs, {comparison.days:g} days, "
        f"load {100 * comparison.load:.0f} %, mean and 95 % bootstrap interval of {seeds} seeds"
    )
    save(figure, text, path)


def plot_market(outcome: MarketOutcome, path: Path) -> None:
    """Write GPU-hours by state and revenue by term, day by day (PNG)."""
    days = -(-outcome.span_ms // DAY_MS)
    shares = {state: np.zeros(days) for state in GpuState}
    usd = {term: np.zeros(days) for term in Term}
    for stretch in fleet_time(outcome):
        at_ms = stretch.from_ms
        while at_ms < stretch.to_ms:
            end_ms = min(stretch.to_ms, (at_ms // DAY_MS + 1) * DAY_MS)
            gpu_ms = stretch.gpu_count * (end_ms - at_ms)
            shares[stretch.state][at_ms // DAY_MS] += gpu_ms
            if stretch.term is not None:
                micro_usd = gpu_ms / 3.6e6 * stretch.price_micro_usd_per_gpu_hour
                usd[stretch.term][at_ms // DAY_MS] += micro_usd / 1e6
            at_ms = end_ms
    lengths = np.minimum(DAY_MS, outcome.span_ms - DAY_MS * np.arange(days))
    figure = Figure(figsize=(11, 6.4), dpi=140, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    rows = [100 * row / (lengths * outcome.fleet.gpu_count) for row in shares.values()]
    colours = (*PALETTE[:3], "#E09F3E", LOSS, "#6D597A", "#E6E6E6")
    upper.stackplot(range(days), rows, labels=[s.value for s in shares], colors=colours)
    upper.set(ylim=(0, 100), ylabel="GPU-hours of the fleet (%)")
    scaled = [row * DAY_MS / lengths / 1000 for row in usd.values()]
    lower.stackplot(range(days), scaled, labels=[t.value for t in usd],
                    colors=(USEFUL, NEUTRAL, "#E09F3E"))  # fmt: skip
    lower.set(ylabel="revenue (1,000 USD a day)", xlabel="day")
    for axes in (upper, lower):
        axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.0, 1.0))
        bare(axes)
    figure.get_layout_engine().set(rect=(0, 0.05, 1, 0.95))  # type: ignore[union-attr,call-arg]
    load = 100 * outcome.workload.load
    save(
        figure,
        f"{outcome.workload.source}; {outcome.fleet.gpu_count:,} GPUs, load {load:.0f} %, policy "
        f"{outcome.settings.policy.name}, seed {outcome.settings.seed}; event log {outcome.digest}",
        path,
    )
