"""Inference at the roofline.

Goal: the physics holds whatever the constants: nothing is faster than the limits, more memory,
bandwidth or GPUs never make it slower, and the parts of a pass add up.
Method: properties over language models, chips and lengths; closed forms for small cases.
"""

from dataclasses import replace
from importlib.resources import files

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.economics.chain.energy import ItLoad, LoadAssumption, PowerPath, energy_balance
from gigawatt.economics.chain.fleet_chain import ChainRequest, fleet_chain, output_llm_tokens_per_s
from gigawatt.economics.chain.ledger import Service, smallest_engine, token_ledger
from gigawatt.economics.chain.serving import (
    Engine,
    Traffic,
    fastest_rate,
    first_token_s,
    pass_time,
    prefill_s,
    serving_rate,
)
from gigawatt.economics.chain.silicon import Precision, silicon_of
from gigawatt.economics.models.llm import (
    LanguageModel,
    language_model,
    language_models,
    parse_language_models,
)
from gigawatt.economics.validation.constants import CONSTANTS
from gigawatt.errors import DataError, InputError, NoCapacityError, UnknownIdError
from gigawatt.fleet.catalogue import accelerator
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet

REAL = CONSTANTS.serving
IDEAL = replace(
    REAL, compute_share=1.0, expert_compute_share=1.0, memory_share=1.0, link_share=1.0,
    layer_s=0.0, moe_layer_s=0.0, sequence_s=0.0, collective_s=0.0, eager_layer_s=0.0,
    eager_moe_layer_s=0.0, prompt_wait_share=0.0,
)  # fmt: skip
H100 = silicon_of(accelerator("H100-SXM5-80GB"))
H200 = silicon_of(accelerator("H200-SXM-141GB"))
LLAMA = language_model("llama-3.1-70b")
shapes = st.sampled_from(language_models())
lengths = st.builds(Traffic, st.floats(64, 8192), st.floats(16, 4096))


def engine(shape: LanguageModel = LLAMA, count: int = 2) -> Engine:
    return Engine(shape, H200, Precision.FP8, count)


@pytest.mark.parametrize(
    ("name", "active"),
    [
        ("llama-3.1-70b", 69.5e9), ("mixtral-8x7b", 12.9e9), ("deepseek-v3", 37e9),
        ("gpt-oss-120b", 5.1e9), ("gpt-oss-20b", 3.6e9), ("qwen3-235b-a22b", 22e9),
        ("llama-4-maverick", 17e9), ("kimi-k2", 32e9), ("qwen3-30b-a3b", 3.3e9),
    ],
)  # fmt: skip
def test_active_parameters_are_those_the_makers_name(name: str, active: float):
    # Makers count the embedding or not.
    shape = language_model(name)
    counts = (
        shape.active_parameter_count,
        shape.active_parameter_count + shape.lookup_parameter_count,
    )
    assert min(abs(count / active - 1) for count in counts) < 0.035


@pytest.mark.parametrize(
    ("spelling", "name"),
    [
        ("Llama 3 405B", "llama-3.1-405b"), ("openai/gpt-oss-120b", "gpt-oss-120b"),
        ("DeepSeek-R1-0528", "deepseek-v3"), ("GPT-3 175B", "gpt-3-175b"),
    ],
)  # fmt: skip
def test_other_spellings_are_understood(spelling: str, name: str):
    assert language_model(spelling).name == name


def test_unknown_language_model_is_refused():
    with pytest.raises(UnknownIdError, match="eliza"):
        language_model("eliza")


def test_known_cache_sizes():
    # 80 layers x 2 x 8 heads x 128, one byte each; and 61 layers x 576 of DeepSeek.
    assert LLAMA.key_value_bytes(1, 1.0) == 163_840
    assert language_model("deepseek-v3").key_value_bytes(1, 2.0) == 61 * 576 * 2
    # Half of the layers of gpt-oss see 128 tokens only.
    assert language_model("gpt-oss-120b").mean_context_llm_tokens(1128) == pytest.approx(628)


@given(shapes, st.floats(1, 1e6))
def test_share_of_experts_touched_is_a_share(shape: LanguageModel, count: float):
    share = shape.touched_expert_share(count)
    assert 0 <= share <= 1
    if shape.expert_count:
        assert share * shape.expert_count <= count * shape.expert_active_count + 1e-6


