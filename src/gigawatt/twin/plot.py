"""The picture of a replay: four panels, as PNG and SVG."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from gigawatt.twin.metrics import SIZE_NAMES, size_class
from gigawatt.twin.replay import Outcome
from gigawatt.twin.report import largest_share
from gigawatt.units import HOUR_S

BLUE, ORANGE, GREEN, GREY, RED = "#0072b2", "#d55e00", "#009e73", "#7f7f7f", "#cc79a7"
"""Okabe and Ito's colours, which people with colour blindness can tell apart."""
SIZE_COLOURS = dict(zip(SIZE_NAMES, (GREY, GREEN, BLUE, ORANGE, RED), strict=True))


def _load(axis: Axes, outcome: Outcome) -> None:
    """Utilisation as an area, the queue as a line on its own scale."""
    capacity = outcome.fleet.gpu_count
    samples = outcome.metrics.samples
    hours = [s.at_s / HOUR_S for s in samples]
    held = [100 * s.held / capacity for s in samples]
    unusable = [100 * (s.held + s.unusable) / capacity for s in samples]
    axis.fill_between(hours, 0, held, step="post", color=BLUE, alpha=0.75, label="held by clusters")
    axis.fill_between(
        hours, held, unusable, step="post", color=GREY, alpha=0.7, label="out of service"
    )
    span_h = outcome.workload.trace.span_s / HOUR_S
    axis.set(
        xlim=(0, span_h), ylim=(0, 100), xlabel="virtual time (h)", ylabel="GPUs of the fleet (%)"
    )
    axis.set_title("Utilisation and queue", loc="left")
    queue = axis.twinx()
    queue.step(hours, [s.queued for s in samples], where="post", color=ORANGE, label="waiting")
    queue.set_ylabel("GPUs waiting for room", color=ORANGE)
    queue.set_ylim(0, max(8, 1.3 * max((s.queued for s in samples), default=0)))
    queue.tick_params(axis="y", colors=ORANGE)
    queue.spines["top"].set_visible(False)
    shown = [*axis.get_legend_handles_labels()[0], *queue.get_legend_handles_labels()[0]]
    _legend(axis, shown)


def _waits(axis: Axes, outcome: Outcome) -> None:
    """Distribution of the wait for room, by size; a minute is the least that is shown."""
    for name in SIZE_NAMES:
        waits = [
            max(1.0, row.wait_s / 60)
            for row in outcome.metrics.served
            if not row.is_carried and size_class(row.gpu_count) == name
        ]
        if waits:
            label = f"{name} GPUs ({len(waits)})"
            axis.ecdf(waits, color=SIZE_COLOURS[name], label=label, linewidth=1.8)
    axis.set(
        xscale="log", ylim=(0, 1.02), xlabel="wait for room (min; up to 1 min at the left edge)"
    )
    axis.set_ylabel("share of jobs")
    axis.set_xlim(0.9, 3_600)
    axis.set_title("Wait from request to commit, by size", loc="left")
    axis.set_xticks([1, 10, 60, 600, 3600], ["1", "10", "60", "600", "3,600"])
    axis.minorticks_off()
    _legend(axis, axis.get_legend_handles_labels()[0])


