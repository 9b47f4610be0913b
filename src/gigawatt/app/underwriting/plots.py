"""The plots of an underwriting, each a matplotlib figure; colours are told apart without hue."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gigawatt.economics.finance.cases import F64
from gigawatt.economics.finance.monte_carlo import Fan, Simulation
from gigawatt.economics.finance.tornado import Bar
from gigawatt.economics.finance.underwriting import Underwriting

SIZE_INCHES = (7.4, 3.4)
BLUE, SKY, ORANGE, GREEN, RED, GREY = (
    "#0072B2", "#56B4E9", "#E69F00", "#009E73", "#D55E00", "#8A9299",
)  # fmt: skip
"""Okabe and Ito's palette for colour-blind readers."""
MICRO_USD_PER_MILLION = 1e12
COVER_SHOWN_MAX = 6.0
"""Cover above this is not drawn: it is the last payments of a loan that is nearly repaid."""


def _figure(size: tuple[float, float] = SIZE_INCHES, rows: int = 1) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=size, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = [figure.add_subplot(rows, 1, row + 1) for row in range(rows)]
    for one in axes:
        _tidy(one)
    return figure, axes


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#E5E8EA", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=8)


def _label(axes: Axes, title: str, across: str, up: str) -> None:
    axes.set_title(title, fontsize=10, loc="left", weight="bold")
    axes.set_xlabel(across, fontsize=8)
    axes.set_ylabel(up, fontsize=8)


def _years(signed: Underwriting) -> F64:
    """Years from close of each column."""
    columns = np.arange(signed.deal.period_count + 1, dtype=np.float64)
    return np.asarray(columns * (signed.deal.period_months / 12.0))


def cash_flow_plot(signed: Underwriting) -> Figure:
    """Where each period's cash goes, stacked; what is above the line came from elsewhere."""
    figure, (axes,) = _figure()
    row, years = signed.waterfall, _years(signed)
    first = signed.deal.window_periods + 1
    parts = (
        ("interest", row.interest_paid, BLUE, ""),
        ("principal", row.principal_paid, SKY, "//"),
        ("sweep", row.sweep, ORANGE, ".."),
        ("distribution", row.distribution, GREEN, ""),
    )
    bottom = np.zeros(len(years) - first)
    width = signed.deal.period_months / 12.0 * 0.9
    for name, flows, colour, hatch in parts:
        height = flows[0, first:] / MICRO_USD_PER_MILLION
        if not height.any():
            continue
        axes.bar(
            years[first:], height, width, bottom, label=name, color=colour, hatch=hatch,
            edgecolor="white", linewidth=0.2,
        )  # fmt: skip
        bottom = bottom + height
    cfads = row.cfads[0, first:] / MICRO_USD_PER_MILLION
    axes.step(years[first:], cfads, where="mid", color="black", linewidth=1.2, label="CFADS")
    inner = bottom[:-1] if len(bottom) > 1 else bottom
    top = 1.15 * max(float(inner.max()), float(cfads.max()))
    axes.set_ylim(min(0.0, float(cfads.min()) * 1.1), top)
    if bottom[-1] > top:
        axes.annotate(
            f"{bottom[-1]:,.0f} with reserves\nand residual",
            (years[-1], top * 0.97), fontsize=7, ha="right", va="top",
            xytext=(-14, 0), textcoords="offset points",
            arrowprops={"arrowstyle": "->", "linewidth": 0.7},
        )  # fmt: skip
    _label(axes, "Cash flow", "years from close", f"$ M a {signed.deal.period.removesuffix('ly')}")
    axes.legend(fontsize=7, ncols=5, frameon=False, loc="lower center", bbox_to_anchor=(0.6, 1.0))
    return figure


def debt_plot(signed: Underwriting) -> Figure:
    """Balance, liquidation value, and cover with its covenants."""
    figure, (axes, cover) = _figure((SIZE_INCHES[0], 4.6), rows=2)
    row, years = signed.waterfall, _years(signed)
    axes.fill_between(
        years, row.debt[0] / MICRO_USD_PER_MILLION, step="post", color=SKY, label="debt"
    )
    worth = signed.operations.liquidation[0] / MICRO_USD_PER_MILLION
    axes.plot(years, worth, color=RED, linestyle="--", linewidth=1.2, label="liquidation value")
    axes.set_ylim(bottom=0)
    _label(axes, "Debt and what secures it", "years from close", "$ M")
    axes.legend(fontsize=7, frameon=False)
    shown = np.where(row.dscr[0] <= COVER_SHOWN_MAX, row.dscr[0], np.nan)
    lookback = signed.deal.covenants.lookback.value
    cover.plot(years, shown, color=BLUE, linewidth=1.5, label=f"cover, {lookback:g} months")
    terms = signed.deal.covenants
    for value, name, style in (
        (terms.lock_up.value, "lock-up", "--"),
        (terms.default.value, "default", ":"),
    ):
        cover.axhline(value, color=RED, linestyle=style, linewidth=1.0, label=name)
    finite = shown[np.isfinite(shown)]
    top = float(finite.max()) * 1.1 if len(finite) else 2.0
    cover.set_ylim(0.8 * terms.default.value, max(top, 1.2 * terms.lock_up.value))
    cover.set_xlim(axes.get_xlim())
    _label(cover, "Debt service cover", "years from close", "ratio")
    cover.legend(fontsize=7, frameon=False, ncols=3)
    return figure


