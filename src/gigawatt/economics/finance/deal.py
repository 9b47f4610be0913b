"""A deal: assets, revenue, costs, terms, reserves, covenants, taxes, residual and risks.

Every number carries its unit and either ``illustrative: true`` or ``source: ...``. Months are
counted from financial close; a month has 730 hours (8,760 / 12), a year 12 equal months.
"""

from typing import Annotated, Literal

from pydantic import Field

from gigawatt.economics.finance.quantity import (
    Correlation,
    Gpus,
    GrowthPerYear,
    Input,
    KwPerGpu,
    Labelled,
    Months,
    MonthsPositive,
    Percent,
    PercentPerYear,
    PriceCurve,
    Ratio,
    ShareCurve,
    UsdPerGpu,
    UsdPerGpuHour,
    UsdPerGpuYear,
    UsdPerMwh,
)

SCHEMA = "gigawatt/deal/1"
HOURS_PER_MONTH = 730.0
"""8,760 hours of a year in 12 equal months."""

Name = Annotated[str, Field(min_length=1, max_length=100)]
Rating = Literal["AAA", "AA", "A", "BBB", "BB", "B", "CCC"]
"""Classes of long-term credit ratings, best first; BBB and better are investment grade."""


class After(Input):
    """Delivery that follows another: ``lag`` months after the asset of that name."""

    asset: Name
    lag: Months


class Payment(Input):
    """A part of the price, paid ``lead`` months before delivery (but not before close)."""

    lead: Months
    share: Percent


class Asset(Input):
    """GPUs that are delivered together.

    Fields:
        name: unique in the deal.
        gpus: how many.
        cost: all-in, with network, storage and installation.
        delivered: month of delivery; either this or ``after``.
        after: the delivery that this one follows.
        payments: when the price is paid; shares sum to 100 percent.
        commissioning: months from delivery to first revenue.
        life: months from first revenue to retirement.
    """

    name: Name
    gpus: Gpus
    cost: UsdPerGpu
    delivered: Months | None = None
    after: After | None = None
    payments: Annotated[tuple[Payment, ...], Field(min_length=1, strict=False)]
    commissioning: Months
    life: MonthsPositive


class Offtake(Input):
    """A take-or-pay contract: revenue whose obligor is the tenant who signed it.

    Fields:
        tenant: the obligor.
        rating: its credit class.
        gpus: contracted; deliveries fill the contract in order.
        rate: paid for each hour that is available.
        take_or_pay: share of available hours that is paid whether used or not.
        utilisation: share of hours that is used; drives power.
        term: months from the first revenue of each delivery.
        default_rate: chance of default in a year.
        security_deposit: months of revenue held as a letter of credit, drawn on default.
    """

    tenant: Name
    rating: Rating
    gpus: Gpus
    rate: UsdPerGpuHour
    take_or_pay: Percent
    utilisation: Percent
    term: MonthsPositive
    default_rate: PercentPerYear
    security_deposit: Months


class OnDemand(Input):
    """GPUs sold by the hour: revenue that lenders can only count on the sponsor for.

    Fields:
        sponsor: the obligor.
        rating: its credit class.
        price: by month from close.
        utilisation: sold share of available hours, by month from close.
    """

    sponsor: Name
    rating: Rating
    price: PriceCurve
    utilisation: ShareCurve


class Revenue(Input):
    """What is earned; at least one of ``offtake`` and ``on_demand``."""

    availability: Percent
    offtake: Offtake | None = None
    on_demand: OnDemand | None = None


class Power(Input):
    """Electricity: ``draw`` at the wall of a busy GPU with its share of the node, times ``pue``.

    ``idle_share`` of the draw is taken by a GPU that does nothing.
    """

    draw: KwPerGpu
    pue: Ratio
    idle_share: Percent
    price: UsdPerMwh


class Costs(Input):
    """What it costs to run: ``opex`` for each installed GPU-hour, growing by ``growth``."""

    opex: UsdPerGpuHour
    growth: GrowthPerYear
    power: Power


class DscrTargets(Input):
    """Debt service cover that sizes debt, by obligor."""

    offtake: Ratio
    on_demand: Ratio


