"""How a training job is cut: the fastest layout that its memory holds."""

from collections.abc import Iterator
from dataclasses import replace
from math import ceil

from gigawatt.economics.chain.silicon import Precision, Silicon
from gigawatt.economics.chain.training import TrainingEfficiency, TrainingRun, training_rate
from gigawatt.economics.models.llm import LanguageModel
from gigawatt.errors import InputError, NoCapacityError

SEQUENCE_LLM_TOKENS = 8_192
SEQUENCES_PER_STEP = 2_048
"""16.8 million tokens a step. Source: arXiv:2407.21783, table 4 (16 million at 8,192)."""
OWNED_BYTES = 6.0
"""A bf16 weight and its fp32 gradient, on every GPU that owns the parameter."""
SHARED_BYTES = 12.0
"""Master weight and two moments in fp32, shared by all copies. Source: Rajbhandari et al. 2020."""
STATE_SHARE = 0.65
"""Of the memory; the rest holds activations. Source: runs of arXiv:2205.05198 fill 0.62."""
PIPELINE_WAYS_MAX = 64


def _powers(last: int) -> Iterator[int]:
    count = 1
    while count <= last:
        yield count
        count *= 2


def state_bytes_per_gpu(run: TrainingRun) -> float:
    """Weights, gradients and optimiser on one GPU; dense parts cut by tensor, experts by expert."""
    shape = run.shape
    dense = shape.parameter_count - shape.routed_parameter_count
    owned = dense / run.tensor_ways + shape.routed_parameter_count / run.expert_ways
    return owned / run.pipeline_ways * OWNED_BYTES + (
        shape.parameter_count * SHARED_BYTES / run.gpu_count
    )


def _candidates(
    shape: LanguageModel, silicon: Silicon, precision: Precision, gpu_count: int
) -> Iterator[TrainingRun]:
    """Layouts by tensor, pipeline and expert ways, each on as many GPUs as it divides."""
    for tensor in _powers(min(8, max(1, silicon.scale_up_count), gpu_count)):
        for pipeline in _powers(min(PIPELINE_WAYS_MAX, shape.layer_count, gpu_count // tensor)):
            copies = gpu_count // (tensor * pipeline)
            if copies > SEQUENCES_PER_STEP:
                continue
            run = TrainingRun(
                shape, silicon, precision, copies * tensor * pipeline, SEQUENCE_LLM_TOKENS,
                SEQUENCES_PER_STEP, tensor_ways=tensor, pipeline_ways=pipeline,
                pipeline_chunk_count=1 if pipeline == 1 else 2,
            )  # fmt: skip
            yield run
            for expert in _powers(min(shape.expert_count, copies * tensor)):
                if expert == 1:
                    continue
                groups = ceil(expert / max(1, silicon.scale_up_count))
                sent = expert if groups == 1 else groups
                sent = min(sent, shape.expert_active_count)
                yield replace(run, expert_ways=expert, expert_copy_count=sent)


def fastest_run(
    shape: LanguageModel,
    silicon: Silicon,
    precision: Precision,
    gpu_count: int,
    efficiency: TrainingEfficiency,
) -> TrainingRun:
    """The layout with the most tokens/s whose state fits the memory.

    It may leave GPUs idle that no layout divides.

    Raises:
        InputError: there is no GPU.
        NoCapacityError: no layout fits.
    """
    if gpu_count < 1:
        raise InputError(f"gpu_count is {gpu_count}, wanted 1 or more")
    room_bytes = silicon.memory_bytes * STATE_SHARE
    fitting = [
        run
        for run in _candidates(shape, silicon, precision, gpu_count)
        if state_bytes_per_gpu(run) <= room_bytes
    ]
    if not fitting:
        raise NoCapacityError(
            f"{shape.name}: weights, gradients and optimiser fit no layout of {gpu_count} x "
            f"{silicon.name} with {SEQUENCES_PER_STEP} sequences a step"
        )
    return max(fitting, key=lambda run: training_rate(run, efficiency).llm_tokens_per_s)
