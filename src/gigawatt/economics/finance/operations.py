"""What a deal earns and spends before debt and taxes, period by period, for many cases."""

from dataclasses import dataclass, field

import numpy as np

from gigawatt.economics.finance.cases import F64, I64, Cases
from gigawatt.economics.finance.deal import HOURS_PER_MONTH, Asset, Deal
from gigawatt.economics.finance.delivery import delivery_months, service_months
from gigawatt.economics.finance.quantity import Curve
from gigawatt.money import MICRO_USD_PER_USD

MONTHS_PER_YEAR = 12
KW_PER_MW = 1_000.0


@dataclass(frozen=True, slots=True)
class Operations:
    """Micro-dollars as int64[n, T+1]; column 0 is financial close, column t the end of period t.

    Fields:
        offtake, on_demand, tail: revenue under contract; of GPUs never contracted; of GPUs whose
            contract ended, which lenders do not count.
        opex, electricity, replacement: spent to run; to replace failed GPUs.
        sale: proceeds of assets that reach the end of their life before the horizon.
        liquidation: what all GPUs would fetch, at each column; at the last one nothing is sold yet.
        horizon_value: int64[n]: what the owner counts on at the horizon.
        offtake_share, on_demand_share: float64[n, T+1]: of the GPUs in service, 0 to 1.
    """

    offtake: I64
    on_demand: I64
    tail: I64
    opex: I64
    electricity: I64
    replacement: I64
    sale: I64
    liquidation: I64
    horizon_value: I64
    offtake_share: F64
    on_demand_share: F64

    @property
    def revenue(self) -> I64:
        """All revenue."""
        return np.asarray(self.offtake + self.on_demand + self.tail)


def micro(amount_usd: F64) -> I64:
    """Dollars as whole micro-dollars, rounded half to even."""
    return np.rint(amount_usd * MICRO_USD_PER_USD).astype(np.int64)


def read_curve(curve: Curve, months: F64) -> F64:
    """The curve at these months: straight between points, level outside them."""
    return np.asarray(np.interp(months, np.array(curve.months), np.array(curve.values)))


@dataclass(slots=True)
class _Counts:
    """GPU-months by class, float64[n, M]; ``remarketing`` ones are idle after a default."""

    shape: tuple[int, int]
    offtake: F64 = field(init=False)
    on_demand: F64 = field(init=False)
    tail: F64 = field(init=False)
    remarketing: F64 = field(init=False)
    deposit: F64 = field(init=False)

    def __post_init__(self) -> None:
        self.offtake, self.on_demand, self.tail, self.remarketing, self.deposit = (
            np.zeros(self.shape) for _ in range(5)
        )

    @property
    def total(self) -> F64:
        return np.asarray(self.offtake + self.on_demand + self.tail + self.remarketing)


def _count(deal: Deal, cases: Cases, month: F64) -> _Counts:
    """GPUs in service in each month, by what they are sold as."""
    counts = _Counts((cases.count, len(month)))
    contract = deal.revenue.offtake
    free = contract.gpus.value if contract else 0.0
    starts = service_months(deal)
    defaulted = month >= cases.default_month[:, None]
    relet = month >= cases.default_month[:, None] + deal.risks.remarketing.value
    for row in sorted(range(len(starts)), key=lambda row: (starts[row], row)):
        asset = deal.assets[row]
        start = (starts[row] + cases.delay_months)[:, None]
        lives = (month > start) & (month <= start + asset.life.value)
        contracted = min(free, asset.gpus.value)
        free -= contracted
        term = contract.term.value if contract else 0.0
        signed = lives & (month <= start + term)
        counts.on_demand += lives * (asset.gpus.value - contracted)
        counts.offtake += (signed & ~defaulted) * contracted
        counts.remarketing += (signed & defaulted & ~relet) * contracted
        counts.tail += (lives & ~signed | signed & relet) * contracted
        counts.deposit += (signed & (month == cases.default_month[:, None])) * contracted
    return counts


@dataclass(frozen=True, slots=True)
class _Market:
    """On-demand price in dollars and utilisation, float64[n, M]."""

    price_usd: F64
    utilisation: F64


def _market(deal: Deal, cases: Cases, middle: F64) -> _Market:
    seller = deal.revenue.on_demand
    if seller is None:
        nothing = np.zeros((cases.count, len(middle)))
        return _Market(nothing, nothing)
    planned = read_curve(seller.utilisation, middle) / 100.0
    weighted = planned * cases.utilisation_odds
    return _Market(
        read_curve(seller.price, middle) * cases.price_ratio,
        weighted / (1.0 - planned + weighted),
    )


def _opex_usd(deal: Deal, month: F64) -> F64:
    """float64[M]: dollars of a GPU-month."""
    years = (month - 1.0) // MONTHS_PER_YEAR
    growth = (1.0 + deal.costs.growth.value / 100.0) ** years
    return deal.costs.opex.value * HOURS_PER_MONTH * growth


