"""A wrong deal is refused, and the complaint names the line and the field.

Goal: nobody underwrites on a number that cannot be meant.
Method: each example with one planted fault a case; hypothesis throws any text at the reader.
"""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.economics.finance.deal_yaml import load_deal
from gigawatt.errors import InputError

DEALS = Path(__file__).parents[3] / "examples" / "deals"
PHASED = (DEALS / "phased-build.yaml").read_text(encoding="utf-8")
SIMPLE = (DEALS / "take-or-pay.yaml").read_text(encoding="utf-8")
HALL = "  after:\n    asset: hall-1\n    lag: {value: 3, unit: months, illustrative: true}\n"


@pytest.mark.parametrize("path", sorted(DEALS.glob("*.yaml")), ids=lambda p: p.stem)
def test_examples_are_read_and_say_where_numbers_are_from(path: Path):
    deal = load_deal(path.read_text(encoding="utf-8"), path.name)
    assert deal.name == path.stem


@pytest.mark.parametrize(
    ("old", "new", "field", "words"),
    [
        ("life: {value: 72,", "life: {value: -72,", "assets[0].life", "-72 months, wanted 1"),
        ("availability: {value: 98,", "availability: {value: 101,", "revenue.availability", "101"),
        ("values: [55, 75, 70]", "values: [55, 175, 70]", "revenue.on_demand.utilisation", "175"),
        ("USD/GPU-h, illustrative: true}\n    take", "EUR/GPU-h, illustrative: true}\n    take",
         "revenue.offtake.rate", "currencies are mixed: got EUR, wanted USD"),
        ("rate: {value: 2.35, unit: USD/GPU-h,", "rate: {value: 2.35,", "revenue.offtake.rate.unit",
         "is missing"),
        ("rate: {value: 2.35, unit: USD/GPU-h,", "rate: {value: 2.35, unit: USD/GPU-s,",
         "revenue.offtake.rate", "unit 'USD/GPU-s', wanted 'USD/GPU-h'"),
        ("currency: USD", "currency: EUR", "currency", "got 'EUR'"),
        (HALL, HALL.replace("asset: hall-1", "asset: hall-3"), "assets[1].after",
         "circular: hall-2 -> hall-3 -> hall-2"),
        (HALL, HALL.replace("asset: hall-1", "asset: hall-2"), "assets[1].after", "circular"),
        (HALL, HALL.replace("asset: hall-1", "asset: hall-9"), "assets[1].after.asset", "hall-9"),
        (HALL, HALL.replace("lag: {value: 3,", "lag: {value: 70,"), "assets[1].after",
         "delivered in month 73, after the loan matures in month 69"),
        (HALL, HALL.replace("lag: {value: 3,", "lag: {value: 10,"), "assets[1].payments[0]",
         "paid in month 10, after the draw window ends in month 9"),
        (HALL, "", "assets[1]", "either 'delivered' or 'after'"),
        ("name: hall-2", "name: hall-1", "assets[0].name", "there twice"),
        ("share: {value: 30,", "share: {value: 40,", "assets[0].payments", "sum to 110 percent"),
        ("[20, 32, 19.2, 11.52, 11.52, 5.76]", "[20, 32]", "taxes.depreciation.values",
         "sum to 52"),
        ("[20, 32, 19.2, 11.52, 11.52, 5.76], unit: percent", "[100], unit: ratio",
         "taxes.depreciation.unit", "wanted 'percent'"),
        ("tenor: {value: 60,", "tenor: {value: 61,", "terms.tenor.value", "multiple of 3"),
        ("tenor: {value: 60,", "tenor: {value: 9,", "terms.tenor.value",
         "more than the draw window"),
        ("tenor: {value: 60,", "tenor: {value: 120,", "terms.tenor.value",
         "wanted <= the horizon 84"),
        ("rating: BBB", "rating: AA", "revenue.offtake.rating", "no margin for AA"),
        ("rating: BBB", "rating: BBB+", "revenue.offtake.rating", "BBB+"),
        ("gpus: {value: 16384,", "gpus: {value: 26384,", "revenue.offtake.gpus.value",
         "<= the 24,576"),
        ("lock_up: {value: 1.15,", "lock_up: {value: 1.01,", "covenants.default.value",
         "<= lock_up"),
        ("pue: {value: 1.25, unit: ratio, illustrative: true}", "pue: {value: 1.25, unit: ratio}",
         "costs.power.pue", "illustrative"),
        ("pue: {value: 1.25, unit: ratio, illustrative: true}",
         "pue: {value: 1.25, unit: ratio, illustrative: true, source: somewhere}",
         "costs.power.pue", "either"),
        ("pue: {value: 1.25,", "pue: {value: .nan,", "costs.power.pue.value", "finite"),
        ("pue: {value: 1.25,", "pue: {value: '1.25',", "costs.power.pue.value", "number"),
        ("  sweep:", "  swoop:", "terms.s", ""),
        ("months: [0, 12, 84]", "months: [0, 12, 12]", "revenue.on_demand.utilisation", "rise"),
        ("months: [0, 12, 84]", "months: [0, 12]", "revenue.on_demand.utilisation", "as many"),
        ("gpus: {value: 8192,", "gpus: {value: 9999999,", "revenue", "a period, wanted <="),
        ("gpus: {value: 8192, unit: GPUs, illustrative: true}\n  cost: {value: 52000,",
         "gpus: {value: 9999999, unit: GPUs, illustrative: true}\n  cost: {value: 152000,",
         "assets", "they cost $1520"),
        ("commissioning: {value: 1,", "commissioning: {value: 1.5,", "assets[0].commissioning",
         "whole"),
    ],
)  # fmt: skip
def test_a_fault_is_answered_with_line_and_field(old: str, new: str, field: str, words: str):
    assert old in PHASED
    with pytest.raises(InputError) as caught:
        load_deal(PHASED.replace(old, new, 1), "deal.yaml")
    message = str(caught.value)
    assert message.startswith("deal.yaml line ")
    assert f": {field}" in message
    assert words.replace(",", "") in message.replace(",", "")


def test_a_deal_without_revenue_is_refused():
    start, end = SIMPLE.index("  offtake:\n    tenant"), SIMPLE.index("costs:")
    with pytest.raises(InputError, match=r"revenue: wanted 'offtake', 'on_demand' or both"):
        load_deal(SIMPLE[:start] + SIMPLE[end:], "deal.yaml")


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_any_text_is_refused_with_a_reason(text: str):
    with pytest.raises(InputError):
        load_deal(text, "deal.yaml")


@settings(max_examples=30, deadline=None)
@given(st.integers(0, len(SIMPLE) - 1), st.integers(1, 40))
def test_a_deal_with_a_hole_is_read_or_refused(start: int, length: int):
    with suppress(InputError):
        load_deal(SIMPLE[:start] + SIMPLE[start + length :], "deal.yaml")
