"""One step of training at the roofline.

Goal: the arithmetic of training is the textbook's, parallelism costs what it must, and a job that
does not divide is refused.
Method: closed forms, monotony over random layouts, one planted fault for each refused field.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.economics.chain.silicon import Precision, silicon_of
from gigawatt.economics.chain.training import (
    TrainingRun,
    step_time,
    training_flops_per_llm_token,
    training_rate,
)
from gigawatt.economics.models.llm import language_model
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.economics.validation.training_rows import known_runs
from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import accelerator

REAL = CONSTANTS.training
IDEAL = replace(REAL, compute_share=1.0, memory_share=1.0, link_share=1.0)
H100 = silicon_of(accelerator("H100-SXM5-80GB"))
LLAMA = language_model("llama-3.1-405b")
RUN = TrainingRun(LLAMA, H100, Precision.BF16, 1024, 8192, 2048, tensor_ways=8, pipeline_ways=16)


def test_six_flops_a_parameter_and_token():
    flops = training_flops_per_llm_token(LLAMA, 8192, 0.0)
    assert flops == pytest.approx(6 * LLAMA.active_parameter_count)
    # 12 L H Q T of the PaLM paper, appendix B.
    attention = training_flops_per_llm_token(LLAMA, 8192, 1.0) - flops
    assert attention == pytest.approx(12 * 126 * 16384 * 8192)


def test_llama_405b_took_38_yottaflop():
    assert 6 * LLAMA.parameter_count * 15.6e12 == pytest.approx(3.8e25, rel=0.01)


def test_bubble_is_the_textbook_formula():
    step = step_time(RUN, REAL)
    work = step.total_s - step.bubble_s - step.optimiser_s - step.data_link_s
    assert step.bubble_s / work == pytest.approx(15 / RUN.passes_per_step)
    chunks = step_time(replace(RUN, pipeline_chunk_count=3), REAL)
    assert chunks.bubble_s == pytest.approx(step.bubble_s / 3)


def test_full_recompute_is_a_third_more_arithmetic():
    step = step_time(replace(RUN, recompute="full"), REAL)
    assert step.recompute_s == pytest.approx(step.compute_s / 3)
    assert step_time(RUN, REAL).recompute_s == 0


@given(st.sampled_from(known_runs()))
def test_parts_add_up_and_nothing_beats_the_peak(known):
    step = step_time(known.run, REAL)
    assert sum(getattr(step, name) for name in step.__slots__) == pytest.approx(step.total_s)
    assert all(getattr(step, name) >= 0 for name in step.__slots__)
    assert 0 < training_rate(known.run, REAL).mfu_share < 1
    assert step_time(known.run, IDEAL).total_s < step.total_s


@given(st.sampled_from([1, 2, 4, 8]), st.sampled_from([1, 2, 4]), st.floats(1.1, 4.0))
def test_better_links_and_chips_never_slow(tensor, pipeline, factor):
    run = replace(RUN, tensor_ways=tensor, pipeline_ways=pipeline)
    for better in (
        replace(H100, scale_up_bytes_per_s=H100.scale_up_bytes_per_s * factor),
        replace(H100, scale_out_bytes_per_s=H100.scale_out_bytes_per_s * factor),
        replace(H100, memory_bytes_per_s=H100.memory_bytes_per_s * factor),
    ):
        quick_s = step_time(replace(run, silicon=better), REAL).total_s
        assert quick_s <= step_time(run, REAL).total_s * (1 + 1e-9)


def test_tensor_ways_beyond_the_domain_cost_the_slow_link():
    inside = step_time(replace(RUN, tensor_ways=8), REAL).tensor_link_s
    outside = step_time(replace(RUN, tensor_ways=16, pipeline_ways=8), REAL).tensor_link_s
    assert outside > 2 * inside


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"gpu_count": 1000}, "gpu_count"),
        ({"tensor_ways": 0}, "tensor_ways"),
        ({"sequence_llm_tokens": 8192.0}, "sequence_llm_tokens"),
        ({"sequences_per_step": 4}, "sequences_per_step"),
        ({"recompute": "some"}, "recompute"),
        ({"executed_attention_share": 50}, "executed_attention_share"),
    ],
)
def test_wrong_job_is_refused_with_its_field(changed, field: str):
    with pytest.raises(InputError, match=field):
        replace(RUN, **changed)


def test_wrong_share_of_counted_attention_is_refused():
    with pytest.raises(InputError, match="counted_attention_share"):
        training_rate(RUN, REAL, 2.0)


def test_every_shipped_run_says_where_it_is_from():
    assert len({known.name for known in known_runs()}) == len(known_runs()) > 10
