"""When a waiting request could start.

Goal: the expected wait is demand over a measured rate, and is withheld where there is no basis.
Method: hypothesis draws releases and demand; each way of having no basis has a case.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.intent.forecast import FREED_COUNT_MIN, Demand, Freed, forecast
from gigawatt.units import DAY_S, HOUR_S

NOW_S = 1e9


def freed(*hours_ago: float, gpus: int = 8) -> list[Freed]:
    return [Freed(NOW_S - HOUR_S * hours, "h100", gpus) for hours in hours_ago]


def test_a_rate_of_the_last_day_is_held_against_the_demand_before():
    found = forecast(Demand(64, 32, 16), freed(1, 5, 20), NOW_S - 99 * DAY_S, NOW_S)
    assert found.wait_s == pytest.approx((64 + 32 - 16) / 24 * DAY_S)
    assert "64 GPUs wanted, 32 before them, 16 free" in found.basis
    assert "3 releases freed 24 GPUs in the last 24 h" in found.basis


def test_too_few_in_a_day_are_sought_in_a_week():
    found = forecast(Demand(8, 0, 0), freed(1, 30, 100), NOW_S - 99 * DAY_S, NOW_S)
    assert found.wait_s == pytest.approx(8 / 24 * 7 * DAY_S)
    assert "168 h" in found.basis


def test_a_young_record_is_not_stretched():
    found = forecast(Demand(24, 0, 0), freed(1, 2, 3), NOW_S - 4 * HOUR_S, NOW_S)
    assert found.wait_s == pytest.approx(4 * HOUR_S)


@pytest.mark.parametrize(
    ("demand", "rows", "word"),
    [
        (Demand(8, 0, 0), freed(1, 2), "fewer than"),
        (Demand(8, 0, 0), freed(200, 300, 400), "fewer than"),
        (Demand(8, 0, 64), freed(1, 2, 3), "not where they are needed"),
    ],
)
def test_without_a_basis_nothing_is_said(demand: Demand, rows: list[Freed], word: str):
    found = forecast(demand, rows, NOW_S - 99 * DAY_S, NOW_S)
    assert found.wait_s is None
    assert word in found.basis


@given(
    st.lists(st.floats(0.0, 160.0), min_size=FREED_COUNT_MIN, max_size=20),
    st.integers(1, 512),
    st.integers(0, 512),
)
def test_more_before_it_is_never_sooner(hours, own, ahead):
    rows = freed(*hours)
    waits = [
        forecast(Demand(own, more, 0), rows, NOW_S - 99 * DAY_S, NOW_S).wait_s
        for more in (ahead, ahead + 8)
    ]
    assert waits[0] is not None
    assert waits[1] is not None
    assert 0 < waits[0] < waits[1]
