"""Documents of the economics: what is computed from what, with units in the names."""

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from gigawatt.sdk.documents.base import Answer, Id, Name, Request

CASE_COUNT_MAX = 10_000
TEXT_LENGTH_MAX = 1_000_000

Finite = Annotated[float, Field(allow_inf_nan=False)]
Given = Annotated[float, Field(strict=True, allow_inf_nan=False)] | Name
"""A number, or a currency."""
Day = Annotated[str, StringConstraints(pattern=r"^\d{4}-\d{2}-\d{2}$")]
Table = Annotated[str, StringConstraints(min_length=1, max_length=TEXT_LENGTH_MAX)]
"""Text of a CSV file."""
LlmTokens = Annotated[float, Field(gt=0, le=1e7, allow_inf_nan=False)]
Usd = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]


class Supply(Request):
    """How power reaches the computers; ``load_share`` is null for the fitted one."""

    plant: Literal["grid", "gas-combined-cycle", "gas-turbine", "gas-engine", "solar"] = (
        "gas-combined-cycle"
    )
    pue: Annotated[float, Field(ge=1, le=10)] = 1.25
    delivery_efficiency_share: Annotated[float, Field(gt=0, le=1)] = 0.98
    load_share: Annotated[float, Field(gt=0, le=1)] | None = None


class Serving(Request):
    """What is served; ``llm_tokens_per_s_min`` is what a user gets at least."""

    llm: Id = "llama-3.1-70b"
    precision: Literal["fp4", "fp8", "bf16"] = "fp8"
    input_llm_tokens: LlmTokens = 1000.0
    output_llm_tokens: LlmTokens = 1000.0
    llm_tokens_per_s_min: Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)] | None = None


class Training(Request):
    """What is trained; no published run holds a training in fp4 to account."""

    llm: Id
    precision: Literal["fp8", "bf16"] = "bf16"


class FleetChainRequest(Request):
    """Follow power to tokens: ``training`` if it is given, else ``serving``."""

    serving: Serving | None = None
    training: Training | None = None
    supply: Supply = Supply()
    cost_usd_per_gpu_hour: Usd = 2.0
    site_id: Id | None = None


class ChainRequest(FleetChainRequest):
    """The same for a demonstration fleet."""

    fleet: Literal["demo", "small", "mixed", "nvl72"] = "demo"


class PowerStage(Answer):
    """One branch of the tree of power; ``fed_by`` is empty for the source."""

    stage: str
    fed_by: str
    power_w: float
    source_share: float
    parent_share: float
    is_loss: bool


class ChainType(Answer):
    """One node type; figures of serving or of training, none where ``reason`` says why not."""

    node_type: str
    gpu_count: int
    peak_pflop_per_s: float
    facility_w: float
    reason: str
    engine_gpu_count: int | None = None
    useful_flop_share: float | None = None
    output_llm_tokens_per_s: float | None = None
    facility_j_per_output_llm_token: float | None = None
    source_j_per_output_llm_token: float | None = None
    output_llm_tokens_per_source_j: float | None = None
    cost_usd_per_million_output_llm_tokens: float | None = None
    output_llm_tokens_per_usd: float | None = None
    time_shares: dict[str, float] | None = None
    mfu_share: float | None = None
    trained_llm_tokens_per_s: float | None = None
    facility_j_per_trained_llm_token: float | None = None
    source_j_per_trained_llm_token: float | None = None
    cost_usd_per_million_trained_llm_tokens: float | None = None
    step_time_shares: dict[str, float] | None = None


class Chain(Answer):
    """Power stage by stage, and what comes out by node type."""

    stages: list[PowerStage]
    types: list[ChainType]


class GpuHourRequest(Request):
    """Inputs by name, e.g. ``life_years``; what is left out is illustrative."""

    inputs: Annotated[dict[Name, Given], Field(max_length=50)] = {}
    price_usd_per_gpu_hour: Usd = 2.5


class Swing(Answer):
    """The cost with one input lower and higher."""

    field: str
    low_value: float
    high_value: float
    cost_usd_low: float
    cost_usd_high: float


class GpuHour(Answer):
    """USD for a sold GPU-hour: a row of ``costs`` a view, each by component."""

    costs: list[dict[str, float | str]]
    price_usd_per_gpu_hour: float
    break_even_utilisation_share: dict[str, float]
    break_even_price_usd_per_gpu_hour: dict[str, float]
    over_utilisation: list[dict[str, float]]
    swings: list[Swing]
    inputs: dict[str, float | str]


class LifeRequest(Request):
    """How long a GPU earns; CSV texts are fitted where they are given, with the name of a GPU."""

    rent_usd_per_gpu_hour: Finite | None = None
    rent_slope_per_year: Finite | None = None
    rental_csv: Table | None = None
    gpu: Name | None = None
    inputs: Annotated[dict[Name, Given], Field(max_length=50)] = {}
    cash_usd_per_gpu_hour: Finite | None = None
    resale_usd: Finite = 25_250.0
    resale_slope_per_year: Finite = -0.25
    resale_csv: Table | None = None
    resale_gpu: Name | None = None
    horizon_years: Annotated[int, Field(ge=1, le=60)] = 12


class LifeYear(Answer):
    """The best action at the start of a year, and both curves of residual value."""

    year: int
    action: str
    worth_usd: float
    annuity_usd: float
    liquidation_usd: float
    annuity_usd_low: float | None = None
    annuity_usd_high: float | None = None
    liquidation_usd_low: float | None = None
    liquidation_usd_high: float | None = None


