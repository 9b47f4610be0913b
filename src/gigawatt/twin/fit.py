"""Fits a profile to a trace and shows the real trace beside a generated one.

    python -m gigawatt.twin.fit TRACE.csv [--name N] [--source S] [--licence L] [--plot FIT.png]

prints the profile as TOML, then the comparison as Markdown tables.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from gigawatt.errors import GigawattError
from gigawatt.fleet.model import F64, I64
from gigawatt.twin.generator import generate_count, operational_time
from gigawatt.twin.profile import LEVELS, DurationClass, TraceProfile
from gigawatt.twin.traces import Trace, read_trace
from gigawatt.units import HOUR_S

JOBS_PER_DURATION_CLASS_MIN = 30
"""Sizes with fewer jobs share their durations with the next size. Ours: quantiles need data."""
MEMORY_MAX = 0.95
SEED_COUNT = 20
QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9, 0.99)


def _duration_classes(sizes: I64, durations: F64) -> tuple[DurationClass, ...]:
    limits: list[int] = []
    pending = 0
    for size, count in zip(*np.unique(sizes, return_counts=True), strict=True):
        pending += int(count)
        if pending >= JOBS_PER_DURATION_CLASS_MIN:
            limits.append(int(size))
            pending = 0
    # What is left over at the top is too little for a class of its own.
    limits = [*limits[:-1], int(sizes.max())]
    rows, below = [], 0
    for limit in limits:
        logs = np.log10(np.maximum(1.0, durations[(sizes > below) & (sizes <= limit)]))
        rows.append(DurationClass(limit, _rounded(np.quantile(logs, LEVELS))))
        below = limit
    return tuple(rows)


def _rounded(values: F64) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _correlation(values: F64) -> float:
    """Of every value with the next; 0 where it is not defined."""
    if len(values) < 3 or values[:-1].std() == 0 or values[1:].std() == 0:
        return 0.0
    return float(np.corrcoef(values[:-1], values[1:])[0, 1])


def fit_profile(trace: Trace, name: str, source: str, licence: str) -> TraceProfile:
    """The statistics of ``trace`` as a profile."""
    sizes, submit_s = trace.gpu_count, trace.submit_s
    values, counts = np.unique(sizes, return_counts=True)
    shares = counts / counts.sum()
    by_chance = float((shares**2).sum())
    is_same = float((sizes[1:] == sizes[:-1]).mean()) if len(sizes) > 1 else 0.0
    repeat = (is_same - by_chance) / (1 - by_chance) if by_chance < 1 else 0.0
    hours = np.bincount((submit_s // HOUR_S).astype(np.int64) % 24, minlength=24)
    # One more than counted: no hour is ruled out because it was not seen.
    weights = _rounded((hours + 1) / (hours + 1).mean())
    passed = operational_time(submit_s, weights)
    gaps = np.log10(1.0 + np.diff(passed)) if len(passed) > 1 else np.zeros(1)
    return TraceProfile(
        name=name,
        source=source,
        licence=licence,
        job_count=len(trace),
        span_s=trace.span_s,
        sizes=tuple((int(v), round(float(s), 6)) for v, s in zip(values, shares, strict=True)),
        size_repeat=round(min(1.0, max(0.0, repeat)), 4),
        durations=_duration_classes(sizes, trace.duration_s),
        hour_weights=weights,
        gap_log10=_rounded(np.quantile(gaps, LEVELS)),
        gap_memory=round(min(MEMORY_MAX, max(0.0, _correlation(gaps))), 4),
    )


def profile_toml(profile: TraceProfile) -> str:
    """The profile as a table of ``trace_profiles.toml``."""
    durations = ",\n".join(
        f"  [{row.gpu_count_max}, {list(row.duration_log10_s)}]" for row in profile.durations
    )
    return (
        f"[{json.dumps(profile.name)}]\n"
        f"source = {json.dumps(profile.source)}\n"
        f"licence = {json.dumps(profile.licence)}\n"
        f"job_count = {profile.job_count}\n"
        f"span_s = {profile.span_s!r}\n"
        f"sizes = {[list(pair) for pair in profile.sizes]}\n"
        f"size_repeat = {profile.size_repeat}\n"
        f"durations = [\n{durations},\n]\n"
        f"hour_weights = {list(profile.hour_weights)}\n"
        f"gap_log10 = {list(profile.gap_log10)}\n"
        f"gap_memory = {profile.gap_memory}\n"
    )


def ks_distance(left: F64 | I64, right: F64 | I64) -> float:
    """Largest difference of two samples' distribution functions, 0 to 1 (Kolmogorov-Smirnov)."""
    points = np.union1d(left, right)
    return float(
        np.abs(
            np.searchsorted(np.sort(left), points, side="right") / len(left)
            - np.searchsorted(np.sort(right), points, side="right") / len(right)
        ).max()
    )


