"""Income tax with losses carried forward, in whole micro-dollars."""

import numpy as np

from gigawatt.economics.finance.capital import Capital
from gigawatt.economics.finance.cases import I64
from gigawatt.economics.finance.deal import Taxes
from gigawatt.economics.finance.operations import Operations


def tax_due(taxes: Taxes, profit: I64, losses: I64) -> tuple[I64, I64]:
    """Tax of a period and the losses left, int64[n] micro-dollars.

    Args:
        taxes: rate and the share of profit that losses may offset.
        profit: taxable income before losses.
        losses: carried forward, 0 or more.
    """
    usable = np.floor(np.maximum(profit, 0) * (taxes.loss_use.value / 100.0)).astype(np.int64)
    used = np.minimum(losses, usable)
    taxed = np.maximum(profit, 0) - used
    tax = np.rint(taxed * (taxes.rate.value / 100.0)).astype(np.int64)
    return tax, losses - used + np.maximum(-profit, 0)


def unlevered_tax(taxes: Taxes, operations: Operations, capital: Capital) -> I64:
    """int64[n, T+1]: tax of the same company without debt."""
    profit = operations.revenue - operations.opex - operations.electricity - operations.replacement
    profit = profit - capital.tax_depreciation
    tax = np.zeros_like(profit)
    losses = np.zeros(len(profit), np.int64)
    for column in range(profit.shape[1]):
        tax[:, column], losses = tax_due(taxes, profit[:, column], losses)
    return tax
