"""What the assets of a deal cost, when it is paid, and how it is written off."""

from dataclasses import dataclass

import numpy as np

from gigawatt.economics.finance.cases import F64, I64
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.delivery import delivery_months, paid_month, service_months
from gigawatt.economics.finance.operations import MONTHS_PER_YEAR, micro


@dataclass(frozen=True, slots=True)
class Capital:
    """Micro-dollars as int64[T+1], by column as in ``Operations``.

    Fields:
        capex: paid for assets.
        tax_depreciation: deducted from taxable income; sums to capex at most.
        book_depreciation: straight line over life, from first revenue; sums to capex at most.
        draw_weights: float64[T+1]: share of capex paid at each column; sums to 1.
    """

    capex: I64
    tax_depreciation: I64
    book_depreciation: I64

    @property
    def draw_weights(self) -> F64:
        """See the class."""
        return np.asarray(self.capex / self.capex.sum())

    @property
    def cost_micro_usd(self) -> int:
        """What all assets cost."""
        return int(self.capex.sum())


def _column(deal: Deal, month: int) -> int:
    """The column at or next after a month."""
    return -(-month // deal.period_months)


def capital_of(deal: Deal) -> Capital:
    """Capital of a deal as planned; what would fall after the horizon is left out."""
    columns = deal.period_count + 1
    capex, tax = np.zeros(columns), np.zeros(columns * deal.period_months + MONTHS_PER_YEAR * 50)
    book = np.zeros_like(tax)
    rows = zip(deal.assets, delivery_months(deal), service_months(deal), strict=True)
    for asset, delivered, start in rows:
        cost_usd = asset.cost.value * asset.gpus.value
        for payment in asset.payments:
            capex[_column(deal, paid_month(payment, delivered))] += (
                cost_usd * payment.share.value / 100.0
            )
        life = int(asset.life.value)
        book[start + 1 : start + life + 1] += cost_usd / life
        for year, share in enumerate(deal.taxes.depreciation.values):
            first = start + 1 + year * MONTHS_PER_YEAR
            tax[first : first + MONTHS_PER_YEAR] += cost_usd * share / 100.0 / MONTHS_PER_YEAR

    def by_period(monthly: F64) -> I64:
        """Differences of rounded running sums, so that rounding never adds up."""
        running = np.concatenate(([0.0], np.cumsum(monthly[1:])))
        return np.diff(
            micro(running[: columns * deal.period_months : deal.period_months]), prepend=0
        )

    return Capital(micro(capex), by_period(tax), by_period(book))