def distances(real: Trace, made: Trace) -> dict[str, float]:
    """KS distances of sizes, durations, gaps and hours of the day."""
    hours = [trace.submit_s % (24 * HOUR_S) for trace in (real, made)]
    return {
        "size": ks_distance(real.gpu_count, made.gpu_count),
        "duration": ks_distance(real.duration_s, made.duration_s),
        "gap": ks_distance(np.diff(real.submit_s), np.diff(made.submit_s)),
        "hour of day": ks_distance(hours[0], hours[1]),
    }


def _sizes_of(trace: Trace) -> F64:
    return trace.gpu_count.astype(np.float64)


def _durations_of(trace: Trace) -> F64:
    return trace.duration_s


def _gaps_of(trace: Trace) -> F64:
    return np.diff(trace.submit_s)


def _gpu_h(trace: Trace, size: int) -> float:
    chosen = trace.gpu_count == size
    return float(trace.duration_s[chosen].sum() * size / HOUR_S)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---:" if number else "---" for number in range(len(head))]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, rule, *rows))


def comparison(real: Trace, generated: Sequence[Trace]) -> str:
    """Markdown: the real trace beside the first generated one; distances also as mean of all."""
    made = generated[0]
    head = ["", *(f"{100 * q:g} %" for q in QUANTILES)]
    rows = [
        [f"{what}, {who} (s)", *(f"{v:,.0f}" for v in np.quantile(values, QUANTILES))]
        for what, pick in (("duration", _durations_of), ("gap between submissions", _gaps_of))
        for who, values in (("real", pick(real)), ("generated", pick(made)))
    ]
    total = [max(1e-9, float((t.gpu_count * t.duration_s).sum()) / HOUR_S) for t in (real, made)]
    sizes = np.union1d(real.gpu_count, made.gpu_count).tolist()
    by_size = [
        [
            f"{size} GPUs",
            *(f"{100 * float((t.gpu_count == size).mean()):.1f}" for t in (real, made)),
            *(f"{100 * _gpu_h(t, size) / s:.1f}" for t, s in zip((real, made), total, strict=True)),
        ]
        for size in sizes
    ]
    measured = [distances(real, trace) for trace in generated]
    marks = [
        [name, f"{value:.3f}", f"{sum(row[name] for row in measured) / len(measured):.3f}"]
        for name, value in measured[0].items()
    ]
    return "\n".join(
        (
            _table(
                ["", "jobs", "days", "GPU-hours"],
                [
                    [who, f"{len(t):,}", f"{t.span_s / 86_400:.1f}", f"{gpu_h:,.0f}"]
                    for who, t, gpu_h in zip(
                        ("real", "generated"), (real, made), total, strict=True
                    )
                ],
            ),
            _table(head, rows),
            _table(
                ["", "jobs, real (%)", "generated (%)", "GPU-hours, real (%)", "generated (%)"],
                by_size,
            ),
            _table(["KS distance of", "this one", f"mean of {len(generated)} seeds"], marks),
        )
    )


def plot_fit(real: Trace, made: Trace, path: Path) -> None:
    """Draw distribution functions of sizes, durations and gaps, and the day's rhythm, as PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: PLC0415 - slow to import
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2)
    panels = (
        ("GPUs of a job", _sizes_of),
        ("duration (s)", _durations_of),
        ("gap between submissions (s)", _gaps_of),
    )
    for axis, (label, pick) in zip(axes.flat, panels, strict=False):
        for name, trace, style in (("real", real, "-"), ("generated", made, "--")):
            axis.ecdf(np.maximum(1, pick(trace)), label=name, linestyle=style)
        axis.set(xscale="log", xlabel=label, ylabel="share of jobs")
        axis.legend()
    for name, trace, style in (("real", real, "-"), ("generated", made, "--")):
        hours = np.bincount((trace.submit_s // HOUR_S).astype(np.int64) % 24, minlength=24)
        axes[1, 1].stairs(hours / len(trace), np.arange(25), label=name, linestyle=style)
    axes[1, 1].set(xlabel="hour since the trace began (mod 24)", ylabel="share of submissions")
    axes[1, 1].legend()
    figure.suptitle(f"{real.name}: {len(real):,} real jobs, {len(made):,} generated")
    figure.savefig(path, format="png", dpi=110)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, print and draw; 0, or the exit code of the error that stopped it."""
    parser = argparse.ArgumentParser(prog="python -m gigawatt.twin.fit", description=__doc__)
    parser.add_argument("trace", type=Path)
    parser.add_argument("--name", default=None)
    parser.add_argument("--source", default="not stated")
    parser.add_argument("--licence", default="not stated")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, default=None)
    given = parser.parse_args(arguments)
    try:
        real = read_trace(given.trace)
        profile = fit_profile(real, given.name or real.name, given.source, given.licence)
        generated = [
            generate_count(profile, seed, real.span_s, len(real))
            for seed in range(given.seed, given.seed + SEED_COUNT)
        ]
    except GigawattError as error:
        sys.stderr.write(f"{error}\n{error.next_step}\n")
        return error.exit_code
    sys.stdout.write(f"{profile_toml(profile)}\n{comparison(real, generated)}")
    if given.plot is not None:
        plot_fit(real, generated[0], given.plot)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
