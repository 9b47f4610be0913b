"""Pictures of the economics: cost of a GPU-hour, what moves it, life, and how well we compute."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from gigawatt.app.economics_figure import LOSS, MARKERS, NEUTRAL, PALETTE, USEFUL, bare, save, sheet
from gigawatt.economics.gpu_hour.capex import CapexPreset
from gigawatt.economics.gpu_hour.cost import GpuHourCost
from gigawatt.economics.gpu_hour.sensitivity import Swing
from gigawatt.economics.life.outlook import Outlook
from gigawatt.economics.validation.judge import MISS_RATIO, Judged

SWINGS_SHOWN_MAX = 12
HATCHES = ("", "//", "", "..", "", "xx", "", "\\\\", "", "oo", "")


def write_cost_stack(costs: Sequence[GpuHourCost], title: str, source: str, path: Path) -> None:
    """Write stacked bars of the components, one bar for each view (PNG)."""
    figure = sheet(8.5, 4.2)
    axes = figure.add_axes((0.13, 0.19, 0.6, 0.68))
    left = [0.0] * len(costs)
    for number, name in enumerate(costs[0].components):
        widths = [cost.components[name] for cost in costs]
        if not any(widths):
            continue
        axes.barh(
            range(len(costs)),
            widths,
            left=left,
            height=0.55,
            color=PALETTE[number],
            hatch=HATCHES[number],
            edgecolor="white",
            linewidth=0.5,
            label=name.replace("_", " "),
        )
        left = [x + width for x, width in zip(left, widths, strict=True)]
    for row, cost in enumerate(costs):
        axes.text(left[row], row, f"  ${cost.total_usd:.3f}", va="center", fontsize=9)
    axes.set_yticks(range(len(costs)), [cost.view for cost in costs])
    axes.set_xlim(0.0, max(left) * 1.15)
    axes.set_xlabel("USD for a sold GPU-hour", fontsize=9)
    axes.set_title(title, fontsize=11, weight="bold", loc="left")
    axes.legend(fontsize=7.5, frameon=False, bbox_to_anchor=(1.01, 1.02), loc="upper left")
    bare(axes)
    save(figure, source, path)


def write_tornado(
    swings: Sequence[Swing], middle_usd: float, title: str, source: str, path: Path
) -> None:
    """Write the widest swings as a tornado (PNG)."""
    shown = list(swings)[:SWINGS_SHOWN_MAX][::-1]
    figure = sheet(8.5, 5.2)
    axes = figure.add_axes((0.3, 0.13, 0.64, 0.76))
    for row, swing in enumerate(shown):
        for cost, value, colour, hatch in (
            (swing.cost_usd_low, swing.low_value, USEFUL, ""),
            (swing.cost_usd_high, swing.high_value, LOSS, "////"),
        ):
            axes.barh(
                row, cost - middle_usd, left=middle_usd, height=0.6, color=colour, hatch=hatch,
                edgecolor="white", linewidth=0.0,
            )  # fmt: skip
            side = "right" if cost < middle_usd else "left"
            axes.annotate(
                f"{value:,.0f}" if value >= 1000 else f"{value:.3g}",
                (cost, row),
                xytext=(-3 if side == "right" else 3, 0),
                textcoords="offset points",
                ha=side,
                va="center",
                fontsize=7,
            )
    axes.axvline(middle_usd, color="black", linewidth=0.8)
    axes.set_yticks(range(len(shown)), [swing.field for swing in shown])
    ends = [c for swing in shown for c in (swing.cost_usd_low, swing.cost_usd_high)]
    reach = max(abs(cost - middle_usd) for cost in ends) * 1.25
    axes.set_xlim(middle_usd - reach, middle_usd + reach)
    axes.set_xlabel("USD for a sold GPU-hour; figures at the bars are the input", fontsize=9)
    axes.set_title(title, fontsize=11, weight="bold", loc="left")
    bare(axes)
    save(figure, f"Blue: input lower; red, hatched: input higher. {source}", path)


def write_capex(presets: Sequence[CapexPreset], source: str, path: Path) -> None:
    """Write capital for each GW, stacked by part, with its range (PNG)."""
    figure = sheet(8.5, 4.2)
    axes = figure.add_axes((0.08, 0.24, 0.88, 0.64))
    names = sorted({part.part for preset in presets for part in preset.parts})
    for column, preset in enumerate(presets):
        bottom = 0.0
        for part in preset.parts:
            middle = (part.cost_usd_per_w_low + part.cost_usd_per_w_high) / 2.0
            colour = PALETTE[names.index(part.part) * 2]
            axes.bar(column, middle, bottom=bottom, width=0.42, color=colour)
            words = f"{part.part} {part.cost_usd_per_w_low:g}"
            if part.cost_usd_per_w_high != part.cost_usd_per_w_low:
                words += f" to {part.cost_usd_per_w_high:g}"
            axes.annotate(words, (column + 0.24, bottom + middle / 2.0), fontsize=8, va="center")
            bottom += middle
        low, high = preset.total_usd_per_w
        axes.errorbar(
            column, bottom, yerr=[[bottom - low], [high - bottom]], color="black", capsize=4
        )
    labels = [f"{p.name}\nper GW of: {p.per_gw_of}" for p in presets]
    axes.set_xticks(range(len(presets)), labels, fontsize=7)
    axes.set_xlim(-0.5, len(presets) - 0.3)
    axes.set_ylabel("billion USD for each GW", fontsize=9)
    axes.set_title("Capital for each GW: the bases differ", fontsize=11, weight="bold", loc="left")
    bare(axes)
    axes.tick_params(axis="x", labelsize=6.5)
    save(figure, source, path)


def _shade(axes: Axes, ranges: Sequence[tuple[float, float]], colour: str) -> None:
    if ranges:
        low, high = zip(*ranges, strict=True)
        axes.fill_between(range(len(ranges)), low, high, color=colour, alpha=0.15, linewidth=0)


def _legend_above(axes: Axes) -> None:
    """A legend in one line above the axes, where neither line nor shade can cross it."""
    axes.legend(
        fontsize=8, frameon=False, ncols=3, loc="lower left", bbox_to_anchor=(0.0, 0.98),
        borderaxespad=0.2,
    )  # fmt: skip


def write_life(found: Outlook, title: str, source: str, path: Path) -> None:
    """Write rent against cash cost, and both curves of residual value, by year (PNG)."""
    inputs, plan = found.inputs, found.plan
    figure = sheet(8.5, 6.0)
    top = figure.add_axes((0.1, 0.55, 0.86, 0.33))
    bottom = figure.add_axes((0.1, 0.1, 0.86, 0.34), sharex=top)
    years = [year.year for year in plan]
    for words, values, marker, colour in (
        ("training rent", [inputs.rent_usd(y) for y in years], "o", USEFUL),
        ("inference rent", [inputs.inference_rent_usd(y) for y in years], "s", "#61A5C2"),
        ("cash cost", [inputs.cash_usd(y) for y in years], "x", LOSS),
    ):
        top.plot(years, values, marker=marker, markersize=4, color=colour, label=words)
    _shade(top, found.rent_usd_intervals, USEFUL)
    top.set_ylabel("USD for a GPU-hour", fontsize=9)
    top.set_ylim(bottom=0.0)
    _legend_above(top)
    top.set_title(title, fontsize=11, weight="bold", loc="left", pad=22)
    _shade(bottom, found.annuity_usd_intervals, USEFUL)
    _shade(bottom, found.liquidation_usd_intervals, LOSS)
    bottom.plot(years, [y.annuity_usd for y in plan], "o-", color=USEFUL, markersize=4,
                label="rental annuity (training)")  # fmt: skip
    bottom.plot(years, [y.liquidation_usd for y in plan], "s--", color=LOSS, markersize=4,
                label="liquidation")  # fmt: skip
    bottom.plot(years, [y.worth_usd for y in plan], "-", color="black", linewidth=1,
                label="best plan")  # fmt: skip
    for year in plan:
        bottom.annotate(year.action, (year.year, year.worth_usd), fontsize=6.5, xytext=(0, 5),
                        textcoords="offset points", ha="center")  # fmt: skip
    bottom.set_ylabel("USD for a GPU", fontsize=9)
    bottom.set_xlabel("years from now", fontsize=9)
    # Room for the word above the highest point, below the legend.
    bottom.set_ylim(0.0, 1.12 * bottom.get_ylim()[1])
    bottom.yaxis.set_major_formatter("{x:,.0f}")
    _legend_above(bottom)
    bare(top)
    bare(bottom)
    if found.annuity_usd_intervals or found.liquidation_usd_intervals:
        source = f"Shaded: 95 % of the fitted slopes. {source}"
    save(figure, source, path)


def write_parity(results: Sequence[Judged], source: str, path: Path) -> None:
    """Write computed over published by family, one point a row (PNG)."""
    shown = [r for r in results if r.computed_value is not None and r.row.value > 0]
    families = list(dict.fromkeys(r.family for r in shown))[::-1]
    figure = sheet(8.5, 5.0)
    axes = figure.add_axes((0.24, 0.15, 0.72, 0.75))
    for number, family in enumerate(families):
        ratios = sorted(r.ratio for r in shown if r.family == family)
        # Points of a family stand one above the other, in order, so that none hides another.
        heights = [number - 0.35 + 0.7 * (i + 0.5) / len(ratios) for i in range(len(ratios))]
        marker = MARKERS[number % len(MARKERS)]
        axes.plot(ratios, heights, marker, color=PALETTE[number % len(PALETTE)], markersize=3.5)
        axes.axhline(number + 0.5, color=NEUTRAL, linewidth=0.3)
    axes.axvline(1.0, color="black", linewidth=0.8)
    axes.axvspan(1.0 / MISS_RATIO, MISS_RATIO, color=NEUTRAL, alpha=0.2, linewidth=0)
    axes.set_xscale("log")
    axes.set_xticks([0.25, 0.5, 1.0, 2.0, 4.0], ["1/4", "1/2", "1", "2", "4"])
    axes.minorticks_off()
    counts = [sum(r.family == family for r in shown) for family in families]
    labels = [f"{f} ({n})" for f, n in zip(families, counts, strict=True)]
    axes.set_yticks(range(len(families)), labels)
    axes.set_xlabel("computed / published (each in the published unit)", fontsize=9)
    axes.set_title("Computed against published", fontsize=11, weight="bold", loc="left")
    bare(axes)
    save(figure, f"Grey: within a factor of {MISS_RATIO:g}. {source}", path)
