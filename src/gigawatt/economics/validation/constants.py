"""The constants that are fitted to published measurements, and how they are fitted.

There is one set for all systems, language models and precisions. ``CONSTANTS`` is the fit on all
shipped rows that a family predicts; a judgement leaves each system out of the fit in turn.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gigawatt.economics.chain.serving import ServingEfficiency
from gigawatt.economics.chain.training import TrainingEfficiency
from gigawatt.economics.quantities import check_positive, check_share

FIT_ROUNDS = 12
FIT_STEP_FIRST = 1.25
FIT_STEP_LAST = 1.02


@dataclass(frozen=True, slots=True)
class Constants:
    """Everything that is fitted.

    Fields:
        serving, training: what is reached of the limits.
        mlperf_offline_ratio: throughput of a tuned MLPerf submission over an ordinary engine.
        mlperf_served_ratio: the same under limits on the slowest percent of requests.
        load_power_share: wall power of a server at full load over its maximum.
    """

    serving: ServingEfficiency
    training: TrainingEfficiency
    mlperf_offline_ratio: float
    mlperf_served_ratio: float
    load_power_share: float

    def __post_init__(self) -> None:
        """Refuse ratios of 0 or less."""
        check_positive("mlperf_offline_ratio", self.mlperf_offline_ratio)
        check_positive("mlperf_served_ratio", self.mlperf_served_ratio)
        check_share("load_power_share", self.load_power_share, is_zero_allowed=False)


START = Constants(
    serving=ServingEfficiency(
        compute_share=0.6,
        expert_compute_share=0.2,
        memory_share=0.8,
        link_share=0.7,
        layer_s=20e-6,
        moe_layer_s=40e-6,
        sequence_s=5e-6,
        collective_s=8e-6,
        eager_layer_s=0.7e-3,
        eager_moe_layer_s=1e-3,
        prompt_wait_share=0.15,
    ),
    training=TrainingEfficiency(compute_share=0.6, memory_share=0.8, link_share=0.7),
    mlperf_offline_ratio=1.0,
    mlperf_served_ratio=1.0,
    load_power_share=0.7,
)
"""Where a fit starts: round figures of the trade. Shares of links and of memory in training, and
the latency of a collective, are not fitted and stay as they are here."""

CONSTANTS = Constants(
    serving=ServingEfficiency(
        compute_share=0.652,
        expert_compute_share=0.0968,
        memory_share=0.653,
        link_share=0.7,
        layer_s=22.8e-6,
        moe_layer_s=52.0e-6,
        sequence_s=7.81e-6,
        collective_s=8e-6,
        eager_layer_s=0.436e-3,
        eager_moe_layer_s=2.63e-3,
        prompt_wait_share=0.0724,
    ),
    training=TrainingEfficiency(compute_share=0.552, memory_share=0.8, link_share=0.7),
    mlperf_offline_ratio=0.978,
    mlperf_served_ratio=0.730,
    load_power_share=0.645,
)
"""The shipped fit, to three digits. Source: ``judge.fit`` on ``models/published.csv``; a test fits
again and compares."""


def fit_record(
    start: dict[str, float], fields: Sequence[str], loss: Callable[[dict[str, float]], float]
) -> dict[str, float]:
    """Values with less loss, found by steps up and down along one field at a time.

    Args:
        start: values by field; > 0.
        fields: what may move. A field that ends in ``_share`` stays at most 1.
        loss: what to make small.
    """
    best, values = loss(start), dict(start)
    steps = dict.fromkeys(fields, FIT_STEP_FIRST)
    for _ in range(FIT_ROUNDS):
        for field in fields:
            for factor in (steps[field], 1.0 / steps[field]):
                moved = values | {field: values[field] * factor}
                if field.endswith("_share") and moved[field] > 1.0:
                    continue
                now = loss(moved)
                if now < best:
                    best, values = now, moved
                    break
            else:
                steps[field] = max(FIT_STEP_LAST, steps[field] ** 0.5)
    return values


FITTED_SERVING = (
    "compute_share", "expert_compute_share", "memory_share", "layer_s", "moe_layer_s", "sequence_s",
    "eager_layer_s", "eager_moe_layer_s", "prompt_wait_share",
)  # fmt: skip


def with_serving(constants: Constants, values: dict[str, float]) -> Constants:
    """The constants with other serving values."""
    return replace(constants, serving=replace(constants.serving, **values))


def with_training(constants: Constants, values: dict[str, float]) -> Constants:
    """The constants with other training values."""
    return replace(constants, training=replace(constants.training, **values))
