"""Policies against each other: the same demand and the same failures, seed by seed."""

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from io import StringIO

import numpy as np

from gigawatt.app.market.utilisation import worth_of
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.errors import InputError
from gigawatt.fleet.model import F64, Fleet
from gigawatt.twin.market.demand import market_workload
from gigawatt.twin.market.figures import FIGURES, Figure, figures_of
from gigawatt.twin.market.judge import judge
from gigawatt.twin.market.replay import replay_market
from gigawatt.twin.market.settings import MarketPolicy, MarketSettings
from gigawatt.twin.traces import Trace
from gigawatt.twin.workload import Workload
from gigawatt.units import DAY_S

RESAMPLE_COUNT = 10_000
LEVEL = 0.95
"""Of the intervals, two-sided."""
COMPARED_WITH = {
    "spot_fill": "on_demand",
    "backfill_spot": "spot_fill",
    "spread_spot": "backfill_spot",
    "reserved_spot": "backfill_spot",
    "sell_back": "reserved_spot",
}
"""The policy from which each differs in one thing."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean over seeds, and the ends of its interval."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """Figures of policies by seed.

    Fields:
        source, gpu_count, days, load: what was replayed; load is the mean over seeds.
        seeds: of chance, in order.
        figures: by policy and figure, float64[S], one value a seed.
        job_count: jobs of all replays of one policy.
    """

    source: str
    gpu_count: int
    days: float
    load: float
    seeds: tuple[int, ...]
    figures: Mapping[str, Mapping[str, F64]]
    job_count: int


def bootstrap(values: F64) -> Estimate:
    """Mean of some values and its percentile bootstrap interval, NaN left out.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3. With few
    values the interval is too narrow rather than too wide.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return Estimate(float("nan"), float("nan"), float("nan"))
    random = np.random.default_rng(len(known))
    means = random.choice(known, (RESAMPLE_COUNT, len(known))).mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]).tolist()
    return Estimate(float(known.mean()), low, high)


def compare(
    fleet: Fleet,
    draw: Callable[[int], Workload],
    policies: Sequence[MarketPolicy],
    seeds: Sequence[int],
    base: MarketSettings,
    told: Callable[[str], None] = lambda _: None,
) -> Comparison:
    """Replay every policy with every seed, each judged.

    Args:
        fleet: what is sold.
        draw: workload of a seed, the same for every policy.
        policies: what is compared.
        seeds: of workload, mix and failures.
        base: settings of all; policy and seed are replaced.
        told: hears what is done.

    Raises:
        InputError: no policy or seed, or one that is there twice.
        DataError: two ways to the same number differ in some replay.
    """
    names = [policy.name for policy in policies]
    if not names or not seeds or len({*names}) < len(names) or len({*seeds}) < len(seeds):
        raise InputError(f"policies {names} and seeds {list(seeds)}: wanted one or more, once each")
    rows: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    workloads: list[Workload] = []
    for seed in seeds:
        workload = draw(seed)
        workloads.append(workload)
        for policy in policies:
            settings = replace(base, policy=policy, seed=seed)
            rows[policy.name].append(judged_figures(fleet, workload, settings))
            told(f"seed {seed}, {policy.name}")
    figures = {
        name: {key: np.array([row[key] for row in found]) for key in FIGURES}
        for name, found in rows.items()
    }
    return Comparison(
        source=workloads[0].source,
        gpu_count=fleet.gpu_count,
        days=workloads[0].trace.span_s / DAY_S,
        load=float(np.mean([workload.load for workload in workloads])),
        seeds=tuple(seeds),
        figures=figures,
        job_count=sum(len(workload.trace) for workload in workloads),
    )


def judged_figures(fleet: Fleet, workload: Workload, settings: MarketSettings) -> dict[str, float]:
    """Figures of one replay that was judged.

    Raises:
        DataError: two ways to the same number differ.
    """
    log = StringIO()
    outcome = replay_market(fleet, workload, settings, stream=log)
    log.seek(0)
    judge(outcome, log)
    return figures_of(outcome, worth_of(outcome.prices.on_demand, CostInputs()))


def drawing(trace: Trace, gpu_count: int, span_s: float, load: float) -> Callable[[int], Workload]:
    """Workloads of a trace by seed."""
    return lambda seed: market_workload(trace, gpu_count, span_s, load, seed)


def to_csv(comparison: Comparison) -> str:
    """One line a policy and seed, every figure in its unit."""
    text = StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["policy", "seed", *FIGURES])
    for name, figures in comparison.figures.items():
        for place, seed in enumerate(comparison.seeds):
            writer.writerow([name, seed, *(f"{figures[key][place]:.9g}" for key in FIGURES)])
    return text.getvalue()


def to_markdown(comparison: Comparison) -> str:
    """Two tables: every policy's means with intervals, and each against the one it differs from."""
    names = list(comparison.figures)
    level = f"{100 * LEVEL:.0f} %"
    seeds = ", ".join(map(str, comparison.seeds))
    what = (
        f"{comparison.source.partition(':')[0]}: {comparison.gpu_count:,} GPUs, "
        f"{comparison.days:g} days, offered load {100 * comparison.load:.1f} %, seeds {seeds}; "
        f"{comparison.job_count:,} jobs for each policy."
    )
    lines = [
        what,
        f"Mean over seeds [{level} bootstrap interval].",
        "",
        *_table(names, comparison.figures, is_difference=False),
    ]
    pairs = {n: COMPARED_WITH[n] for n in names if COMPARED_WITH.get(n) in names}
    if pairs:
        against = {
            f"{name} - {other}": {
                key: comparison.figures[name][key] - comparison.figures[other][key]
                for key in FIGURES
            }
            for name, other in pairs.items()
        }
        lines += [
            "",
            f"Difference by seed, mean [{level} interval]; bold where the interval leaves out 0.",
            "",
            *_table(list(against), against, is_difference=True),
        ]
    return "\n".join(lines) + "\n"


def _table(
    names: Sequence[str], columns: Mapping[str, Mapping[str, F64]], *, is_difference: bool
) -> Iterable[str]:
    yield f"| | {' | '.join(names)} |"
    yield f"| --- |{' ---: |' * len(names)}"
    for key, figure in FIGURES.items():
        rows = [columns[name][key] for name in names]
        cells = [_cell(row, figure, is_difference=is_difference) for row in rows]
        yield f"| {figure.title} | {' | '.join(cells)} |"


def _cell(values: F64, figure: Figure, *, is_difference: bool) -> str:
    found, digits = bootstrap(values * figure.factor), figure.digits
    if np.isnan(found.mean):
        return "-"
    sign = "+" if is_difference else ""
    text = f"{found.mean:{sign},.{digits}f} [{found.low:,.{digits}f}, {found.high:,.{digits}f}]"
    is_clear = is_difference and (found.low > 0 or found.high < 0)
    return f"**{text}**" if is_clear else text