def _draw_fan(axes: Axes, fan: Fan, years: F64, scale: float) -> None:
    bands = np.where(np.isfinite(fan.bands), fan.bands, np.nan) / scale
    for low, high, colour, name in ((0, 4, "#CFE6F5", "P1 to P99"), (1, 3, SKY, "P10 to P90")):
        axes.fill_between(years, bands[low], bands[high], color=colour, label=name, linewidth=0)
    axes.plot(years, bands[2], color=BLUE, linewidth=1.5, label="median")


def fan_plot(signed: Underwriting, simulation: Simulation) -> Figure:
    """Price, cover and debt over time: median and percentiles of all cases."""
    figure, axes = _figure((SIZE_INCHES[0], 5.8), rows=3)
    years = _years(signed)
    for one, fan in zip(axes, simulation.fans, strict=True):
        scale, unit = (1e6, "$ M") if fan.unit == "USD" else (1.0, fan.unit)
        _draw_fan(one, fan, years, scale)
        _label(one, fan.title, "years from close", unit)
    cover = axes[1]
    cover.set_ylim(0, COVER_SHOWN_MAX * 0.75)
    cover.axhline(
        signed.deal.covenants.lock_up.value, color=RED, linestyle="--", linewidth=1.0,
        label="lock-up",
    )  # fmt: skip
    cover.set_xlim(axes[0].get_xlim())
    lines = [line for line in cover.get_lines() if line.get_label() == "lock-up"]
    cover.legend(lines, ["lock-up"], fontsize=7, frameon=False, loc="upper left")
    for one in (axes[0], axes[2]):
        one.set_ylim(bottom=0)
    axes[0].legend(fontsize=7, frameon=False, ncols=3)
    return figure


def chance_plot(signed: Underwriting, simulation: Simulation) -> Figure:
    """Share of cases in lock-up and default over time, and the spread of the owner's return."""
    figure, (axes, returns) = _figure((SIZE_INCHES[0], 4.2), rows=2)
    years = _years(signed)
    axes.plot(years, simulation.locked * 100, color=BLUE, label="lock-up", linewidth=1.5)
    axes.plot(
        years, simulation.defaulted * 100, color=RED, label="default", linestyle="--", linewidth=1.5
    )
    axes.set_ylim(bottom=0)
    _label(axes, "Cases in lock-up and default", "years from close", "percent of cases")
    axes.legend(fontsize=7, frameon=False)
    values = simulation.figures.equity_irr * 100
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = np.percentile(finite, (1, 99))
        edges = np.linspace(low - 0.5, high + 0.5, 50)
        # The last bars hold all beyond them, so that no case is lost from sight.
        returns.hist(np.clip(finite, edges[0], edges[-1]), bins=list(edges), color=SKY)
    returns.axvline(signed.figures.equity_irr[0] * 100, color="black", linewidth=1.2, label="plan")
    unsolved = len(values) - len(finite)
    none = f"; {unsolved:,} of {len(values):,} cases have none" if unsolved else ""
    _label(returns, "Return of the owner" + none, "percent a year; ends: all beyond", "cases")
    returns.legend(fontsize=7, frameon=False)
    return figure


def _draw_tornado(axes: Axes, names: Sequence[str], pairs: F64, plan: float) -> None:
    positions = np.arange(len(names))[::-1]
    start = plan if np.isfinite(plan) else 0.0
    for side, colour, hatch, label in (
        (0, SKY, "", "first value"),
        (1, ORANGE, "////", "second value"),
    ):
        change = np.where(np.isfinite(pairs[:, side]), pairs[:, side], start) - start
        axes.barh(
            positions, change, left=start, color=colour, height=0.62, label=label, hatch=hatch,
            edgecolor="white", linewidth=0.0,
        )  # fmt: skip
    axes.set_yticks(positions, list(names), fontsize=7)
    axes.axvline(start, color="black", linewidth=0.9)
    axes.grid(axis="x", color="#E5E8EA", linewidth=0.6)
    axes.grid(visible=False, axis="y")


def tornado_plot(signed: Underwriting, bars: Sequence[Bar]) -> Figure:
    """What each input does to the return, the least cover, and the loan if sized on it."""
    figure, axes = _figure((SIZE_INCHES[0], 7.2), rows=3)
    names = [bar.driver for bar in bars]
    rows = (
        ("Return of the owner, loan as signed", "percent a year", 100.0,
         [bar.equity_irr for bar in bars], float(signed.figures.equity_irr[0])),
        ("Least cover, loan as signed", "ratio", 1.0,
         [bar.dscr_min for bar in bars], float(signed.figures.dscr_min[0])),
        ("Loan, if sized on this value", "$ M", 1e-6,
         [bar.debt_usd for bar in bars], signed.loan.debt_micro_usd / 1e6),
    )  # fmt: skip
    for one, (title, unit, scale, pairs, plan) in zip(axes, rows, strict=True):
        _draw_tornado(one, names, np.array(pairs) * scale, plan * scale)
        _label(one, title, unit, "")
    axes[0].legend(fontsize=7, frameon=False, loc="lower right")
    return figure