def _spread(axis: Axes, outcome: Outcome) -> None:
    """Each cluster's leaf groups over the fewest possible, and how the free nodes lie."""
    whole = [row for row in outcome.metrics.placed if row.gpu_count >= 8]
    axis.scatter(
        [row.at_s / HOUR_S for row in whole],
        [row.ratio for row in whole],
        s=[6 + row.gpu_count / 8 for row in whole],
        color=BLUE,
        alpha=0.45,
        linewidths=0,
        label="cluster (area by size)",
    )
    axis.set_xlim(0, outcome.workload.trace.span_s / HOUR_S)
    axis.set(xlabel="virtual time (h)", ylabel="leaf groups used / fewest possible")
    axis.set_ylim(0.8, max([2.0, *(row.ratio + 0.2 for row in whole)]))
    axis.set_title("Spread of clusters, fragmentation of free nodes", loc="left")
    free = axis.twinx()
    samples = outcome.metrics.samples
    hours = [s.at_s / HOUR_S for s in samples]
    for level, colour in (("leaf_group", GREEN), ("pod", ORANGE)):
        shares = [largest_share(s, level) for s in samples]
        values = [np.nan if share is None else 100 * share for share in shares]
        free.plot(hours, values, color=colour, label=f"best {level.replace('_', ' ')} (right)")
    free.set(ylim=(0, 105), ylabel="of free whole nodes in one group (%)")
    free.spines["top"].set_visible(False)
    shown = [*axis.get_legend_handles_labels()[0], *free.get_legend_handles_labels()[0]]
    _legend(axis, shown)


def _ready(axis: Axes, outcome: Outcome) -> None:
    """Time from commit to hand-over against size."""
    served = outcome.metrics.served
    axis.scatter(
        [row.gpu_count for row in served],
        [row.ready_s / 60 for row in served],
        s=16,
        color=BLUE,
        alpha=0.5,
        linewidths=0,
        label="cluster",
    )
    sizes = sorted({row.gpu_count for row in served})
    medians = [
        float(np.median([row.ready_s / 60 for row in served if row.gpu_count == size]))
        for size in sizes
    ]
    axis.plot(sizes, medians, color=ORANGE, linewidth=1.5, label="median of a size")
    axis.set_xscale("log", base=2)
    axis.set_xticks([1, 8, 64, 512, 4096], ["1", "8", "64", "512", "4,096"])
    axis.set(xlabel="GPUs of the cluster", ylabel="commit to ready (min)")
    axis.set_ylim(bottom=0)
    axis.set_title("Time to ready (boot time illustrative)", loc="left")
    _legend(axis, axis.get_legend_handles_labels()[0])


def _legend(axis: Axes, shown: Sequence[Any]) -> None:
    """A legend below the panel, where it hides nothing."""
    if shown:
        labels = [str(handle.get_label()) for handle in shown]
        place: Any = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.14), "ncols": len(shown)}
        axis.legend(shown, labels, **place)


def plot_replay(outcome: Outcome, folder: Path, name: str = "replay") -> tuple[Path, Path]:
    """Write ``NAME.png`` and ``NAME.svg`` into ``folder``; their paths."""
    from matplotlib import rc_context  # noqa: PLC0415 - slow to import
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415

    style: Any = {
        "font.size": 9.5,
        "axes.spines.top": False,
        "axes.titleweight": "bold",
        "axes.grid": False,
        "legend.frameon": False,
        "legend.columnspacing": 1.2,
        "legend.handlelength": 1.4,
        "legend.fontsize": 8.5,
        "svg.hashsalt": "gigawatt",
    }
    paths = folder / f"{name}.png", folder / f"{name}.svg"
    with rc_context(style):
        figure = Figure(figsize=(12, 8.2), layout="constrained")
        FigureCanvasAgg(figure)
        panels = figure.subplots(2, 2).flat
        for axis, draw in zip(panels, (_load, _waits, _spread, _ready), strict=True):
            draw(axis, outcome)
        given = outcome.workload
        figure.suptitle(
            f"{len(given.trace):,} jobs on {outcome.fleet.gpu_count:,} GPUs, "
            f"{given.trace.span_s / HOUR_S:g} h: every launch planned, applied and verified "
            "on simulated devices",
            fontsize=12.5,
            fontweight="bold",
        )
        figure.supxlabel(
            f"{given.source}; offered load {100 * given.load:.0f} %; seed "
            f"{outcome.settings.seed}; event log {outcome.digest}",
            fontsize=8,
            color="#555555",
        )
        figure.savefig(paths[0], format="png", dpi=110)
        figure.savefig(paths[1], format="svg", metadata={"Date": None})
    return paths
