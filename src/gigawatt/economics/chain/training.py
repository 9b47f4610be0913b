"""One optimiser step of training at the roofline, with its parallelism.

A step is ``microbatches`` passes, forward and backward, through the stages of a pipeline. A pass
does arithmetic and memory traffic, exchanges activations inside its tensor group, and sends tokens
to experts; stages idle while the pipeline fills; gradients are summed over data-parallel groups
behind the last pass; the optimiser reads and writes its state.
"""

from dataclasses import dataclass
from typing import Literal

from gigawatt.economics.chain.serving import ACTIVATION_BYTES, POINTWISE_HIDDEN_COUNT
from gigawatt.economics.chain.silicon import Precision, Silicon
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.economics.quantities import check_count, check_positive, check_share
from gigawatt.errors import InputError

Recompute = Literal["none", "selective", "full"]

GRADIENT_BYTES = 4.0
"""fp32 sum of gradients. Source: Megatron-LM default."""
OPTIMISER_BYTES = 30.0
"""Read and written for each parameter by Adam in mixed precision: gradient, master weight, two
moments, each read and written in fp32, and a bf16 copy. Source: Rajbhandari et al. 2020, 3.1."""


@dataclass(frozen=True, slots=True)
class TrainingEfficiency:
    """What real training reaches of the limits; the same for all chips and models.

    Fields:
        compute_share: of the dense peak in multiplications.
        memory_share: of the memory bandwidth.
        link_share: of a link's bandwidth.
    """

    compute_share: float
    memory_share: float
    link_share: float

    def __post_init__(self) -> None:
        """Refuse shares outside 0 to 1."""
        for field in ("compute_share", "memory_share", "link_share"):
            check_share(field, getattr(self, field), is_zero_allowed=False)


