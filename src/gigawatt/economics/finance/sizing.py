"""How much a lender lends: the least of four limits, and the schedule that follows.

Interest, fees and reserves of the draw window are part of the cost that debt may fund, and they
grow with debt. All of them are proportional to it, so that the advance limit is the solution of one
linear equation: ``D = a (K + f D)``, ``D = a K / (1 - a f)``. Nothing is iterated.

Taxes of the sizing case are those of a company without debt: interest only lowers them, so the
loan's cover is never below its target for that reason.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from gigawatt.economics.finance.amortise import Profile, level, present_value, sculpted
from gigawatt.economics.finance.capital import Capital
from gigawatt.economics.finance.cases import F64, I64
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.operations import MONTHS_PER_YEAR, Operations, micro
from gigawatt.economics.finance.taxes import unlevered_tax
from gigawatt.money import MICRO_USD_PER_USD

Obligor = Literal["offtake", "on_demand"]
Limit = Literal["dscr", "advance_rate", "ltv", "llcr"]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The part of the loan that one obligor's revenue repays; columns as in ``Operations``.

    Fields:
        obligor: whose revenue: the tenant's contract or the sponsor's on-demand sales.
        name: of the obligor.
        rating: its class.
        rate_per_year: nominal, a fraction: base rate and margin.
        target: debt service cover that sized it.
        cfads_usd: float64[T+1]: the lender's view of cash flow for it, after taxes and haircut.
        draws: int64[T+1] micro-dollars.
        principal: int64[T+1] micro-dollars, scheduled.
    """

    obligor: Obligor
    name: str
    rating: str
    rate_per_year: float
    target: float
    cfads_usd: F64
    draws: I64
    principal: I64


@dataclass(frozen=True, slots=True)
class Loan:
    """What is signed at close.

    Fields:
        schedules: one an obligor.
        fees: int64[T+1] micro-dollars: upfront and commitment fees, as if drawn on plan.
        dsra_target: int64[T+1] micro-dollars: 0 before the end of the draw window.
        limits_usd: the most that each limit allows; a limit that the deal does not set is absent.
        binding: the limit that is the least.
        llcr: loan life cover at the end of the draw window; infinite without debt.
    """

    schedules: tuple[Schedule, ...]
    fees: I64
    dsra_target: I64
    limits_usd: dict[Limit, float]
    binding: Limit
    llcr: float

    @property
    def debt_micro_usd(self) -> int:
        """All draws."""
        return sum(int(schedule.draws.sum()) for schedule in self.schedules)


@dataclass(frozen=True, slots=True)
class _Part:
    """One obligor's part before the limits are compared."""

    obligor: Obligor
    name: str
    rating: str
    rate_per_year: float
    target: float
    cfads_usd: F64
    profile: Profile


def _period_rate(deal: Deal, rate_per_year: float) -> float:
    return rate_per_year * deal.period_months / MONTHS_PER_YEAR


def _lender_cfads(deal: Deal, operations: Operations, capital: Capital) -> dict[Obligor, F64]:
    """Cash flow in dollars that lenders count for each obligor, float64[T+1]."""
    costs = operations.opex + operations.electricity + operations.replacement
    tax = unlevered_tax(deal.taxes, operations, capital)
    spent = (costs + tax)[0] / MICRO_USD_PER_USD
    counted = 1.0 - deal.terms.merchant_haircut.value / 100.0
    offtake = operations.offtake[0] / MICRO_USD_PER_USD
    on_demand = operations.on_demand[0] / MICRO_USD_PER_USD * counted
    return {
        "offtake": offtake - spent * operations.offtake_share[0],
        "on_demand": on_demand - spent * operations.on_demand_share[0],
    }


def _parts(deal: Deal, operations: Operations, capital: Capital) -> list[_Part]:
    terms = deal.terms
    first = deal.window_periods + 1
    last = first + int(terms.tenor.value) // deal.period_months
    weights = capital.draw_weights[:first]
    repay = sculpted if terms.amortisation == "sculpted" else level
    parts: list[_Part] = []
    cfads = _lender_cfads(deal, operations, capital)
    contract, seller = deal.revenue.offtake, deal.revenue.on_demand
    sides: list[tuple[Obligor, str, str, float]] = []
    if contract is not None:
        sides.append(("offtake", contract.tenant, contract.rating, terms.dscr.offtake.value))
    if seller is not None:
        sides.append(("on_demand", seller.sponsor, seller.rating, terms.dscr.on_demand.value))
    margins = {str(rating): margin.value for rating, margin in terms.margins.items()}
    for obligor, name, rating, target in sides:
        rate = (terms.base_rate.value + margins[rating]) / 100.0
        profile = repay(
            cfads[obligor][first:last] / target,
            _period_rate(deal, rate),
            weights,
            each_draw=terms.maturity == "each_draw",
        )
        parts.append(_Part(obligor, name, rating, rate, target, cfads[obligor], profile))
    return parts


@dataclass(frozen=True, slots=True)
class _Unit:
    """What one dollar of debt costs until the end of the draw window, float64[C+1] and one more."""

    fees: F64
    interest: F64
    dsra: float

    @property
    def total(self) -> float:
        return float(self.fees.sum() + self.interest.sum() + self.dsra)


