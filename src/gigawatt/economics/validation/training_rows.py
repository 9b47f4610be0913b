"""What we compute for published training measurements: the run that a row describes, its rates."""

import re
from dataclasses import dataclass, replace
from functools import cache
from math import ceil, log2

from gigawatt.economics.chain.silicon import GIGA, Precision, Silicon, silicon_of
from gigawatt.economics.chain.training import (
    Recompute,
    TrainingEfficiency,
    TrainingRun,
    training_rate,
)
from gigawatt.economics.models.llm import LanguageModel, language_model
from gigawatt.economics.models.tables import Row, shipped_rows
from gigawatt.economics.validation.measurement import Measurement
from gigawatt.economics.validation.serving_rows import precision_of
from gigawatt.errors import DataError, InputError
from gigawatt.fleet.catalogue import accelerator
from gigawatt.units import HOUR_S

ASSUMED_LLM_TOKENS_PER_STEP = 4_194_304
ASSUMED_SEQUENCE_LLM_TOKENS = 4_096
ASSUMED_STATE_BYTES = 18.0
"""Weights, gradients, optimiser: bytes a parameter. Source: Rajbhandari et al. 2020, 3.1."""


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A published run with its layout.

    Fields:
        name: of the row of the table.
        run: the job.
        counted_attention_share: what the publication counts.
        match: text that the row must contain; empty for any.
    """

    name: str
    run: TrainingRun
    counted_attention_share: float
    match: str


def _recompute(row: Row) -> Recompute:
    known: dict[str, Recompute] = {"none": "none", "selective": "selective", "full": "full"}
    try:
        return known[row.text("recompute")]
    except KeyError:
        raise DataError(f"{row.place}: recompute is no way we know") from None


def _known_run(row: Row) -> KnownRun:
    silicon = silicon_of(
        accelerator(row.text("accelerator")), row.number("scale_out_gbyte_per_s") * GIGA
    )
    silicon = replace(silicon, scale_up_bytes_per_s=row.number("scale_up_gbyte_per_s") * GIGA)
    run = TrainingRun(
        shape=language_model(row.text("language_model")),
        silicon=silicon,
        precision=Precision(row.text("precision")),
        gpu_count=row.count("accelerator_count", 1),
        sequence_llm_tokens=row.count("sequence_llm_tokens", 1),
        sequences_per_step=row.count("sequences_per_step", 1),
        micro_sequence_count=row.count("micro_sequence_count", 1),
        tensor_ways=row.count("tensor_ways", 1),
        pipeline_ways=row.count("pipeline_ways", 1),
        pipeline_chunk_count=row.count("pipeline_chunk_count", 1),
        context_ways=row.count("context_ways", 1),
        expert_ways=row.count("expert_ways", 1),
        expert_copy_count=row.count("expert_copy_count", 1),
        recompute=_recompute(row),
        executed_attention_share=row.number("executed_attention_share"),
    )
    share = row.number("counted_attention_share")
    return KnownRun(row.text("name"), run, share, row.text("match"))


@cache
def known_runs() -> tuple[KnownRun, ...]:
    """Shipped training runs, in the table's order."""
    return tuple(_known_run(row) for row in shipped_rows("training_runs.csv"))


def _assumed_run(
    shape: LanguageModel, silicon: Silicon, precision: Precision, count: int
) -> TrainingRun:
    """A usual layout: tensor ways inside the node, then the shortest pipeline that fits."""
    tensor = 1
    while tensor < min(8, silicon.scale_up_count, count) and shape.parameter_count > 7e9 * tensor:
        tensor *= 2
    needed = shape.parameter_count * ASSUMED_STATE_BYTES / (silicon.memory_bytes * 0.6)
    pipeline = 1
    if needed > count or needed > tensor * 64:
        pipeline = 2 ** ceil(log2(max(1.0, needed / tensor / 16)))
    while count % (tensor * pipeline):
        pipeline = max(1, pipeline // 2) if pipeline > 1 else 1
        if pipeline == 1 and count % tensor:
            tensor //= 2
    copies = count // (tensor * pipeline)
    usual = ASSUMED_LLM_TOKENS_PER_STEP // ASSUMED_SEQUENCE_LLM_TOKENS
    return TrainingRun(
        shape=shape,
        silicon=silicon,
        precision=precision,
        gpu_count=count,
        sequence_llm_tokens=ASSUMED_SEQUENCE_LLM_TOKENS,
        sequences_per_step=max(usual, 2 * copies * pipeline),
        tensor_ways=tensor,
        pipeline_ways=pipeline,
        pipeline_chunk_count=1 if pipeline == 1 else 2,
    )


def run_of(row: Measurement) -> KnownRun:
    """The run that a row describes: a shipped one, else a usual layout of its size.

    Raises:
        InputError: neither layout nor number of accelerators is known.
    """
    shape = language_model(row.language_model_name)
    chip = row.chip.name
    text = f"{row.metric} {row.notes} ".lower()
    candidates = [
        known
        for known in known_runs()
        if known.run.shape.name == shape.name
        and known.run.silicon.name == chip
        and row.accelerator_count in {None, known.run.gpu_count}
    ]
    if candidates:
        return next((known for known in candidates if known.match in text), candidates[0])
    if row.accelerator_count is None:
        raise InputError(f"{row.language_model_name!r}: no layout and no number of accelerators")
    run = _assumed_run(shape, silicon_of(row.chip), precision_of(row), row.accelerator_count)
    return KnownRun("assumed layout", run, 1.0, "")


def training_value(row: Measurement, efficiency: TrainingEfficiency) -> float:
    """What we compute for a training row, in the row's unit.

    Raises:
        InputError: the metric is none of: step time, MFU, TFLOP/s, tokens/s, GPU-hours.
    """
    known = run_of(row)
    share = 0.0 if "without self-attention" in row.metric else known.counted_attention_share
    rate = training_rate(known.run, efficiency, share)
    metric = row.metric.lower()
    if "mfu" in metric:
        return rate.mfu_share * 100.0
    if "time" in metric and row.unit == "s":
        return rate.step.total_s
    if "tflop" in row.unit.lower():
        return rate.flop_per_s_per_gpu / 1e12
    if row.unit == "tok/s":
        return rate.llm_tokens_per_s
    if row.unit == "tok/s/GPU":
        return rate.llm_tokens_per_s / known.run.gpu_count
    found = re.search(r"(\d+(?:\.\d+)?)T tokens", row.notes)
    if row.unit == "GPU-h" and found:
        seconds = float(found[1]) * 1e12 / rate.llm_tokens_per_s
        return seconds / HOUR_S * known.run.gpu_count
    raise InputError(f"metric {row.metric!r} in {row.unit!r} is no rate of training")
