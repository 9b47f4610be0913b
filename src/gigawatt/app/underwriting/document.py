"""An underwriting as a document of numbers: loan, limits, figures, plan, risks, swings, inputs."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np

from gigawatt.app.underwriting.term_sheet import NOTE, input_rows, sections
from gigawatt.economics.finance.monte_carlo import PERCENTILES, Simulation
from gigawatt.economics.finance.sizing import Schedule
from gigawatt.economics.finance.tornado import Bar
from gigawatt.economics.finance.underwriting import Figures, Underwriting
from gigawatt.economics.finance.waterfall import Waterfall

PROBABILITIES = (0.5, 0.9, 0.99)

_FIGURE_NAMES = {
    "equity_irr": "equity_irr_share_per_year",
    "equity_npv_usd": "equity_npv_usd",
    "project_irr": "project_irr_share_per_year",
    "dscr_min": "dscr_min_ratio",
    "dscr_mean": "dscr_mean_ratio",
    "llcr": "llcr_ratio",
    "plcr": "plcr_ratio",
    "ltv_max": "ltv_max_ratio",
    "lock_up_periods": "lock_up_period_count",
    "loss_usd": "loss_usd",
}
"""Fields of ``Figures`` with their unit; the two flags are chances, and stand with the risks."""


def _plain(value: float) -> float | None:
    """None where there is no value: a cover without debt, a return that nobody gets."""
    return float(value) if np.isfinite(value) else None


def _schedule(schedule: Schedule) -> dict[str, Any]:
    return {
        "obligor": schedule.obligor,
        "name": schedule.name,
        "rating": schedule.rating,
        "rate_share_per_year": schedule.rate_per_year,
        "target_dscr_ratio": schedule.target,
        "debt_micro_usd": int(schedule.draws.sum()),
    }


def figures_document(figures: Figures) -> dict[str, float | None]:
    """The figures of the plan; null where there is no value."""
    return {label: _plain(getattr(figures, name)[0]) for name, label in _FIGURE_NAMES.items()}


def period_rows(signed: Underwriting) -> list[dict[str, Any]]:
    """The plan period by period from close, amounts in integer micro-USD."""
    rows: list[dict[str, Any]] = []
    for column in range(signed.deal.period_count + 1):
        row: dict[str, Any] = {"month": column * signed.deal.period_months}
        for item in fields(Waterfall):
            value = getattr(signed.waterfall, item.name)[0, column]
            if isinstance(value, np.floating):
                row[f"{item.name}_ratio"] = _plain(float(value))
            elif isinstance(value, np.bool_):
                row[f"is_{item.name}"] = bool(value)
            else:
                row[f"{item.name}_micro_usd"] = int(value)
        rows.append(row)
    return rows


def risk_document(simulation: Simulation) -> dict[str, Any]:
    """What became of all cases: chances, values reached with a probability, and percentiles."""
    figures = simulation.figures
    reached = {
        label: {f"p{100 * p:g}": _plain(simulation.exceeded(name, p)) for p in PROBABILITIES}
        for name, label in (
            ("dscr_min", "dscr_min_ratio"),
            ("equity_irr", "equity_irr_share_per_year"),
        )
    }
    return {
        "case_count": simulation.count,
        "lock_up_probability": float(figures.is_locked.mean()),
        "default_probability": float(figures.is_defaulted.mean()),
        "loss_probability": float((figures.loss_usd > 0).mean()),
        "loss_usd_mean": float(figures.loss_usd.mean()),
        "reached": reached,
        "fans": [
            {
                "title": fan.title,
                "unit": fan.unit,
                "bands": {
                    f"p{percentile:g}": [_plain(value) for value in band]
                    for percentile, band in zip(PERCENTILES, fan.bands.tolist(), strict=True)
                },
            }
            for fan in simulation.fans
        ],
        "locked_share": simulation.locked.tolist(),
        "defaulted_share": simulation.defaulted.tolist(),
    }


def _bar(bar: Bar) -> dict[str, Any]:
    return {
        "driver": bar.driver,
        "debt_usd": [_plain(value) for value in bar.debt_usd],
        "dscr_min_ratio": [_plain(value) for value in bar.dscr_min],
        "equity_irr_share_per_year": [_plain(value) for value in bar.equity_irr],
    }


def deal_document(
    signed: Underwriting, simulation: Simulation | None, bars: Sequence[Bar]
) -> dict[str, Any]:
    """Everything that the term sheet says, as values for JSON; null where there is no value."""
    loan = signed.loan
    return {
        "name": signed.deal.name,
        "note": NOTE,
        "debt_micro_usd": loan.debt_micro_usd,
        "cost_micro_usd": signed.capital.cost_micro_usd,
        "binding": loan.binding,
        "limits_usd": {limit: _plain(amount) for limit, amount in loan.limits_usd.items()},
        "llcr_ratio": _plain(loan.llcr),
        "schedules": [_schedule(schedule) for schedule in loan.schedules],
        "plan": figures_document(signed.figures),
        "periods": period_rows(signed),
        "risk": None if simulation is None else risk_document(simulation),
        "tornado": [_bar(bar) for bar in bars],
        "term_sheet": {
            section.title: dict(section.rows) for section in sections(signed, simulation)
        },
        "inputs": [asdict(row) for row in input_rows(signed.deal)],
    }