def test_one_answer_alone_waits_for_the_weights():
    pushed = pass_time(engine(), IDEAL, 1.0, 1.0, sequences=1.0, is_decode=True)
    weights_s = LLAMA.dense_parameter_count / 2 / H200.memory_bytes_per_s
    assert pushed.dense_s == pytest.approx(weights_s)
    assert pushed.expert_s == 0


def test_a_long_prompt_is_limited_by_arithmetic():
    pushed = pass_time(engine(), IDEAL, 8192.0, 1.0, sequences=1.0, is_decode=False)
    flops = 2 * LLAMA.dense_parameter_count * 8192
    assert pushed.dense_s == pytest.approx(flops / 2 / H200.peak(Precision.FP8))


@settings(max_examples=40, deadline=None)
@given(shapes, lengths, st.sampled_from([8, 16]), st.booleans())
def test_no_engine_beats_its_limits(shape, traffic, count, is_spread):
    made = Engine(shape, H200, Precision.FP8, count, is_spread and bool(shape.expert_count))
    try:
        rate = fastest_rate(made, REAL, traffic)
    except NoCapacityError:
        return
    flops = 2 * shape.active_parameter_count * rate.output_llm_tokens_per_s
    flops += 2 * shape.active_parameter_count * rate.input_llm_tokens_per_s
    assert flops <= H200.peak(Precision.FP8) * count
    ideal = serving_rate(made, IDEAL, traffic, rate.sequence_count)
    assert ideal.output_llm_tokens_per_s >= rate.output_llm_tokens_per_s
    parts = rate.decode
    total = sum(getattr(parts, name) for name in parts.__slots__)
    assert total == pytest.approx(parts.total_s)


@settings(max_examples=40, deadline=None)
@given(lengths, st.floats(1, 200), st.floats(1.0, 3.0))
def test_more_bandwidth_or_arithmetic_never_slows(traffic, users, factor):
    base = engine()
    for better in (
        replace(H200, memory_bytes_per_s=H200.memory_bytes_per_s * factor),
        replace(H200, peak_flop_per_s={k: v * factor for k, v in H200.peak_flop_per_s.items()}),
        replace(H200, scale_up_bytes_per_s=H200.scale_up_bytes_per_s * factor),
    ):
        quick = serving_rate(replace(base, silicon=better), REAL, traffic, users)
        assert quick.llm_token_s <= serving_rate(base, REAL, traffic, users).llm_token_s * (
            1 + 1e-9
        )


@settings(max_examples=30, deadline=None)
@given(lengths, st.floats(5, 100))
def test_a_limit_on_speed_is_kept_and_costs_throughput(traffic, speed):
    free = fastest_rate(engine(count=4), REAL, traffic)
    try:
        kept = fastest_rate(engine(count=4), REAL, traffic, 1.0 / speed)
    except NoCapacityError:
        return
    assert kept.llm_token_s <= 1.0 / speed
    assert kept.output_llm_tokens_per_s <= free.output_llm_tokens_per_s * (1 + 1e-9)


def test_hidden_exchange_costs_only_what_sticks_out():
    shape = language_model("deepseek-v3")
    plain = Engine(shape, H200, Precision.FP8, 32, is_attention_replicated=True)
    hidden = replace(plain, is_exchange_hidden=True)
    seen, unseen = (
        pass_time(e, REAL, 4096.0, 2000.0, sequences=64.0, is_decode=False) for e in (plain, hidden)
    )
    work_s = seen.total_s - seen.link_s - seen.launch_s
    assert unseen.total_s == pytest.approx(max(work_s, seen.link_s) + seen.launch_s)


def test_cached_prompts_cost_nothing():
    assert prefill_s(engine(), REAL, Traffic(1000, 100, 1.0)) == 0
    half = prefill_s(engine(), REAL, Traffic(1000, 100, 0.5))
    assert 0 < half < prefill_s(engine(), REAL, Traffic(1000, 100))


def test_more_users_wait_longer_for_the_first_token():
    times = [first_token_s(engine(), REAL, Traffic(1024, 1024), n) for n in (1.0, 16.0, 64.0)]
    assert times == sorted(times)


