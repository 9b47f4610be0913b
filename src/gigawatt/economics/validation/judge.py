"""The judgement: published against computed, family by family, with each system left out.

A family is a kind of measurement. Its constants are fitted on all other systems than the one that
is judged, so that no row is judged by constants that have seen its system.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from math import exp, log

import numpy as np

from gigawatt.economics.models.llm import language_model
from gigawatt.economics.validation.constants import (
    CONSTANTS,
    FITTED_SERVING,
    START,
    Constants,
    fit_record,
    with_serving,
    with_training,
)
from gigawatt.economics.validation.measurement import Measurement
from gigawatt.economics.validation.serving_day import day_value
from gigawatt.economics.validation.serving_rows import (
    first_token_ms,
    full_load_rate,
    mlperf_rate,
    token_time_ms,
)
from gigawatt.economics.validation.training_rows import training_value
from gigawatt.errors import DataError, InputError, NoCapacityError
from gigawatt.fleet.catalogue import node_types

MISS_RATIO = 1.3
"""A row is a miss where computed over published is above this, or below its inverse."""


def _power_w(row: Measurement, constants: Constants) -> float:
    """Watts of the server at the wall under load."""
    chip = row.chip.name
    for line in node_types():
        if line.accelerator == chip and line.node_type.gpu_count == (row.accelerator_count or 8):
            return line.node_type.power_w_max * constants.load_power_share
    raise InputError(f"the catalogue has no server of {row.accelerator_count} x {chip}")


def _training(row: Measurement, constants: Constants) -> float:
    if "all stages" in row.notes:
        raise InputError("covers all stages of training; tokens of each are not published")
    if row.unit == "GPU-h" and "pre-training" not in row.metric:
        raise InputError("tokens of this stage are not published")
    return training_value(row, constants.training)


def _arithmetic(row: Measurement, constants: Constants) -> float:
    """Values that follow from other rows by definition: cost at a rent, FLOP by 6 N D."""
    del constants
    if row.unit == "FLOP":
        tokens = 15.6e12 if "405" in row.language_model_name else None
        if tokens is None:
            raise InputError("tokens of the run are not published")
        return 6.0 * language_model(row.language_model_name).parameter_count * tokens
    hours = {
        "pre-training": 2_664e3, "context extension": 119e3, "post-training": 5e3, "total": 2_788e3,
    }  # fmt: skip
    for part, count in hours.items():
        if row.metric.endswith(part):
            return 2.0 * count
    raise InputError(f"metric {row.metric!r} is given, not computed")


Predict = Callable[[Measurement, Constants], float]
FAMILIES: tuple[tuple[str, Callable[[Measurement], bool], Predict], ...] = (
    (
        "training",
        lambda r: any(
            part in r.metric.lower()
            for part in ("mfu", "tflops", "iteration time", "training throughput", "gpu hours")
        ),
        _training,
    ),
    (
        "full-load throughput",
        lambda r: "output throughput" in r.metric and "per node" not in r.metric,
        lambda r, c: full_load_rate(r, c.serving),
    ),
    (
        "time per token",
        lambda r: r.metric.startswith("TPOT"),
        lambda r, c: token_time_ms(r, c.serving),
    ),
    (
        "time to first token",
        lambda r: r.metric.startswith("TTFT"),
        lambda r, c: first_token_ms(r, c.serving),
    ),
    (
        "MLPerf offline",
        lambda r: r.metric.startswith("MLPerf Inference") and r.metric.endswith("Offline"),
        lambda r, c: mlperf_rate(r, c.serving) * c.mlperf_offline_ratio,
    ),
    (
        "MLPerf served",
        lambda r: r.metric.startswith("MLPerf Inference"),
        lambda r, c: mlperf_rate(r, c.serving) * c.mlperf_served_ratio,
    ),
    ("server power", lambda r: r.unit == "Watts", _power_w),
    (
        "speed of a node",
        lambda r: "open-infra-index" in r.source and r.metric.endswith("throughput per node"),
        lambda r, c: day_value(r.metric, c.serving),
    ),
    (
        "serving day",
        lambda r: "open-infra-index" in r.source,
        lambda r, c: day_value(r.metric, c.serving),
    ),
    ("arithmetic", lambda r: r.unit in {"USD", "FLOP"}, _arithmetic),
)
"""Name, which rows, and what we compute for one; the first that takes a row has it."""
SERVING_FAMILIES = ("full-load throughput", "time per token", "time to first token")


@dataclass(frozen=True, slots=True)
class Judged:
    """One row and what we compute for it.

    Fields:
        family: its kind; empty where none takes the row.
        row: the measurement.
        computed_value: in the row's unit; None where it is not computed.
        reason: why it is not computed, else empty.
    """

    family: str
    row: Measurement
    computed_value: float | None
    reason: str = ""

    @property
    def ratio(self) -> float:
        """Computed over published; not a number where there is none."""
        if self.computed_value is None or self.row.value <= 0:
            return float("nan")
        return self.computed_value / self.row.value

    @property
    def is_miss(self) -> bool:
        """Whether the two are further apart than ``MISS_RATIO``."""
        return self.computed_value is not None and not (
            1.0 / MISS_RATIO <= self.ratio <= MISS_RATIO
        )


def family_of(row: Measurement) -> str:
    """Name of the family that takes the row; empty for none."""
    return next((name for name, takes, _ in FAMILIES if takes(row)), "")


def judged(row: Measurement, constants: Constants) -> Judged:
    """The row with what we compute for it."""
    for name, takes, predict in FAMILIES:
        if takes(row):
            try:
                return Judged(name, row, predict(row, constants))
            except (InputError, NoCapacityError, DataError) as error:
                return Judged(name, row, None, str(error))
    return Judged("", row, None, "given, or of a kind that is not computed")


def _logs(rows: Iterable[Measurement], constants: Constants) -> list[float]:
    """Logarithms of computed over published, of the rows that are computed."""
    ratios = [judged(row, constants).ratio for row in rows]
    return [log(ratio) for ratio in ratios if ratio > 0]


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(np.abs(values))) if len(values) else 0.0


def fit(rows: Sequence[Measurement], start: Constants = START) -> Constants:
    """Constants fitted to the rows: least mean of |log(computed / published)|, family by family.

    Time to first token counts a third: it depends on how an engine groups prompts, which rows do
    not say.
    """
    by_family = {name: [r for r in rows if family_of(r) == name] for name, _, _ in FAMILIES}
    weights = dict(zip(SERVING_FAMILIES, (1.0, 1.0, 1.0 / 3.0), strict=True))

    def serving_loss(values: dict[str, float]) -> float:
        constants = with_serving(start, values)
        return sum(_mean(_logs(by_family[f], constants)) * w for f, w in weights.items())

    def training_loss(values: dict[str, float]) -> float:
        return _mean(_logs(by_family["training"], with_training(start, values)))

    serving = {field: getattr(start.serving, field) for field in FITTED_SERVING}
    fitted = with_serving(start, fit_record(serving, FITTED_SERVING, serving_loss))
    share = {"compute_share": start.training.compute_share}
    fitted = with_training(fitted, fit_record(share, ("compute_share",), training_loss))
    ratios = {}
    for field, name in (
        ("mlperf_offline_ratio", "MLPerf offline"),
        ("mlperf_served_ratio", "MLPerf served"),
        ("load_power_share", "server power"),
    ):
        logs = _logs(by_family[name], fitted)
        ratios[field] = getattr(fitted, field) * exp(-float(np.median(logs)) if logs else 0.0)
    ratios["load_power_share"] = min(1.0, ratios["load_power_share"])
    return replace(fitted, **ratios)


@dataclass(frozen=True, slots=True)
class FamilyScore:
    """How well a family is met.

    Fields:
        family: its name.
        row_count: rows that were computed.
        error_share_median, error_share_p90: |computed / published - 1|.
        bias_share: median of computed / published, less 1.
        misses: rows further apart than ``MISS_RATIO``.
    """

    family: str
    row_count: int
    error_share_median: float
    error_share_p90: float
    bias_share: float
    misses: tuple[Judged, ...]


def scores(results: Iterable[Judged]) -> tuple[FamilyScore, ...]:
    """Scores of all families that have a computed row, in the order of ``FAMILIES``."""
    kept = [result for result in results if result.computed_value is not None]
    found = []
    for name, _, _ in FAMILIES:
        mine = [result for result in kept if result.family == name]
        if mine:
            ratios = np.array([result.ratio for result in mine])
            errors = np.abs(ratios - 1.0)
            found.append(
                FamilyScore(
                    family=name,
                    row_count=len(mine),
                    error_share_median=float(np.median(errors)),
                    error_share_p90=float(np.quantile(errors, 0.9)),
                    bias_share=float(np.median(ratios)) - 1.0,
                    misses=tuple(result for result in mine if result.is_miss),
                )
            )
    return tuple(found)


def judge(rows: Sequence[Measurement], constants: Constants = CONSTANTS) -> tuple[Judged, ...]:
    """Every row judged by given constants, in order."""
    return tuple(judged(row, constants) for row in rows)


def judge_left_out(rows: Sequence[Measurement]) -> tuple[Judged, ...]:
    """Every row judged by constants fitted without any row of its system, in order.

    A family that one system alone has is judged at the values a fit starts from.
    """
    labels = sorted({row.system_label for row in rows})
    fits = {label: fit([r for r in rows if r.system_label != label]) for label in labels}
    return tuple(judged(row, fits[row.system_label]) for row in rows)
