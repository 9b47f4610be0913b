"""The figures by which policies are compared, of one market replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from gigawatt.intent.term import Term
from gigawatt.market.utilisation import GpuState, Worth
from gigawatt.money import MICRO_USD_PER_USD
from gigawatt.twin.market.judge import total_row
from gigawatt.twin.market.replay import MarketOutcome


@dataclass(frozen=True, slots=True)
class Figure:
    """How a figure is shown: its title with unit, factor and decimals."""

    title: str
    factor: float = 1.0
    digits: int = 1


FIGURES: Mapping[str, Figure] = MappingProxyType({
    "used_share": Figure("used (%)", 100.0),
    "paid_share": Figure("paid for (%)", 100.0),
    "dollar_share": Figure("of list revenue (%)", 100.0),
    "revenue_usd_per_gpu_hour": Figure("revenue (USD per GPU-hour)", digits=3),
    "margin_usd_per_gpu_hour": Figure("less full cost (USD per GPU-hour)", digits=3),
    "point_usd_per_day": Figure("one more point (USD a day)", digits=0),
    "stranded_share": Figure("stranded (%)", 100.0, 2),
    "spread_ratio": Figure("leaf groups over fewest", digits=2),
    "wait_on_demand_s_p50": Figure("wait on demand p50 (min)", 1 / 60),
    "wait_on_demand_s_p95": Figure("wait on demand p95 (min)", 1 / 60),
    "wait_reserved_s_p50": Figure("wait reserved p50 (min)", 1 / 60),
    "wait_reserved_s_p95": Figure("wait reserved p95 (min)", 1 / 60),
    "wait_spot_s_p50": Figure("wait spot p50 (min)", 1 / 60),
    "wait_spot_s_p95": Figure("wait spot p95 (min)", 1 / 60),
    "preemption_count": Figure("preemptions", digits=0),
    "lost_share": Figure("used, then lost (%)", 100.0, 2),
    "turned_away_share": Figure("work turned away (%)", 100.0),
    "spot_price_usd": Figure("mean spot price (USD)", digits=2),
})  # fmt: skip
"""What is shown of each; times in minutes, shares in percent."""


def figures_of(outcome: MarketOutcome, worth: Worth) -> dict[str, float]:
    """Every figure of a replay; NaN where there is nothing to measure.

    A job that waited to the end counts with the wait until then.
    """
    row, metrics = total_row(outcome, worth), outcome.metrics
    used_gpu_s = row.used_share * row.capacity_gpu_ms / 1000
    asked = sum(job.duration_s * job.gpu_count for job in outcome.workload.trace.jobs)
    lost_gpu_s = metrics.preempted_gpu_s + metrics.failed_gpu_s
    found = {
        "used_share": row.used_share,
        "paid_share": row.paid_share,
        "dollar_share": row.dollar_share,
        "revenue_usd_per_gpu_hour": row.revenue_usd_per_gpu_hour,
        "margin_usd_per_gpu_hour": row.revenue_usd_per_gpu_hour - row.cost_usd_per_gpu_hour,
        "point_usd_per_day": row.point_usd / (outcome.span_ms / 86_400_000),
        "stranded_share": row.gpu_ms[GpuState.STRANDED] / row.capacity_gpu_ms,
        "spread_ratio": _mean(metrics.spreads),
        "preemption_count": float(metrics.preemption_count),
        "lost_share": lost_gpu_s / used_gpu_s if used_gpu_s else float("nan"),
        "turned_away_share": metrics.turned_away_gpu_s / asked if asked else 0.0,
        "spot_price_usd": _mean(metrics.round_prices) / MICRO_USD_PER_USD,
    }
    for term in Term:
        waits = [wait.wait_s for wait in metrics.waits if wait.term is term]
        for percent in (50, 95):
            value = float(np.percentile(waits, percent)) if waits else float("nan")
            found[f"wait_{term.value}_s_p{percent}"] = value
    return {name: found[name] for name in FIGURES}


def _mean(values: list[float] | list[int]) -> float:
    return float(np.mean(values)) if values else float("nan")