class RentFit(Answer):
    """What a rental panel says of rent and its slope."""

    label: str
    rent_usd_per_gpu_hour: float
    slope_per_year: float
    slope_error_per_year: float
    slope_per_year_low: float
    slope_per_year_high: float
    freedom_count: int
    months: list[str]
    provider_count: int
    withheld: list[str]


class Life(Answer):
    """Economic life, null where it has no end; low and high only with a fitted slope."""

    economic_life_years: float | None
    economic_life_years_low: float | None = None
    economic_life_years_high: float | None = None
    years: list[LifeYear]
    inputs: dict[str, float]
    rent_fit: RentFit | None = None


class IndexJudgements(Request):
    """Every judgement of the index that a caller may change."""

    min_providers: Annotated[int, Field(ge=1, le=1000)] = 3
    min_matched: Annotated[float, Field(ge=0, le=1)] = 0.5
    max_dispersion: Annotated[float, Field(gt=0, le=100)] = 0.45
    cell_price: Literal["median", "geometric_mean"] = "median"
    outlier_factor: Annotated[float, Field(ge=0, le=1e6)] = 2.0
    open_gates: bool = False


class IndexRequest(Request):
    """A price file as text, and what of it is wanted.

    ``rates_usd``: USD for one unit of each currency. ``basket_gpu_hours``: stated weights by term.
    """

    prices_csv: Table
    gpus: Annotated[list[Name], Field(max_length=100)] = []
    terms: Annotated[list[Name], Field(max_length=20)] = []
    first_day: Day | None = None
    last_day: Day | None = None
    judgements: IndexJudgements = IndexJudgements()
    rates_usd: Annotated[dict[Name, Usd], Field(max_length=50)] = {}
    basket_gpu_hours: Annotated[dict[Name, Finite], Field(max_length=20)] = {}


class IndexMonth(Answer):
    """One month of one sub-index, 100 in the base month; null where it is withheld."""

    month: str
    index: float | None
    index_low_95: float | None
    index_high_95: float | None
    withheld: str | None
    time_dummy: float | None
    time_dummy_log_se: float | None
    time_dummy_corrected: float | None
    geks: float | None
    pooled_mean: float | None
    pooled_median: float | None
    unit_value: float | None
    mix_effect: float | None
    pooled_mean_usd_per_gpu_hour: float | None
    pooled_median_usd_per_gpu_hour: float | None
    quotes: int
    cells: int
    providers: int
    matched_cells: int
    matched_ratio: float | None
    dispersion: float | None


class SubIndex(Answer):
    """One GPU, term and kind of price."""

    gpu: str
    term: str
    kind: str
    base_month: str | None
    formula: str
    months: list[IndexMonth]
    outliers: list[str]
    breaks: list[str]
    sensitivity: list[dict[str, float | int | str | None]]


class UpperMonth(Answer):
    """Terms together in one month, by every formula."""

    month: str
    withheld: str | None
    lowe: float | None
    laspeyres: float | None
    paasche: float | None
    fisher: float | None
    tornqvist: float | None
    unit_value: float | None
    mix_effect: float | None


class UpperIndex(Answer):
    """The terms of one GPU together."""

    gpu: str
    base_month: str | None
    basket_gpu_hours: dict[str, float] | None
    months: list[UpperMonth]


class Index(Answer):
    """The report of the rental price index; ``left_out`` counts what is no price, by rule."""

    file: str
    offers: int
    quotes: int
    left_out: dict[str, int]
    left_out_first: list[dict[str, str]]
    settings: dict[str, float | str | None]
    sub_indices: list[SubIndex]
    upper: list[UpperIndex]


class UnderwriteRequest(Request):
    """A deal, as ``deal`` or as the text ``deal_yaml``; ``case_count`` 0 draws no risks."""

    deal: Annotated[dict[str, Any], Field(max_length=50)] | None = None
    deal_yaml: Annotated[str, StringConstraints(min_length=1, max_length=200_000)] | None = None
    case_count: Annotated[int, Field(ge=0, le=CASE_COUNT_MAX)] = 2_000
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 1


class LoanSchedule(Answer):
    """The part of a loan that one obligor's revenue repays."""

    obligor: str
    name: str
    rating: str
    rate_share_per_year: float
    target_dscr_ratio: float
    debt_micro_usd: int


class RiskFan(Answer):
    """Percentiles over cases by period."""

    title: str
    unit: str
    bands: dict[str, list[float | None]]


class Risk(Answer):
    """What became of all cases; ``reached`` by figure and probability, p99 the most cautious."""

    case_count: int
    lock_up_probability: float
    default_probability: float
    loss_probability: float
    loss_usd_mean: float
    reached: dict[str, dict[str, float | None]]
    fans: list[RiskFan]
    locked_share: list[float]
    defaulted_share: list[float]


class TornadoBar(Answer):
    """What one input does at its low and its high."""

    driver: str
    debt_usd: list[float | None]
    dscr_min_ratio: list[float | None]
    equity_irr_share_per_year: list[float | None]


class DealInput(Answer):
    """One input of a deal; its source is null where it is illustrative."""

    field: str
    value: str
    unit: str
    source: str | None


class Underwriting(Answer):
    """A deal underwritten; null where a figure has no value."""

    name: str
    note: str
    debt_micro_usd: int
    cost_micro_usd: int
    binding: str
    limits_usd: dict[str, float | None]
    llcr_ratio: float | None
    schedules: list[LoanSchedule]
    plan: dict[str, float | None]
    periods: list[dict[str, int | float | bool | None]]
    risk: Risk | None
    tornado: list[TornadoBar]
    term_sheet: dict[str, dict[str, str]]
    inputs: list[DealInput]