def _unit(deal: Deal, parts: list[_Part], shares: list[float]) -> _Unit:
    window = deal.window_periods
    drawn, interest = np.zeros(window + 1), np.zeros(window + 1)
    dsra_periods = int(deal.reserves.dsra.value) // deal.period_months
    dsra = 0.0
    for part, share in zip(parts, shares, strict=True):
        running = np.cumsum(part.profile.draws)
        rate = _period_rate(deal, part.rate_per_year)
        drawn += share * running
        interest[1:] += share * rate * running[:-1]
        balances = part.profile.balances
        service = balances[:-1] * (1.0 + rate) - balances[1:]
        dsra += share * _average(service[:dsra_periods]) * dsra_periods
    fees = np.zeros(window + 1)
    fees[0] = deal.terms.upfront_fee.value / 100.0
    commitment = _period_rate(deal, deal.terms.commitment_fee.value / 100.0)
    fees[1:] = commitment * np.maximum(1.0 - drawn[:-1], 0.0)
    return _Unit(fees, interest, dsra)


def _average(values: F64) -> float:
    return float(values.mean()) if len(values) else 0.0


def _cover(deal: Deal, parts: list[_Part]) -> float:
    """Present value in dollars of counted cash flow over the loan's life, each at its own rate."""
    first = deal.window_periods + 1
    last = first + int(deal.terms.tenor.value) // deal.period_months
    return sum(
        present_value(
            np.maximum(part.cfads_usd[first:last], 0.0), _period_rate(deal, part.rate_per_year)
        )
        for part in parts
    )


def _limits(
    deal: Deal, parts: list[_Part], unit: _Unit, worth_usd: float, cost_usd: float
) -> dict[Limit, float]:
    terms = deal.terms
    advance = terms.advance_rate.value / 100.0
    left = 1.0 - advance * unit.total
    limits: dict[Limit, float] = {
        "dscr": sum(part.profile.capacity_usd for part in parts),
        "advance_rate": advance * cost_usd / left if left > 0.0 else float("inf"),
    }
    if terms.ltv is not None:
        limits["ltv"] = terms.ltv.value / 100.0 * worth_usd
    if terms.llcr is not None:
        limits["llcr"] = _cover(deal, parts) / terms.llcr.value
    return limits


def _rounded(total_micro_usd: int, shares: F64) -> I64:
    """Whole micro-dollars that follow the running shares and sum to the total."""
    running = np.rint(np.cumsum(shares) * total_micro_usd).astype(np.int64)
    running[-1] = total_micro_usd
    return np.diff(running, prepend=0)


def _schedule(deal: Deal, part: _Part, debt_micro_usd: int) -> Schedule:
    columns, window = deal.period_count + 1, deal.window_periods
    draws, principal = np.zeros(columns, np.int64), np.zeros(columns, np.int64)
    draws[: window + 1] = _rounded(debt_micro_usd, part.profile.draws)
    repaid = -np.diff(part.profile.balances)
    principal[window + 1 : window + 1 + len(repaid)] = _rounded(debt_micro_usd, repaid)
    return Schedule(
        obligor=part.obligor,
        name=part.name,
        rating=part.rating,
        rate_per_year=part.rate_per_year,
        target=part.target,
        cfads_usd=part.cfads_usd,
        draws=draws,
        principal=principal,
    )


def scheduled_service(deal: Deal, schedules: tuple[Schedule, ...]) -> I64:
    """int64[T+1] micro-dollars: interest and principal after the draw window, as signed."""
    total = np.zeros(deal.period_count + 1, np.int64)
    for schedule in schedules:
        balance = np.cumsum(schedule.draws - schedule.principal)
        interest = np.zeros_like(total)
        interest[1:] = np.rint(balance[:-1] * _period_rate(deal, schedule.rate_per_year))
        total += interest + schedule.principal
    total[: deal.window_periods + 1] = 0
    return total


def _dsra_target(deal: Deal, service: I64) -> I64:
    """Debt service of the next months, at their average where fewer are left; 0 from maturity."""
    count = int(deal.reserves.dsra.value) // deal.period_months
    target = np.zeros_like(service)
    for column in range(deal.window_periods, len(service) - 1):
        ahead = service[column + 1 : column + 1 + count]
        ahead = ahead[: int(np.max(np.nonzero(ahead)[0], initial=-1)) + 1]
        if len(ahead):
            target[column] = round(int(ahead.sum()) * count / len(ahead))
    return target


def size_loan(deal: Deal, operations: Operations, capital: Capital) -> Loan:
    """The largest loan within all limits.

    Args:
        deal: what is signed.
        operations: the first case of these is the lender's.
        capital: what is paid for.
    """
    parts = _parts(deal, operations, capital)
    capacity = sum(part.profile.capacity_usd for part in parts)
    shares = [part.profile.capacity_usd / capacity if capacity else 0.0 for part in parts]
    unit = _unit(deal, parts, shares)
    worth = int(operations.liquidation[0, deal.window_periods]) / MICRO_USD_PER_USD
    cost = capital.cost_micro_usd / MICRO_USD_PER_USD
    limits = _limits(deal, parts, unit, worth, cost)
    binding = min(limits, key=lambda limit: limits[limit])
    debt_usd = limits[binding] if capacity else 0.0
    schedules = tuple(
        _schedule(deal, part, round(debt_usd * share * MICRO_USD_PER_USD))
        for part, share in zip(parts, shares, strict=True)
    )
    fees = np.zeros(deal.period_count + 1, np.int64)
    fees[: deal.window_periods + 1] = micro(unit.fees * debt_usd)
    return Loan(
        schedules=schedules,
        fees=fees,
        dsra_target=_dsra_target(deal, scheduled_service(deal, schedules)),
        limits_usd=limits,
        binding=binding,
        llcr=_cover(deal, parts) / debt_usd if debt_usd else float("inf"),
    )
