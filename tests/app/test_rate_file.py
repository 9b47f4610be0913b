"""Goal: a rate card in a file becomes exactly its rows, or is refused with the row that is wrong.

Method: texts as people write them, good and bad.
"""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.app.market.rate_file import read_rate_file
from gigawatt.errors import InputError
from gigawatt.intent.amounts import duration_s_of, micro_usd_of

CSV = """gpu_type,term,price_usd_per_gpu_hour,valid_from,months_min,note
h100,on_demand,2.49,,,
h100,reserved,1.999999,2027-01-01,12,a year
"""
YAML = """rates:
- gpu_type: h100
  price_usd_per_gpu_hour: 2.49
- {gpu_type: h100, term: reserved, price_usd_per_gpu_hour: "1.999999", valid_from: 2027-01-01,
   months_min: 12, note: a year}
"""


def test_csv_and_yaml_say_the_same():
    rows = read_rate_file(CSV, is_csv=True)
    assert rows == read_rate_file(YAML, is_csv=False)
    assert [row.price_micro_usd_per_gpu_hour for row in rows] == [2_490_000, 1_999_999]
    assert rows[1].valid_from == datetime(2027, 1, 1, tzinfo=UTC)
    assert (rows[1].month_count_min, rows[1].note) == (12, "a year")


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "has 0 rows"),
        ("gpu_type,price\nh100,2\n", "row 1 of the rate card has 'price'"),
        ("gpu_type,term\nh100,spot\n", "has no price_usd"),
        ("gpu_type,price_usd_per_gpu_hour\nh100,-2\n", "'-2' is no amount"),
        ("gpu_type,price_usd_per_gpu_hour\nh100,2.1234567\n", "'2.1234567' is no amount"),
        ("gpu_type,price_usd_per_gpu_hour\nh100,2,3\n", "cells"),
        ("gpu_type,price_usd_per_gpu_hour,gpus_min\nh100,2,no\n", "row 1.*gpu_count_min"),
        ("gpu_type,price_usd_per_gpu_hour,valid_from\nh100,2,soon\n", "'soon' is no date"),
        ("gpu_type,price_usd_per_gpu_hour\n" + "h100,2\n" * 1_001, "1001 rows"),
    ],
)
def test_a_csv_that_is_no_card_is_refused_by_row(text, word):
    with pytest.raises(InputError, match=word):
        read_rate_file(text, is_csv=True)


@pytest.mark.parametrize("text", ["rates: 5", "- 1", "rates: [1]", "rates:\n- {gpu_type: h100}"])
def test_a_yaml_that_is_no_card_is_refused(text):
    with pytest.raises(InputError):
        read_rate_file(text, is_csv=False)


@given(st.integers(0, 10**12))
def test_dollars_are_exact(amount_micro_usd):
    text = f"{amount_micro_usd // 10**6}.{amount_micro_usd % 10**6:06d}"
    assert micro_usd_of(text) == amount_micro_usd


@pytest.mark.parametrize("text", ["", "72", "0h", "-1h", "1.5h", "1 year"])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(InputError):
        duration_s_of(text)