@dataclass(frozen=True, slots=True)
class TrainingRun:
    """A training job: what is trained, on what, and how it is cut.

    Fields:
        shape, silicon, precision: language model, accelerator, number format of multiplications.
        gpu_count: accelerators of the job.
        sequence_llm_tokens: tokens of one sequence.
        sequences_per_step: sequences between two optimiser steps.
        micro_sequence_count: sequences in one pass of a pipeline.
        tensor_ways, pipeline_ways, context_ways, expert_ways: parts; the rest is data-parallel.
        pipeline_chunk_count: chunks of layers that each stage holds (interleaving), 1 for none.
        expert_copy_count: copies of a token sent to other nodes' experts.
        recompute: activations made again in the backward pass.
        executed_attention_share: 0.5 where a fused kernel skips what the causal mask hides, 1
            where all pairs are computed.
    """

    shape: LanguageModel
    silicon: Silicon
    precision: Precision
    gpu_count: int
    sequence_llm_tokens: int
    sequences_per_step: int
    micro_sequence_count: int = 1
    tensor_ways: int = 1
    pipeline_ways: int = 1
    context_ways: int = 1
    expert_ways: int = 1
    pipeline_chunk_count: int = 1
    expert_copy_count: int = 1
    recompute: Recompute = "none"
    executed_attention_share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse a job that does not divide evenly."""
        for field in (
            "gpu_count", "sequence_llm_tokens", "sequences_per_step", "micro_sequence_count",
            "tensor_ways", "pipeline_ways", "context_ways", "expert_ways", "pipeline_chunk_count",
            "expert_copy_count",
        ):  # fmt: skip
            check_count(field, getattr(self, field))
        check_share("executed_attention_share", self.executed_attention_share)
        cut = self.tensor_ways * self.pipeline_ways * self.context_ways
        if self.gpu_count % cut:
            raise InputError(
                f"gpu_count {self.gpu_count} is no multiple of tensor_ways x pipeline_ways x "
                f"context_ways = {cut}"
            )
        if self.passes_per_step < 1:
            raise InputError(
                f"sequences_per_step is {self.sequences_per_step}, wanted at least one pass for "
                f"each of {self.data_ways} data-parallel copies"
            )
        if self.recompute not in {"none", "selective", "full"}:
            raise InputError(f"recompute is {self.recompute!r}, wanted none, selective or full")

    @property
    def data_ways(self) -> int:
        """Copies of the language model that work on different sequences."""
        return self.gpu_count // (self.tensor_ways * self.pipeline_ways * self.context_ways)

    @property
    def passes_per_step(self) -> float:
        """Passes that each pipeline does for one step."""
        return self.sequences_per_step / (self.data_ways * self.micro_sequence_count)

    @property
    def llm_tokens_per_step(self) -> int:
        """Tokens of one optimiser step."""
        return self.sequences_per_step * self.sequence_llm_tokens


@dataclass(frozen=True, slots=True)
class StepTime:
    """Where the time of one step goes, in seconds of every accelerator; parts add up.

    Fields:
        compute_s: multiplications that the language model needs, at the rate reached.
        recompute_s: multiplications done again to save memory.
        pointwise_s: norms, residuals, activations.
        tensor_link_s, expert_link_s, data_link_s: exchange that nothing hides.
        optimiser_s: reading and writing the optimiser's state.
        bubble_s: waiting while the pipeline fills and drains.
    """

    compute_s: float
    recompute_s: float
    pointwise_s: float
    tensor_link_s: float
    expert_link_s: float
    data_link_s: float
    optimiser_s: float
    bubble_s: float

    @property
    def total_s(self) -> float:
        """Seconds of the whole step."""
        work_s = self.compute_s + self.recompute_s + self.pointwise_s + self.bubble_s
        link_s = self.tensor_link_s + self.expert_link_s + self.data_link_s
        return work_s + link_s + self.optimiser_s


def training_flops_per_llm_token(
    shape: LanguageModel, sequence_llm_tokens: float, attention_share: float
) -> float:
    """FLOP to train on one token: 6 a parameter, and 3 times the forward attention.

    Args:
        shape: the language model; a MoE counts active parameters.
        sequence_llm_tokens: tokens of one sequence.
        attention_share: 1 counts all pairs, 0.5 those a causal mask leaves, 0 none.

    Source:
        Kaplan et al. 2020 (6 N); Chowdhery et al. 2022, appendix B (12 L H Q T for attention).
    """
    attention = shape.pair_flops(sequence_llm_tokens, is_decode=False) * attention_share
    tied = shape.active_parameter_count
    return 6.0 * tied + 3.0 * attention


def _link_times(run: TrainingRun, efficiency: TrainingEfficiency) -> tuple[float, float]:
    """Seconds of exchange in one pass on one stage: inside the tensor group, and to experts."""
    shape, chip = run.shape, run.silicon
    llm_tokens = run.micro_sequence_count * run.sequence_llm_tokens / run.context_ways
    hidden_bytes = llm_tokens * shape.hidden_width * ACTIVATION_BYTES
    layers = shape.layer_count / run.pipeline_ways
    tensor_s = 0.0
    if run.tensor_ways > 1:
        rate = chip.link_bytes_per_s(run.tensor_ways) * efficiency.link_share
        reduces = 6.0 if run.recompute == "full" else 4.0
        share = 2.0 * (run.tensor_ways - 1) / run.tensor_ways
        tensor_s = layers * reduces * share * hidden_bytes / rate
    expert_s = 0.0
    if run.expert_ways > 1:
        rate = chip.link_bytes_per_s(run.expert_ways) * efficiency.link_share
        # Dispatch in the width of the multiplications, combine in bf16, forward and backward.
        width = 0.5 if run.precision is Precision.FP8 else 1.0
        sent_bytes = run.expert_copy_count * hidden_bytes * (width + 1.0) * 2.0
        expert_s = shape.moe_layer_count / run.pipeline_ways * sent_bytes / rate
    return tensor_s, expert_s


def _data_link_s(run: TrainingRun, efficiency: TrainingEfficiency) -> float:
    """Seconds to sum gradients and hand out parameters over the data-parallel group."""
    if run.data_ways == 1:
        return 0.0
    owned = (run.shape.parameter_count - run.shape.routed_parameter_count) / (
        run.tensor_ways * run.pipeline_ways
    )
    owned += run.shape.routed_parameter_count / (run.expert_ways * run.pipeline_ways)
    sent_bytes = owned * (GRADIENT_BYTES + ACTIVATION_BYTES)
    return sent_bytes / (run.silicon.scale_out_bytes_per_s * efficiency.link_share)


def step_time(run: TrainingRun, efficiency: TrainingEfficiency) -> StepTime:
    """The time of one optimiser step.

    Source:
        Narayanan et al. 2021 (bubble (p - 1) / (v m)); Korthikanti et al. 2022 (recompute,
        exchange of tensor parallelism); Williams et al. 2009 (roofline).
    """
    shape, chip = run.shape, run.silicon
    llm_tokens = run.micro_sequence_count * run.sequence_llm_tokens / run.context_ways
    on_gpu = llm_tokens / run.tensor_ways / run.pipeline_ways
    linear_rate = chip.peak(run.precision) * efficiency.compute_share
    attention_rate = chip.peak(Precision.BF16) * efficiency.compute_share
    byte_rate = chip.memory_bytes_per_s * efficiency.memory_share
    pair_flops = shape.pair_flops(float(run.sequence_llm_tokens), is_decode=False)
    attention_s = pair_flops * run.executed_attention_share * on_gpu / attention_rate
    linear_s = 2.0 * shape.active_parameter_count * on_gpu / linear_rate
    again_s = {
        "none": 0.0,
        "selective": attention_s,
        "full": linear_s + attention_s,
    }[run.recompute]
    touched = shape.layer_count * POINTWISE_HIDDEN_COUNT * shape.hidden_width
    touched += shape.active_parameter_count / shape.hidden_width
    passes_s = 4.0 if run.recompute == "full" else 3.0
    pointwise_s = passes_s * touched * ACTIVATION_BYTES * on_gpu / byte_rate
    tensor_s, expert_s = _link_times(run, efficiency)
    pass_s = 3.0 * (linear_s + attention_s) + again_s + pointwise_s + tensor_s + expert_s
    passes = run.passes_per_step
    bubble = (run.pipeline_ways - 1) / run.pipeline_chunk_count
    owned = shape.parameter_count / (run.tensor_ways * run.pipeline_ways * run.data_ways)
    return StepTime(
        compute_s=passes * 3.0 * (linear_s + attention_s),
        recompute_s=passes * again_s,
        pointwise_s=passes * pointwise_s,
        tensor_link_s=passes * tensor_s,
        expert_link_s=passes * expert_s,
        data_link_s=max(0.0, _data_link_s(run, efficiency) - pass_s),
        optimiser_s=owned * OPTIMISER_BYTES / byte_rate,
        bubble_s=bubble * pass_s,
    )


@dataclass(frozen=True, slots=True)
class TrainingRate:
    """What a job does.

    Fields:
        step: where the time goes.
        llm_tokens_per_s: of the whole job.
        flop_per_s_per_gpu: counted FLOP of the language model, not what is executed.
        mfu_share: of the dense peak, 0 to 1.
    """

    step: StepTime
    llm_tokens_per_s: float
    flop_per_s_per_gpu: float
    mfu_share: float


def training_rate(
    run: TrainingRun, efficiency: TrainingEfficiency, counted_attention_share: float = 1.0
) -> TrainingRate:
    """Tokens/s and model FLOP utilisation of a job.

    Args:
        run: the job.
        efficiency: what is reached of the limits.
        counted_attention_share: attention that the utilisation counts; 1 as in the PaLM paper.
    """
    check_share("counted_attention_share", counted_attention_share)
    step = step_time(run, efficiency)
    check_positive("step_s", step.total_s)
    rate = run.llm_tokens_per_step / step.total_s
    flops = training_flops_per_llm_token(
        run.shape, run.sequence_llm_tokens, counted_attention_share
    )
    per_gpu = rate * flops / run.gpu_count
    return TrainingRate(step, rate, per_gpu, per_gpu / run.silicon.peak(run.precision))
