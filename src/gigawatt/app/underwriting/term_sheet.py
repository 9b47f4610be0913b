"""What a term sheet says: sections of names and values that HTML, PDF and terminal share."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gigawatt.economics.finance.cases import I64
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.monte_carlo import Simulation
from gigawatt.economics.finance.quantity import Curve, Input, Labelled, Quantity
from gigawatt.economics.finance.sizing import Limit
from gigawatt.economics.finance.underwriting import Underwriting
from gigawatt.money import format_usd

Row = tuple[str, str]

LIMIT_NAMES: dict[Limit, str] = {
    "dscr": "debt service cover",
    "advance_rate": "advance rate",
    "ltv": "loan to value",
    "llcr": "loan life cover",
}
MILLION = 1e6
NOTE = (
    "Inputs marked illustrative were made up or never published. This is a calculation, not an "
    "offer, and no advice."
)


@dataclass(frozen=True, slots=True)
class Section:
    """A title and its rows of name and value."""

    title: str
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class InputRow:
    """One input of the deal: its field, value, unit, and source; None if illustrative."""

    field: str
    value: str
    unit: str
    source: str | None


def _percent(fraction: float, digits: int = 1) -> str:
    return "none" if np.isnan(fraction) else f"{fraction * 100:.{digits}f} %"


def _cover(value: float) -> str:
    return "no debt due" if np.isinf(value) else f"{value:.2f}x"


def _millions(amount_usd: float) -> str:
    return f"{'-' if amount_usd < 0 else ''}${abs(amount_usd) / MILLION:,.2f} M"


def _months(value: float) -> str:
    return f"{value:g} month{'' if value == 1 else 's'}"


def _parties(deal: Deal) -> Iterator[Row]:
    contract, seller = deal.revenue.offtake, deal.revenue.on_demand
    gpus, count = sum(asset.gpus.value for asset in deal.assets), len(deal.assets)
    yield "Collateral", f"{gpus:,.0f} GPUs in {count} deliver{'y' if count == 1 else 'ies'}"
    if contract is not None:
        yield (
            "Offtake",
            (
                f"{contract.tenant} ({contract.rating}): {contract.gpus.value:,.0f} GPUs at "
                f"${contract.rate.value:.2f} per GPU-hour, {contract.take_or_pay.value:g} % take "
                f"or pay, {_months(contract.term.value)}"
            ),
        )
    if seller is not None:
        yield "On demand", f"{seller.sponsor} ({seller.rating}), at market price"
    rows = input_rows(deal)
    made_up = sum(row.source is None for row in rows)
    yield "Inputs", f"{made_up} of {len(rows)} are illustrative; the report lists them"


def _loan(signed: Underwriting) -> Iterator[Row]:
    deal, terms = signed.deal, signed.deal.terms
    debt = signed.loan.debt_micro_usd
    cost = signed.capital.cost_micro_usd
    yield "Facility", f"delayed-draw term loan, {format_usd(debt, digits=0)}"
    yield "Of asset cost", f"{_percent(debt / cost)} of {format_usd(cost, digits=0)}"
    for schedule in signed.loan.schedules:
        share = int(schedule.draws.sum())
        yield (
            f"Schedule: {schedule.obligor.replace('_', ' ')}",
            (
                f"{format_usd(share, digits=0)} on the credit of {schedule.name} "
                f"({schedule.rating}), {schedule.rate_per_year * 100:.2f} % a year, sized at "
                f"{schedule.target:.2f}x"
            ),
        )
    yield "Draw window", _months(terms.draw_window.value)
    maturity = "from the end of the draw window"
    if terms.maturity == "each_draw":
        maturity = "from each draw"
    yield "Tenor", f"{_months(terms.tenor.value)} {maturity}, {terms.amortisation}, {deal.period}"
    yield "Debt service reserve", _months(deal.reserves.dsra.value)
    yield (
        "Covenants",
        (
            f"lock-up below {deal.covenants.lock_up.value:.2f}x, default below "
            f"{deal.covenants.default.value:.2f}x, over {_months(deal.covenants.lookback.value)}"
        ),
    )
    yield "Cash sweep", f"{terms.sweep.value:g} % of what could be distributed"


def _limits(signed: Underwriting) -> Iterator[Row]:
    for limit, name in LIMIT_NAMES.items():
        if limit not in signed.loan.limits_usd:
            yield f"By {name}", "not set"
            continue
        binds = "  (binds)" if limit == signed.loan.binding else ""
        amount = signed.loan.limits_usd[limit]
        yield f"By {name}", ("unlimited" if np.isinf(amount) else _millions(amount)) + binds


def _plan(signed: Underwriting) -> Iterator[Row]:
    figures, row = signed.figures, signed.waterfall
    yield "Cover, least and mean", f"{_cover(figures.dscr_min[0])}, {_cover(figures.dscr_mean[0])}"
    yield "Loan life cover, lender's case", _cover(signed.loan.llcr)
    yield (
        "Loan life and project life cover, plan",
        f"{_cover(figures.llcr[0])}, {_cover(figures.plcr[0])}",
    )
    yield "Highest loan to liquidation value", _percent(figures.ltv_max[0])
    yield "Return of the owner", f"{_percent(figures.equity_irr[0])} a year after tax"
    rate = signed.deal.equity.discount_rate.value
    yield f"Present value for the owner at {rate:g} %", _millions(figures.equity_npv_usd[0])
    yield "Return of the project", f"{_percent(figures.project_irr[0])} a year before tax and debt"
    yield "Money of the owner", format_usd(int(row.equity.sum()), digits=0)
    yield "Periods in lock-up", f"{figures.lock_up_periods[0]:.0f}"


def sources_and_uses(signed: Underwriting) -> Section:
    """What the draw window costs and who pays; both sides sum to the same micro-dollar."""
    row, end = signed.waterfall, signed.deal.window_periods + 1

    def total(flows: I64) -> int:
        return int(flows[0, :end].sum())

    kept = int((row.cash + row.dsra + row.reserve)[0, end - 1])
    costs = row.opex + row.electricity + row.replacement + row.tax
    lines = (
        ("Source: debt", total(row.draws)),
        ("Source: owner", total(row.equity)),
        ("Source: early revenue", total(row.revenue)),
        ("Use: assets", total(row.capex)),
        ("Use: fees", total(row.fees)),
        ("Use: interest", total(row.interest_paid)),
        ("Use: early costs and tax", total(costs)),
        ("Use: reserve and cash", kept),
    )
    assert sum(v for n, v in lines if n[0] == "S") == sum(v for n, v in lines if n[0] == "U")
    return Section(
        "Sources and uses until the end of the draw window",
        tuple((name, format_usd(amount)) for name, amount in lines),
    )


def _risk(simulation: Simulation) -> Iterator[Row]:
    figures = simulation.figures
    yield "Cases", f"{simulation.count:,}"
    for name, label in (("dscr_min", "Least cover"), ("equity_irr", "Return of the owner")):
        values = [simulation.exceeded(name, probability) for probability in (0.5, 0.9, 0.99)]
        shown = [
            ("none" if np.isinf(v) else _percent(v)) if name == "equity_irr" else _cover(v)
            for v in values
        ]
        yield f"{label} P50, P90, P99", ", ".join(shown)
    yield "Chance of a lock-up", _percent(float(figures.is_locked.mean()))
    yield "Chance of a default", _percent(float(figures.is_defaulted.mean()))
    yield "Chance that lenders lose", _percent(float((figures.loss_usd > 0).mean()), 2)
    yield "Mean loss of lenders", _millions(float(figures.loss_usd.mean()))


def sections(signed: Underwriting, simulation: Simulation | None) -> tuple[Section, ...]:
    """The term sheet from the top; without risks if there is no simulation."""
    found = [
        Section("Parties", tuple(_parties(signed.deal))),
        Section("Loan", tuple(_loan(signed))),
        Section("What limits the debt", tuple(_limits(signed))),
        Section("Plan", tuple(_plan(signed))),
        sources_and_uses(signed),
    ]
    if simulation is not None:
        found.append(Section("Risk under the signed loan", tuple(_risk(simulation))))
    return tuple(found)


def input_rows(deal: Deal) -> tuple[InputRow, ...]:
    """Every number that the deal was given, with its origin."""
    return tuple(_inputs("", deal))


def _inputs(path: str, value: object) -> Iterator[InputRow]:
    if isinstance(value, Labelled):
        yield InputRow(path, _shown(value), value.unit, value.source)
    elif isinstance(value, Input):
        for name in type(value).model_fields:
            yield from _inputs(f"{path}.{name}" if path else name, getattr(value, name))
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _inputs(f"{path}.{key}", inner)
    elif isinstance(value, tuple):
        for number, inner in enumerate(value):
            yield from _inputs(f"{path}[{number}]", inner)


def _shown(value: Labelled) -> str:
    if isinstance(value, Quantity):
        return f"{value.value:,g}" if value.value < MILLION else f"{value.value:,.0f}"
    if isinstance(value, Curve):
        pairs = zip(value.months, value.values, strict=True)
        return ", ".join(f"{number:g} (m{month:g})" for month, number in pairs)
    return ", ".join(f"{number:g}" for number in getattr(value, "values", ()))