def test_what_does_not_fit_is_said():
    with pytest.raises(NoCapacityError, match="does not fit"):
        Engine(language_model("deepseek-v3"), H100, Precision.FP8, 1).sequence_count_max(100)
    with pytest.raises(NoCapacityError):
        fastest_rate(engine(), REAL, Traffic(1000, 1000), 1e-6)
    with pytest.raises(NoCapacityError):
        smallest_engine(language_model("megatron-1t"), H100, Precision.BF16, 1e7)


def test_wrong_engines_and_traffic_are_refused():
    with pytest.raises(InputError, match="is_attention_replicated"):
        Engine(LLAMA, H200, Precision.FP8, 8, is_attention_replicated=True)
    with pytest.raises(InputError, match="gpu_count"):
        Engine(LLAMA, H200, Precision.FP8, 0)
    with pytest.raises(InputError, match="output_llm_tokens"):
        Traffic(10, 0)
    with pytest.raises(InputError, match="cached_input_share"):
        Traffic(10, 10, 56.3)
    with pytest.raises(InputError, match="compute_share"):
        replace(REAL, compute_share=0.0)
    with pytest.raises(InputError, match="layer_s"):
        replace(REAL, layer_s=-1e-6)
    with pytest.raises(InputError, match="scale_out_bytes_per_s"):
        silicon_of(accelerator("L40S"), 0.0)


def test_a_chip_without_fp4_runs_it_wider():
    assert H200.peak(Precision.FP4) == H200.peak(Precision.FP8)
    assert silicon_of(accelerator("A100-SXM4-80GB")).peak(Precision.FP8) == 312e12


def test_ledger_ties_tokens_joules_and_dollars():
    balance = energy_balance(PowerPath(0.5, 1.0, 1.25), ItLoad(5_600.0, 4_600.0, 0.0, 0.0))
    service = Service(Traffic(1000, 1000), 8, 2.0)
    ledger = token_ledger(engine(count=4), REAL, service, balance)
    rate = ledger.output_llm_tokens_per_s
    assert ledger.joules_per_output_llm_token["IT"] * rate == pytest.approx(10_200)
    assert ledger.joules_per_output_llm_token["source"] * rate == pytest.approx(25_500)
    assert ledger.output_llm_tokens_per_usd * 16 == pytest.approx(rate * 3600)
    per_million = ledger.cost_usd_per_million_output_llm_tokens
    assert per_million * ledger.output_llm_tokens_per_usd == pytest.approx(1e6)
    assert sum(r.time_share for r in ledger.ladder) == pytest.approx(1.0)
    assert 0 < ledger.useful_flop_share < 1
    with pytest.raises(InputError, match="gpu_count"):
        token_ledger(engine(count=16), REAL, service, balance)


def test_a_fleet_of_several_types_is_followed_type_by_type():
    request = ChainRequest(
        LLAMA, Precision.FP8, Traffic(1000, 1000), PowerPath(), LoadAssumption(), 2.0
    )
    result = fleet_chain(mixed_fleet(), request, REAL)
    facility = sum(part.balance.power_w("facility") for part in result.types)
    assert facility == pytest.approx(result.balance.power_w("facility"))
    assert sum(part.gpu_count for part in result.types) == mixed_fleet().gpu_count
    assert len(result.rows()) == len(result.types)
    assert output_llm_tokens_per_s(result) > 0
    big = replace(request, shape=language_model("megatron-1t"), precision=Precision.BF16,
                  traffic=Traffic(1e6, 1e6))  # fmt: skip
    refused = fleet_chain(hgx_fleet(80), big, REAL).types[0]
    assert refused.ledger is None
    assert "does not fit" in refused.reason


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("parameter_count", "parameters", "parameter_count"),
        ("8030261248", "eight billion", "line 3"),
        (",32,4096,", ",32.5,4096,", "layer_count"),
        (",32,4096,", ",0,4096,", "layer_count"),
        ("46702792704", "6702792704", "mixtral"),
    ],
)
def test_a_wrong_table_says_where(old: str, new: str, said: str):
    text = files("gigawatt.economics.models").joinpath("llm.csv").read_text(encoding="utf-8")
    with pytest.raises(DataError, match=said):
        parse_language_models(text.replace(old, new, 1))