def _power_usd(deal: Deal, utilisation: F64 | float) -> F64:
    """Dollars of a GPU-month at a utilisation; only the share that is not idle scales with it."""
    power = deal.costs.power
    full = power.draw.value / KW_PER_MW * power.pue.value * HOURS_PER_MONTH * power.price.value
    idle = power.idle_share.value / 100.0
    return np.asarray(full * (idle + (1.0 - idle) * utilisation), dtype=np.float64)


def _worth_usd(deal: Deal, asset: Asset, months_old: F64) -> F64:
    share = read_curve(deal.residual.liquidation, months_old) / 100.0
    return share * asset.cost.value * asset.gpus.value


def _sales_usd(deal: Deal, cases: Cases, month: F64) -> tuple[F64, F64]:
    """Float64[n, M] and [n, M+1]: proceeds of retired assets, and worth of the others.

    Worth in its first column is at close. An asset is worth something from its delivery on, and
    still at the horizon if its life ends there.
    """
    last = month[-1]
    sale = np.zeros((cases.count, len(month)))
    worth = np.zeros((cases.count, len(month) + 1))
    moments = np.concatenate(([0.0], month))
    rows = zip(deal.assets, delivery_months(deal), service_months(deal), strict=True)
    for asset, delivered, start in rows:
        arrival = (delivered + cases.delay_months)[:, None]
        end = (start + cases.delay_months)[:, None] + asset.life.value
        value = _worth_usd(deal, asset, moments - arrival)
        retired = (month == end) & (month < last)
        sale += retired * value[:, 1:]
        alive = (moments >= arrival) & ((moments < end) | (moments == last) & (end == last))
        worth += alive * value
    ratio = cases.residual_ratio[:, None]
    return sale * ratio, worth * ratio


def _rental_usd(deal: Deal, cases: Cases, market: _Market, month: F64) -> F64:
    """float64[n]: present value at the horizon of renting on until the end of each life."""
    price_usd, utilisation = market.price_usd[:, -1], market.utilisation[:, -1]
    earned = price_usd * utilisation * deal.revenue.availability.value / 100.0 * HOURS_PER_MONTH
    spent = _opex_usd(deal, month[-1:])[0] * cases.opex_ratio + _power_usd(deal, utilisation)
    net = np.maximum(earned - spent - deal.reserves.replacement.value / MONTHS_PER_YEAR, 0.0)
    rate = (1.0 + deal.equity.discount_rate.value / 100.0) ** (1.0 / MONTHS_PER_YEAR) - 1.0
    total = np.zeros(cases.count)
    for row, start in enumerate(service_months(deal)):
        asset = deal.assets[row]
        left = np.clip(
            start + cases.delay_months + asset.life.value - month[-1], 0, asset.life.value
        )
        annuity = left if rate == 0.0 else (1.0 - (1.0 + rate) ** -left) / rate
        total += asset.gpus.value * net * annuity
    return total * cases.residual_ratio


def operate(deal: Deal, cases: Cases) -> Operations:
    """What the deal earns and spends in these cases."""
    step, periods = deal.period_months, deal.period_count
    month = np.arange(1.0, periods * step + 1.0)
    counts = _count(deal, cases, month)
    market = _market(deal, cases, month - 0.5)
    hours = HOURS_PER_MONTH * deal.revenue.availability.value / 100.0
    sold_usd = market.price_usd * market.utilisation * hours
    contract = deal.revenue.offtake
    rate_usd, deposit_months, used = 0.0, 0.0, 0.0
    if contract is not None:
        used = contract.utilisation.value / 100.0
        rate_usd = contract.rate.value * hours * max(contract.take_or_pay.value / 100.0, used)
        deposit_months = contract.security_deposit.value
    total = counts.total
    power_usd = counts.offtake * _power_usd(deal, used) + counts.remarketing * _power_usd(deal, 0.0)
    power_usd += (counts.on_demand + counts.tail) * _power_usd(deal, market.utilisation)
    sale, worth = _sales_usd(deal, cases, month)

    def by_period(monthly: F64) -> F64:
        sums = monthly.reshape(cases.count, periods, step).sum(axis=2)
        return np.concatenate((np.zeros((cases.count, 1)), sums), axis=1)

    gpu_months = np.maximum(by_period(total), 1e-9)
    by_annuity = deal.residual.equity_takes == "rental_annuity"
    return Operations(
        offtake=micro(by_period((counts.offtake + counts.deposit * deposit_months) * rate_usd)),
        on_demand=micro(by_period(counts.on_demand * sold_usd)),
        tail=micro(by_period(counts.tail * sold_usd)),
        opex=micro(by_period(total * _opex_usd(deal, month) * cases.opex_ratio[:, None])),
        electricity=micro(by_period(power_usd)),
        replacement=micro(by_period(total * deal.reserves.replacement.value / MONTHS_PER_YEAR)),
        sale=micro(by_period(sale)),
        liquidation=micro(worth[:, ::step]),
        horizon_value=micro(
            _rental_usd(deal, cases, market, month) if by_annuity else worth[:, -1]
        ),
        offtake_share=by_period(counts.offtake) / gpu_months,
        on_demand_share=by_period(counts.on_demand) / gpu_months,
    )
