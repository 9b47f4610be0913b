"""Who is paid when, period by period, for many cases at once, in whole micro-dollars.

Order of a period after the draw window: costs and taxes, interest, principal, debt service reserve,
replacement reserve, costs that are late, lock-up test, cash sweep, distribution. A shortfall of
debt service is taken from the debt service reserve; interest that is still unpaid joins the
balance, principal that is unpaid stays due. A default lasts until cover is back and nothing is
overdue; meanwhile everything goes to lenders. Sweeps shorten the loan: they take the last principal
first.

During the draw window, draws and the owner's money pay for assets, fees, interest and the reserve;
what early assets earn comes first and lowers what the owner pays.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gigawatt.economics.finance.capital import Capital
from gigawatt.economics.finance.cases import F64, I64, Cases
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.operations import MONTHS_PER_YEAR, Operations
from gigawatt.economics.finance.sizing import Loan
from gigawatt.economics.finance.taxes import tax_due

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Waterfall:
    """Rows of shape [n, T+1], int64 micro-dollars unless said otherwise; flows are not negative.

    Fields:
        revenue, sale, residual: earned; for assets retired on the way; at the horizon.
        opex, electricity, replacement, tax: due. What was not paid stands in ``payables``.
        capex, fees, draws, equity: of the draw window.
        interest_due, interest_paid, principal_due, principal_paid, sweep: to lenders.
        recovered: paid to lenders out of what is left at the horizon.
        distribution: to the owner.
        cash, dsra, reserve, payables: balances at the end of the period.
        debt: int64[n, T+1]: balance of all schedules; what it is at the horizon is lost.
        cfads: revenue less opex, electricity, replacement and tax, without sales and their tax.
        service: interest and scheduled principal, the denominator of the cover.
        dscr: float64: cover of the look-back months; infinite where nothing was due.
        locked, defaulted: bool: what the tests at the end of the period said.
    """

    revenue: I64
    sale: I64
    residual: I64
    opex: I64
    electricity: I64
    replacement: I64
    tax: I64
    capex: I64
    fees: I64
    draws: I64
    equity: I64
    interest_due: I64
    interest_paid: I64
    principal_due: I64
    principal_paid: I64
    sweep: I64
    recovered: I64
    distribution: I64
    cash: I64
    dsra: I64
    reserve: I64
    payables: I64
    debt: I64
    cfads: I64
    service: I64
    dscr: F64
    locked: Flags
    defaulted: Flags


_KINDS = {"dscr": np.float64, "locked": np.bool_, "defaulted": np.bool_}


def split(paid: I64, due: I64) -> I64:
    """int64[J, n]: ``paid`` shared out in proportion to ``due`` [J, n], none more than its due."""
    total = due.sum(axis=0)
    parts = np.zeros_like(due)
    left = paid.copy()
    owed = total.copy()
    for row in range(len(due)):
        owed = owed - due[row]
        share = np.rint(paid * (due[row] / np.maximum(total, 1))).astype(np.int64)
        parts[row] = np.minimum(np.clip(share, left - owed, due[row]), left)
        left = left - parts[row]
    return parts


class _Run:
    """The state of all cases while the columns go by."""

    def __init__(
        self, deal: Deal, capital: Capital, loan: Loan, operations: Operations, cases: Cases
    ) -> None:
        self.deal, self.capital, self.loan, self.operations = deal, capital, loan, operations
        self.columns, self.window = deal.period_count + 1, deal.window_periods
        shape = (cases.count, self.columns)
        self.rows: dict[str, Any] = {
            item.name: np.zeros(shape, _KINDS.get(item.name, np.int64))
            for item in fields(Waterfall)
        }
        self.revenue = operations.revenue
        capex = np.rint(capital.capex * cases.capex_ratio[:, None]).astype(np.int64)
        self.rows["capex"][:] = capex
        self.draws = np.array([schedule.draws for schedule in loan.schedules], np.int64)
        self.principal = np.array([schedule.principal for schedule in loan.schedules], np.int64)
        last = [int(np.max(np.nonzero(row)[0], initial=0)) for row in self.principal]
        self.maturity = np.array(last)[:, None]
        rates = np.array([[schedule.rate_per_year] for schedule in loan.schedules])
        self.rates = (rates + cases.base_rate_shift) * deal.period_months / MONTHS_PER_YEAR
        self.balances = np.zeros((len(loan.schedules), cases.count), np.int64)
        self.arrears = np.zeros_like(self.balances)
        self.cash, self.dsra, self.reserve, self.payables, self.losses = (
            np.zeros(cases.count, np.int64) for _ in range(5)
        )
        self.in_default = np.zeros(cases.count, np.bool_)
        self.lookback = int(deal.covenants.lookback.value) // deal.period_months
        self.ahead = int(deal.reserves.replacement_ahead.value) // deal.period_months
        self.sweep_share = deal.terms.sweep.value / 100.0

    def put(self, column: int, **values: I64 | F64 | Flags) -> None:
        for name, value in values.items():
            self.rows[name][:, column] = value

    def earn(self, column: int) -> I64:
        """Revenue in, interest and tax accrued; the result is interest due [J, n]."""
        at = self.operations
        opex, electricity, replacement = (
            row[:, column] for row in (at.opex, at.electricity, at.replacement)
        )
        revenue, sale = self.revenue[:, column], at.sale[:, column]
        interest = np.rint(self.balances * self.rates).astype(np.int64)
        fees = self.loan.fees[column]
        running = revenue - opex - electricity - replacement
        profit = running + sale - interest.sum(axis=0) - fees
        profit = profit - self.capital.tax_depreciation[column]
        running_tax, _ = tax_due(self.deal.taxes, profit - sale, self.losses)
        tax, self.losses = tax_due(self.deal.taxes, profit, self.losses)
        from_reserve = np.minimum(self.reserve, replacement)
        self.reserve = self.reserve - from_reserve
        self.cash = self.cash + revenue + sale + from_reserve
        self.payables = self.payables + opex + electricity + replacement + tax
        self.put(
            column,
            revenue=revenue,
            sale=sale,
            opex=opex,
            electricity=electricity,
            fees=fees,
            tax=tax,
        )
        self.put(column, replacement=replacement, cfads=running - running_tax)
        return interest

    def fund(self, column: int, interest: I64) -> None:
        """Draws and the owner's money for what the draw window costs."""
        draw = np.full(len(self.cash), self.draws[:, column].sum())
        paid = self.rows["capex"][:, column] + self.loan.fees[column]
        need = paid + self.payables + interest.sum(axis=0) + self.loan.dsra_target[column]
        equity = np.maximum(need - self.cash - self.dsra - draw, 0)
        self.balances = self.balances + self.draws[:, column][:, None]
        self.cash = self.cash + draw + equity - paid
        self.put(column, draws=draw, equity=equity)

    def pay_costs(self) -> None:
        paid = np.minimum(self.payables, self.cash)
        self.payables = self.payables - paid
        self.cash = self.cash - paid

    def pay_lenders(self, due: I64) -> I64:
        """``due`` [J, n] paid from cash, then from the debt service reserve; the result is paid."""
        paid = np.minimum(due.sum(axis=0), self.cash + self.dsra)
        from_cash = np.minimum(paid, self.cash)
        self.cash = self.cash - from_cash
        self.dsra = self.dsra - (paid - from_cash)
        return split(paid, due)

    def serve(self, column: int, interest: I64) -> Flags:
        """Interest, then principal; the result tells where something due was not paid."""
        interest_paid = self.pay_lenders(interest)
        self.balances = self.balances + interest - interest_paid
        scheduled = np.minimum(self.balances, self.principal[:, column][:, None])
        wanted = np.minimum(self.balances, scheduled + self.arrears)
        due = np.where(column >= self.maturity, self.balances, wanted)
        if column <= self.window:
            due = np.zeros_like(due)
        paid = self.pay_lenders(due)
        self.balances = self.balances - paid
        self.arrears = due - paid
        total, total_paid = interest.sum(axis=0), interest_paid.sum(axis=0)
        self.put(column, interest_due=total, interest_paid=total_paid)
        self.put(column, principal_due=due.sum(axis=0), principal_paid=paid.sum(axis=0))
        self.put(column, service=total + scheduled.sum(axis=0))
        return np.asarray((total_paid < total) | (self.arrears.sum(axis=0) > 0))

    def reserves(self, column: int) -> Flags:
        """Both reserves brought to their targets; the result tells where the first is short."""
        is_last = column == self.columns - 1
        owed = self.balances.sum(axis=0) > 0
        target = np.where(owed & (not is_last), self.loan.dsra_target[column], 0)
        self.dsra = self._refill(self.dsra, target)
        ahead = self.operations.replacement[:, column + 1 : column + 1 + self.ahead].sum(axis=1)
        self.reserve = self._refill(self.reserve, ahead if column > self.window else ahead * 0)
        return np.asarray(self.dsra < target)

    def _refill(self, reserve: I64, target: I64) -> I64:
        change = np.clip(target - reserve, -reserve, self.cash)
        self.cash = self.cash - change
        return np.asarray(reserve + change)

    def test(self, column: int, *, missed: Flags, short: Flags) -> Flags:
        """Cover and covenants; the result tells where nothing may be distributed."""
        first = max(self.window + 1, column - self.lookback + 1)
        cfads = self.rows["cfads"][:, first : column + 1].sum(axis=1)
        service = self.rows["service"][:, first : column + 1].sum(axis=1)
        dscr = np.where(service > 0, cfads / np.maximum(service, 1), np.inf)
        owed = self.balances.sum(axis=0) > 0
        terms = self.deal.covenants
        failed = missed | (owed & (dscr < terms.default.value))
        self.in_default = failed
        locked = owed & ((dscr < terms.lock_up.value) | short) | self.in_default
        self.put(column, dscr=dscr, locked=locked, defaulted=self.in_default)
        return np.asarray(locked)

    def distribute(self, column: int, locked: Flags) -> None:
        """The cash sweep, then what the owner gets."""
        balance = self.balances.sum(axis=0)
        free = np.rint(self.cash * self.sweep_share).astype(np.int64)
        sweep = np.where(self.in_default, self.cash, np.where(locked, 0, free))
        sweep = np.minimum(sweep, balance)
        self.balances = self.balances - split(sweep, self.balances)
        self.cash = self.cash - sweep
        distribution = np.where(locked, 0, self.cash)
        self.cash = self.cash - distribution
        self.put(column, sweep=sweep, distribution=distribution)

    def wind_up(self, column: int) -> None:
        """At the horizon: assets are sold, lenders first, then costs and tax, then the owner."""
        balance = self.balances.sum(axis=0)
        worth = self.operations
        residual = np.where(balance > 0, worth.liquidation[:, column], worth.horizon_value)
        cash = self.cash + residual
        recovered = np.minimum(balance, cash)
        cash = cash - recovered
        basis = self.rows["capex"].sum(axis=1) - self.capital.tax_depreciation.sum()
        owed, self.losses = tax_due(self.deal.taxes, residual - basis, self.losses)
        tax = np.minimum(owed, cash)
        cash = cash - tax
        late = np.minimum(self.payables, cash)
        self.payables = self.payables - late
        self.balances = self.balances - split(recovered, self.balances)
        self.rows["tax"][:, column] += tax
        self.rows["distribution"][:, column] += cash - late
        self.cash = np.zeros_like(cash)
        self.put(column, residual=residual, recovered=recovered)

    def close(self, column: int) -> None:
        self.put(column, cash=self.cash, dsra=self.dsra, reserve=self.reserve)
        self.put(column, payables=self.payables, debt=self.balances.sum(axis=0))


def run_waterfall(
    deal: Deal, capital: Capital, loan: Loan, operations: Operations, cases: Cases
) -> Waterfall:
    """All rows of all cases.

    Args:
        deal: terms, reserves, covenants and taxes.
        capital: what is paid for, as planned.
        loan: what was signed; it does not change with the cases.
        operations: what is earned and spent in the cases.
        cases: the same that made ``operations``.
    """
    run = _Run(deal, capital, loan, operations, cases)
    for column in range(run.columns):
        interest = run.earn(column)
        if column <= run.window:
            run.fund(column, interest)
        run.pay_costs()
        missed = run.serve(column, interest)
        short = run.reserves(column)
        run.pay_costs()
        if column > run.window:
            locked = run.test(column, missed=missed, short=short)
            run.distribute(column, locked)
        else:
            run.put(column, dscr=np.full(cases.count, np.inf))
        if column == run.columns - 1:
            run.wind_up(column)
        run.close(column)
    return Waterfall(**run.rows)
