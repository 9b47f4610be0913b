"""One input at a time: what its low and its high do to debt, cover and return."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from gigawatt.economics.finance.capital import capital_of
from gigawatt.economics.finance.cases import Cases, calm
from gigawatt.economics.finance.operations import operate
from gigawatt.economics.finance.sizing import Loan, size_loan
from gigawatt.economics.finance.underwriting import Underwriting, play
from gigawatt.money import MICRO_USD_PER_USD


@dataclass(frozen=True, slots=True)
class Bar:
    """One input between its low and its high; pairs are (low, high).

    Fields:
        driver: the input and how far it moves.
        debt_usd: the loan if lenders had sized it on this value; late delivery and default come
            after signing and leave it as it is.
        dscr_min, equity_irr: under the signed loan, with this value afterwards.
    """

    driver: str
    debt_usd: tuple[float, float]
    dscr_min: tuple[float, float]
    equity_irr: tuple[float, float]


def _drivers(plan: Cases) -> Iterator[tuple[str, Cases, Cases]]:
    def ratio(name: str, low: float, high: float) -> tuple[Cases, Cases]:
        shape = getattr(plan, name).shape
        made = [replace(plan, **{name: np.full(shape, value)}) for value in (low, high)]
        return made[0], made[1]

    yield "on-demand price -30 / +30 %", *ratio("price_ratio", 0.7, 1.3)
    yield "utilisation, odds x 0.5 / x 2", *ratio("utilisation_odds", 0.5, 2.0)
    yield "opex -20 / +20 %", *ratio("opex_ratio", 0.8, 1.2)
    yield "asset cost -10 / +10 %", *ratio("capex_ratio", 0.9, 1.1)
    yield "residual value -50 / +50 %", *ratio("residual_ratio", 0.5, 1.5)
    yield "base rate -1 / +1 point", *ratio("base_rate_shift", -0.01, 0.01)
    late = replace(plan, delay_months=np.full(1, 6, dtype=np.int64))
    yield "delivery on time / 6 months late", plan, late
    gone = replace(plan, default_month=np.full(1, 24, dtype=np.int64))
    yield "offtaker pays / defaults in month 24", plan, gone


def _resized(signed: Underwriting, cases: Cases) -> Loan:
    """The loan on the one case of ``cases``, as known before signing."""
    deal = signed.deal
    plan = calm()
    shift = float(cases.base_rate_shift[0]) * 100.0
    rate = deal.terms.base_rate.value + shift
    ratio = float(cases.capex_ratio[0])
    base_rate = deal.terms.base_rate.model_copy(update={"value": rate})
    assets = tuple(
        asset.model_copy(
            update={"cost": asset.cost.model_copy(update={"value": asset.cost.value * ratio})}
        )
        for asset in deal.assets
    )
    terms = deal.terms.model_copy(update={"base_rate": base_rate})
    restated = deal.model_copy(update={"terms": terms, "assets": assets})
    known = replace(cases, delay_months=plan.delay_months, default_month=plan.default_month)
    return size_loan(restated, operate(restated, known), capital_of(restated))


def tornado(signed: Underwriting) -> tuple[Bar, ...]:
    """One bar a driver, widest change of the owner's return first."""
    bars = []
    for driver, low, high in _drivers(calm()):
        after = [play(signed, cases).figures for cases in (low, high)]
        sized = [_resized(signed, cases).debt_micro_usd for cases in (low, high)]
        bars.append(
            Bar(
                driver=driver,
                debt_usd=(sized[0] / MICRO_USD_PER_USD, sized[1] / MICRO_USD_PER_USD),
                dscr_min=(float(after[0].dscr_min[0]), float(after[1].dscr_min[0])),
                equity_irr=(float(after[0].equity_irr[0]), float(after[1].equity_irr[0])),
            )
        )

    def width(bar: Bar) -> float:
        values = np.nan_to_num(np.array(bar.equity_irr), nan=-1.0)
        return float(-abs(values[1] - values[0]))

    return tuple(sorted(bars, key=lambda bar: (width(bar), bar.driver)))
