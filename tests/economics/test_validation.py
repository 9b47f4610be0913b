"""Published measurements against what we compute.

Goal: the errors that we print are earned: no constant belongs to one row, the shipped constants
are the fit, the published serving day comes out, and a row not computed says why.
Method: fit again and compare; leave a system out; hold the errors below bounds a little
above those measured; plant wrong rows and wrong tables.
"""

from dataclasses import fields, replace
from functools import cache

import pytest

from gigawatt.economics.validation.constants import CONSTANTS, Constants
from gigawatt.economics.validation.judge import Judged, family_of, fit, judge, judged, scores
from gigawatt.economics.validation.measurement import parse_measurements, published_measurements
from gigawatt.economics.validation.serving_day import DEEPSEEK_DAY, ServingDay, node_rates
from gigawatt.economics.validation.serving_rows import engine_of
from gigawatt.economics.validation.training_rows import run_of
from gigawatt.errors import DataError, InputError

ROWS = published_measurements()


@cache
def refit() -> Constants:
    return fit(ROWS)


@cache
def without_h200() -> tuple[Judged, ...]:
    """Rows of the H200, judged by constants fitted without them."""
    constants = fit([row for row in ROWS if row.system_label != "H200-SXM-141GB"])
    return judge([row for row in ROWS if row.system_label == "H200-SXM-141GB"], constants)


def test_shipped_constants_are_the_fit():
    for part in ("serving", "training"):
        ours, again = getattr(CONSTANTS, part), getattr(refit(), part)
        for field in fields(ours):
            assert getattr(ours, field.name) == pytest.approx(getattr(again, field.name), rel=0.01)
    assert CONSTANTS.mlperf_offline_ratio == pytest.approx(refit().mlperf_offline_ratio, rel=0.01)
    assert CONSTANTS.mlperf_served_ratio == pytest.approx(refit().mlperf_served_ratio, rel=0.01)
    assert CONSTANTS.load_power_share == pytest.approx(refit().load_power_share, rel=0.01)


def test_errors_by_family_stay_below_what_was_measured():
    bounds = {
        "training": 0.12,
        "full-load throughput": 0.15,
        "time per token": 0.08,
        "MLPerf offline": 0.13,
        "MLPerf served": 0.30,
        "server power": 0.08,
        "speed of a node": 0.15,
        "serving day": 0.01,
        "arithmetic": 0.001,
    }
    found = {score.family: score for score in scores(judge(ROWS))}
    for family, bound in bounds.items():
        assert found[family].error_share_median < bound, family
    assert sum(score.row_count for score in found.values()) >= 185


def test_a_system_that_the_fit_never_saw_is_met_nearly_as_well():
    found = {score.family: score for score in scores(without_h200())}
    assert found["full-load throughput"].error_share_median < 0.3
    assert found["time per token"].error_share_median < 0.2


def test_the_published_day_needs_its_nodes():
    nodes = DEEPSEEK_DAY.node_count(73_700.0, 14_800.0)
    assert nodes == pytest.approx(226.75, rel=0.001)
    assert DEEPSEEK_DAY.cost_usd(226.75) == pytest.approx(87_072)
    assert DEEPSEEK_DAY.revenue_usd == pytest.approx(562_027, rel=0.001)


def test_the_roofline_alone_finds_the_nodes_of_that_day():
    prefill, decode = node_rates(DEEPSEEK_DAY, CONSTANTS.serving)
    assert prefill == pytest.approx(73_700, rel=0.15)
    assert decode == pytest.approx(14_800, rel=0.15)
    assert DEEPSEEK_DAY.node_count(prefill, decode) == pytest.approx(226.75, rel=0.05)


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"input_llm_tokens": 0.0}, "input_llm_tokens"),
        ({"output_llm_tokens": -1.0}, "output_llm_tokens"),
        ({"cached_input_share": 56.3}, "cached_input_share"),
    ],
)
def test_a_wrong_day_is_refused(changed: dict[str, float], field: str):
    with pytest.raises(InputError, match=field):
        replace(DEEPSEEK_DAY, **changed)


def test_a_day_without_speed_is_refused():
    day = ServingDay(1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0)
    with pytest.raises(InputError, match="decode_per_node_s"):
        day.node_count(1.0, 0.0)


def test_every_row_is_computed_or_says_why_not():
    for result in judge(ROWS):
        assert (result.computed_value is None) == bool(result.reason), result.row


def test_a_planted_error_is_a_miss():
    row = next(r for r in ROWS if family_of(r) == "time per token")
    honest = judged(row, CONSTANTS)
    assert not honest.is_miss
    assert judged(replace(row, value=row.value * 10), CONSTANTS).is_miss
    wrong = scores([judged(replace(row, value=row.value * 10), CONSTANTS)])[0]
    assert wrong.error_share_median > 0.8
    assert len(wrong.misses) == 1


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"system": "abacus"}, "abacus"),
        ({"language_model_name": "eliza"}, "eliza"),
        ({"precision": "ternary"}, "ternary"),
        ({"metric": "TPOT of something"}, "names no lengths"),
    ],
)
def test_an_unknown_row_is_not_computed_and_says_why(changed: dict[str, str], said: str):
    row = next(r for r in ROWS if family_of(r) == "time per token")
    result = judged(replace(row, **changed), CONSTANTS)
    assert result.computed_value is None
    assert said in result.reason


def test_throughput_of_all_gpus_is_that_of_one_times_their_count():
    row = next(r for r in ROWS if "output throughput per GPU" in r.metric and "DEP8" in r.notes)
    one = judged(row, CONSTANTS).computed_value
    metric = row.metric.replace(" per GPU", "")
    whole = judged(replace(row, metric=metric, unit="tok/s"), CONSTANTS).computed_value
    assert one is not None
    assert whole == pytest.approx(8 * one)


def test_data_parallel_attention_is_read_from_the_metric():
    row = next(r for r in ROWS if r.metric.startswith("TPOT") and "R1" in r.language_model_name)
    spread = replace(row, metric=row.metric.replace("tp8.0 dp1.0", "tp1.0 dp8.0"))
    made = engine_of(spread)
    assert (made.gpu_count, made.is_attention_replicated) == (8, True)
    assert not engine_of(row).is_attention_replicated


def test_an_unknown_layout_gets_a_usual_one():
    row = next(r for r in ROWS if r.unit == "tok/s" and family_of(r) == "training")
    strange = replace(row, accelerator_count=1536, language_model_name="llama-3.1-70b")
    known = run_of(strange)
    assert known.name == "assumed layout"
    assert known.run.gpu_count == 1536
    assert known.run.passes_per_step >= known.run.pipeline_ways
    with pytest.raises(InputError, match="no layout"):
        run_of(replace(strange, accelerator_count=None))


HEADER = "source,table,system,model,precision,num_accelerators,metric,value,unit,notes\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        (HEADER + "a,b,c\n", "3 cells"),
        (HEADER + "a,b,H100,m,fp8,8,MFU,forty,%,\n", "forty"),
        (HEADER + "a,b,H100,m,fp8,8.5,MFU,40,%,\n", "num_accelerators"),
        (HEADER + "a,b,H100,m,fp8,8,MFU,nan,%,\n", "nan"),
        (HEADER.replace("unit,", "") + "a,b,H100,m,fp8,8,MFU,40,\n", "unit"),
    ],
)
def test_a_wrong_table_says_where(text: str, said: str):
    with pytest.raises(DataError, match=said):
        parse_measurements(text, "mine.csv")