class Terms(Input):
    """A delayed-draw term loan.

    Fields:
        base_rate: the reference rate, nominal, paid each period.
        margins: added to it, by rating of the obligor whose revenue repays the schedule.
        tenor: months of repayment, from the end of the draw window or from each draw.
        draw_window: months from close in which assets are paid; interest and fees of this time
            are part of the cost.
        maturity: ``facility`` for one date, ``each_draw`` for ``tenor`` months from each draw, but
            repaid from the end of the draw window.
        amortisation: ``sculpted`` to cash flow or ``level``.
        dscr: sizing targets.
        advance_rate: debt at most this share of the whole cost.
        ltv: debt at most this share of the liquidation value at the end of the draw window.
        llcr: loan life cover at least.
        merchant_haircut: share of on-demand revenue that lenders do not count.
        upfront_fee: of the commitment, at close.
        commitment_fee: on what is not drawn.
        sweep: share of cash that could be distributed and prepays debt.
    """

    base_rate: PercentPerYear
    margins: dict[Rating, PercentPerYear]
    tenor: MonthsPositive
    draw_window: Months
    maturity: Literal["facility", "each_draw"]
    amortisation: Literal["sculpted", "level"]
    dscr: DscrTargets
    advance_rate: Percent
    ltv: Percent | None = None
    llcr: Ratio | None = None
    merchant_haircut: Percent
    upfront_fee: Percent
    commitment_fee: PercentPerYear
    sweep: Percent


class Reserves(Input):
    """Cash held for lenders.

    Fields:
        dsra: months of debt service, funded at the end of the draw window.
        replacement: what is spent to replace failed GPUs.
        replacement_ahead: months of that spending held in advance, from cash flow.
    """

    dsra: Months
    replacement: UsdPerGpuYear
    replacement_ahead: Months


class Covenants(Input):
    """Tests of the debt service cover of the last ``lookback`` months."""

    lock_up: Ratio
    default: Ratio
    lookback: MonthsPositive


class Depreciation(Labelled):
    """Shares of cost deducted in each tax year after an asset is in service; they sum to 100."""

    values: Annotated[tuple[float, ...], Field(min_length=1, max_length=50, strict=False)]


class Taxes(Input):
    """Income tax; losses are carried forward and offset ``loss_use`` of a year's profit."""

    rate: Percent
    depreciation: Depreciation
    loss_use: Percent


class Residual(Input):
    """What GPUs are worth later.

    Fields:
        liquidation: share of cost by months of age; lenders count on this one.
        equity_takes: what the owner counts on at the horizon: the ``liquidation`` value, or the
            present value of renting on until the end of life (``rental_annuity``).
    """

    liquidation: ShareCurve
    equity_takes: Literal["liquidation", "rental_annuity"]


class Equity(Input):
    """The owner's side."""

    discount_rate: PercentPerYear


class Risks(Input):
    """How inputs may move together; used by the Monte Carlo alone.

    Fields:
        price_volatility: yearly standard deviation of the logarithm of the on-demand price.
        price_reversion: share of a deviation that is lost in a year.
        utilisation_volatility: the same for the odds of utilisation.
        delay_mean: months of delay of every delivery; less than 0 counts as 0.
        delay_deviation: its standard deviation.
        remarketing: idle months after a defaulted contract.
        price_with_utilisation: correlation, as all below.
        price_with_default: how price goes with the tenant's survival.
        delay_with_default: how delay goes with default.
    """

    price_volatility: Percent
    price_reversion: PercentPerYear
    utilisation_volatility: Percent
    delay_mean: Months
    delay_deviation: Months
    remarketing: Months
    price_with_utilisation: Correlation
    price_with_default: Correlation
    delay_with_default: Correlation


class Deal(Input):
    """A deal as a file says it; see the module. ``finance.deal_yaml`` reads and checks it."""

    schema_name: Literal["gigawatt/deal/1"] = Field(alias="schema")
    name: Name
    currency: Literal["USD"]
    period: Literal["monthly", "quarterly"]
    horizon: MonthsPositive
    assets: Annotated[tuple[Asset, ...], Field(min_length=1, max_length=1_000, strict=False)]
    revenue: Revenue
    costs: Costs
    terms: Terms
    reserves: Reserves
    covenants: Covenants
    taxes: Taxes
    residual: Residual
    equity: Equity
    risks: Risks

    @property
    def period_months(self) -> int:
        """Months in a period: 1 or 3."""
        return 1 if self.period == "monthly" else 3

    @property
    def period_count(self) -> int:
        """Periods until the horizon."""
        return int(self.horizon.value) // self.period_months

    @property
    def window_periods(self) -> int:
        """Periods of the draw window; repayment starts in the next one."""
        return int(self.terms.draw_window.value) // self.period_months
