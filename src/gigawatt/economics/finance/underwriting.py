"""A deal underwritten: its loan, its waterfall as planned, and the figures of a term sheet."""

from dataclasses import dataclass

import numpy as np

from gigawatt.economics.finance.amortise import present_value
from gigawatt.economics.finance.capital import Capital, capital_of
from gigawatt.economics.finance.cases import F64, Cases, calm
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.operations import MONTHS_PER_YEAR, Operations, operate
from gigawatt.economics.finance.returns import irr, npv, per_year
from gigawatt.economics.finance.sizing import Loan, size_loan
from gigawatt.economics.finance.waterfall import Waterfall, run_waterfall
from gigawatt.money import MICRO_USD_PER_USD


@dataclass(frozen=True, slots=True)
class Figures:
    """What a committee reads, float64[n] each; fractions, not percent.

    Fields:
        equity_irr: a year, effective, after tax; nan if the owner never gets or never pays.
        equity_npv_usd: at the owner's discount rate.
        project_irr: a year, before tax and debt, with the residual.
        dscr_min: least cover of a single period in which debt service is due.
        dscr_mean: all cash flow over all debt service while it is due.
        llcr: value of cash flow until the last scheduled payment over debt, both when the draw
            window ends, at the loan's mean rate.
        plcr: the same with all cash flow until the horizon.
        ltv_max: highest balance over liquidation value after the draw window.
        lock_up_periods: periods in which nothing could be distributed.
        is_locked, is_defaulted: whether that ever happened, 0 or 1.
        loss_usd: what lenders do not get back.
    """

    equity_irr: F64
    equity_npv_usd: F64
    project_irr: F64
    dscr_min: F64
    dscr_mean: F64
    llcr: F64
    plcr: F64
    ltv_max: F64
    lock_up_periods: F64
    is_locked: F64
    is_defaulted: F64
    loss_usd: F64


@dataclass(frozen=True, slots=True)
class Underwriting:
    """A deal with its loan and the plan.

    Fields:
        deal: what was asked.
        capital: what the assets cost.
        loan: what was signed.
        operations, waterfall: the plan, one case.
        figures: of the plan.
    """

    deal: Deal
    capital: Capital
    loan: Loan
    operations: Operations
    waterfall: Waterfall
    figures: Figures


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of cases under a signed loan."""

    operations: Operations
    waterfall: Waterfall
    figures: Figures


def underwrite(deal: Deal) -> Underwriting:
    """Size the loan on the plan and run it."""
    plan = calm()
    operations = operate(deal, plan)
    capital = capital_of(deal)
    loan = size_loan(deal, operations, capital)
    waterfall = run_waterfall(deal, capital, loan, operations, plan)
    figures = _figures(deal, loan, operations, waterfall)
    return Underwriting(deal, capital, loan, operations, waterfall, figures)


def play(signed: Underwriting, cases: Cases) -> Outcome:
    """What becomes of ``cases`` when the loan is already signed."""
    deal = signed.deal
    operations = operate(deal, cases)
    waterfall = run_waterfall(deal, signed.capital, signed.loan, operations, cases)
    return Outcome(operations, waterfall, _figures(deal, signed.loan, operations, waterfall))


def _mean_rate(deal: Deal, loan: Loan) -> float:
    """The rate of a period, weighted by debt."""
    debt = loan.debt_micro_usd
    if not debt:
        return 0.0
    total = sum(int(s.draws.sum()) * s.rate_per_year for s in loan.schedules) / debt
    return total * deal.period_months / MONTHS_PER_YEAR


def _ratio(top: F64, bottom: F64) -> F64:
    """``top / bottom``; infinite where the bottom is 0."""
    safe = np.where(bottom > 0, bottom, 1.0)
    return np.where(bottom > 0, top / safe, np.inf)


def _covers(deal: Deal, loan: Loan, waterfall: Waterfall) -> tuple[F64, F64]:
    """LLCR and PLCR of the cases."""
    first = deal.window_periods + 1
    last = first + int(deal.terms.tenor.value) // deal.period_months
    rate = _mean_rate(deal, loan)
    debt = waterfall.debt[:, first - 1].astype(np.float64)
    flows = waterfall.cfads.astype(np.float64)
    loan_life = np.array([present_value(row[first:last], rate) for row in flows])
    project_life = np.array([present_value(row[first:], rate) for row in flows])
    return _ratio(loan_life, debt), _ratio(project_life, debt)


def _figures(deal: Deal, loan: Loan, operations: Operations, waterfall: Waterfall) -> Figures:
    first = deal.window_periods + 1
    per_annum = MONTHS_PER_YEAR // deal.period_months
    to_owner = (waterfall.distribution - waterfall.equity) / MICRO_USD_PER_USD
    spent = waterfall.opex + waterfall.electricity + waterfall.replacement + waterfall.capex
    earned = waterfall.revenue + waterfall.sale + waterfall.residual - spent
    service = waterfall.service[:, first:].astype(np.float64)
    cfads = waterfall.cfads[:, first:].astype(np.float64)
    due = service > 0
    worth = operations.liquidation[:, first - 1 :].astype(np.float64)
    debt = waterfall.debt[:, first - 1 :].astype(np.float64)
    loan_to_value = np.where(debt > 0, _ratio(debt, worth), 0.0)
    llcr, plcr = _covers(deal, loan, waterfall)
    discount = (1.0 + deal.equity.discount_rate.value / 100.0) ** (1.0 / per_annum) - 1.0
    return Figures(
        equity_irr=per_year(irr(to_owner), per_annum),
        equity_npv_usd=npv(to_owner, discount),
        project_irr=per_year(irr(earned / MICRO_USD_PER_USD), per_annum),
        dscr_min=np.min(_ratio(cfads, service), axis=1),
        dscr_mean=_ratio((cfads * due).sum(axis=1), service.sum(axis=1)),
        llcr=llcr,
        plcr=plcr,
        ltv_max=np.max(loan_to_value, axis=1),
        lock_up_periods=waterfall.locked.sum(axis=1).astype(np.float64),
        is_locked=np.max(waterfall.locked.astype(np.float64), axis=1),
        is_defaulted=np.max(waterfall.defaulted.astype(np.float64), axis=1),
        loss_usd=waterfall.debt[:, -1] / MICRO_USD_PER_USD,
    )
