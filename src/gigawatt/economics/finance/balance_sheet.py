"""The balance sheet that follows from a waterfall, so that it can be checked against it.

Assets are counted from balances, the owner's side from flows: only a complete set of flows makes
the two meet. Fees and interest of the draw window are expensed.
"""

from dataclasses import dataclass

import numpy as np

from gigawatt.economics.finance.capital import Capital
from gigawatt.economics.finance.cases import I64
from gigawatt.economics.finance.waterfall import Waterfall


@dataclass(frozen=True, slots=True)
class BalanceSheet:
    """Rows of int64[n, T+1] micro-dollars at the end of each column.

    Fields:
        cash: free cash and both reserves.
        plant: assets at cost less straight-line depreciation; 0 once they are sold at the horizon.
        debt, payables: owed to lenders; costs and taxes not yet paid.
        paid_in: the owner's money less distributions.
        earned: net income so far.
    """

    cash: I64
    plant: I64
    debt: I64
    payables: I64
    paid_in: I64
    earned: I64

    @property
    def gap(self) -> I64:
        """Assets less liabilities less equity: 0 everywhere."""
        return self.cash + self.plant - self.debt - self.payables - self.paid_in - self.earned


def balance_sheet(capital: Capital, waterfall: Waterfall) -> BalanceSheet:
    """The balance sheet of all cases."""
    plant = np.cumsum(waterfall.capex - capital.book_depreciation, axis=1)
    written_off = np.zeros_like(plant)
    written_off[:, -1] = plant[:, -1]
    plant[:, -1] = 0
    income = waterfall.revenue + waterfall.sale + waterfall.residual
    income = income - waterfall.opex - waterfall.electricity - waterfall.replacement - waterfall.tax
    income = income - waterfall.interest_due - waterfall.fees
    income = income - capital.book_depreciation - written_off
    return BalanceSheet(
        cash=waterfall.cash + waterfall.dsra + waterfall.reserve,
        plant=plant,
        debt=waterfall.debt,
        payables=waterfall.payables,
        paid_in=np.cumsum(waterfall.equity - waterfall.distribution, axis=1),
        earned=np.cumsum(income, axis=1),
    )
