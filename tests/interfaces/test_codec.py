"""JSON of entries, targets, plans and requests.

Goal: what is written down reads back as the same value, and what is damaged is refused by name.
Method: random values of every class there and back; texts with one thing wrong.
"""

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.boundary.entries import Entry
from gigawatt.boundary.target import ClusterTarget
from gigawatt.errors import DataError
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces import codec
from gigawatt.planner.plan import Plan, PlanReport, Stage, make_step

entries = st.from_type(Entry)
texts = st.text(st.characters(codec="utf-8"), max_size=8)


@given(entries)
def test_an_entry_reads_back_as_itself(entry):
    again = codec.entry_from_json(codec.entry_to_json(entry))
    assert again == entry
    assert type(again) is type(entry)
    assert again.key == entry.key


@given(st.lists(entries, max_size=6))
def test_entries_keep_their_order(some):
    assert codec.entries_from_json(codec.entries_to_json(some)) == tuple(some)


@settings(max_examples=50)
@given(st.builds(ClusterRequest))
def test_a_request_reads_back_as_itself(request):
    again = codec.request_from_json(codec.request_to_json(request))
    assert again == request
    assert type(again.keep_together) is type(request.keep_together)


@settings(max_examples=50)
@given(st.builds(ClusterTarget))
def test_a_target_reads_back_as_itself(target):
    assert codec.target_from_json(codec.target_to_json(target)) == target


finite = st.floats(allow_nan=False, allow_infinity=False)
steps = st.builds(
    lambda action, some: make_step(action, some[0].plane, some[0].device, some, None),
    st.sampled_from(["ensure", "remove"]),
    st.lists(entries, min_size=1, max_size=3),
)
stages = st.builds(Stage, texts, st.lists(steps, max_size=3).map(tuple), st.booleans())


plans = st.builds(
    Plan,
    stages=st.lists(stages, max_size=2).map(tuple),
    report=st.builds(PlanReport, expected_s=finite),
    created_s=finite,
    expires_s=finite,
)


@settings(max_examples=30)
@given(plans)
def test_a_plan_reads_back_as_itself(plan):
    again = codec.plan_from_json(codec.plan_to_json(plan))
    assert again == plan
    assert [step.key for step in again.steps] == [step.key for step in plan.steps]
    assert {field.name for field in fields(again)} == {field.name for field in fields(plan)}


@pytest.mark.parametrize(
    ("read", "text", "match"),
    [
        (codec.entry_from_json, "{", "an entry"),
        (codec.entry_from_json, '{"kind": "door"}', "door"),
        (codec.entry_from_json, '{"kind": "export", "pool_id": "p", "vni": 1}', "filesystem"),
        (codec.entries_from_json, "{}", "list of entries"),
        (codec.target_from_json, "{}", "cluster_id"),
        (codec.plan_from_json, '{"plan_id": 5}', "plan_id"),
    ],
)
def test_a_damaged_text_is_refused_and_says_where(read, text, match):
    with pytest.raises(DataError, match=match):
        read(text)
