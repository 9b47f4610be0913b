"""Economic life, residual value, and when to do what with a GPU.

Goal: life ends where rent meets cash cost, the fits find what was planted, and the best plan is
never worse than any simple one.
Method: closed forms; planted log-linear prices with noise; brute force over all dates of sale; real
prices, where a table of them is named by an environment variable.
"""

import os
from dataclasses import replace
from math import exp, inf, log
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.economics.life.decay import PricePoint, decay_of_ends, fit_decay, parse_prices
from gigawatt.economics.life.plan import (
    LifeInputs,
    best_plan,
    economic_life_years,
    rental_annuity_usd,
)
from gigawatt.errors import DataError, InputError

MARKET = LifeInputs(
    rent_usd_per_gpu_hour=2.5, rent_slope_per_year=-0.2, cash_usd_per_gpu_hour=0.65,
    resale_usd=25_000.0, resale_slope_per_year=-0.25,
)  # fmt: skip
slopes = st.floats(-1.0, 0.3)


def planted(slope: float, noise: float, seed: int = 3) -> list[PricePoint]:
    chance = np.random.default_rng(seed)
    years = np.sort(2023 + 3 * chance.random(200))
    return [
        PricePoint("g", float(y), 1e4 * exp(slope * (y - 2023) + noise * chance.standard_normal()))
        for y in years
    ]


@given(st.floats(0.1, 10), st.floats(0.05, 5), st.floats(-1.0, -0.01))
def test_life_ends_where_rent_meets_cash(rent: float, cash: float, slope: float):
    years = economic_life_years(rent, slope, cash)
    if rent <= cash:
        assert years == 0
    else:
        assert rent * exp(slope * years) == pytest.approx(cash)


def test_rent_that_does_not_fall_never_ends_a_life():
    assert economic_life_years(2.0, 0.0, 0.5) == inf
    # Rents of an old GPU rose by 44 % between two price lists: no end in sight.
    assert economic_life_years(0.55, log(0.79 / 0.55), 0.3) == inf


@pytest.mark.parametrize("slope", [-0.6, -0.25, 0.1])
def test_a_planted_decay_is_found_within_its_error(slope: float):
    fitted = fit_decay(planted(slope, 0.1))
    assert fitted.slope_per_year == pytest.approx(slope, abs=4 * fitted.slope_error_per_year)
    low, high = fitted.change_share_interval()
    assert low < fitted.change_share_per_year < high
    assert 0 < fitted.slope_error_per_year < 0.05
    assert fitted.price_usd(2023.0) == pytest.approx(1e4, rel=0.1)


def test_more_noise_is_more_error_and_a_seed_is_an_answer():
    quiet, loud = (fit_decay(planted(-0.3, noise)) for noise in (0.05, 0.5))
    assert loud.slope_error_per_year > 3 * quiet.slope_error_per_year
    assert fit_decay(planted(-0.3, 0.05)) == quiet


def test_days_that_copy_each_other_do_not_shrink_the_error():
    points = planted(-0.3, 0.3)
    doubled = sorted(points + points, key=lambda p: p.year)
    ours, theirs = fit_decay(points), fit_decay(doubled)
    assert theirs.slope_error_per_year == pytest.approx(ours.slope_error_per_year)


def test_published_ends():
    # V100: 8,678 to 1,981 USD from 2023-04 to 2025-08; through its ends 47 % a year.
    v100 = decay_of_ends(8_678, 1_981, 2023 + 3.5 / 12, 2025 + 7.5 / 12)
    assert v100.change_share_per_year == pytest.approx(-0.46, abs=0.02)
    with pytest.raises(InputError, match="last_year - first_year"):
        decay_of_ends(1.0, 1.0, 2025.0, 2025.0)


def test_annuity_falls_with_age_and_ends_with_life():
    worths = [rental_annuity_usd(MARKET, age) for age in range(8)]
    assert worths == sorted(worths, reverse=True)
    life = economic_life_years(2.5, -0.2, 0.65)
    assert rental_annuity_usd(MARKET, life) == 0
    assert rental_annuity_usd(MARKET, life - 0.1) > 0


def test_flat_rent_is_the_closed_form():
    flat = replace(MARKET, rent_slope_per_year=0.0, discount_rate_share=0.0, horizon_years=5)
    assert rental_annuity_usd(flat) == pytest.approx(5 * 8760 * 0.85 * (2.5 - 0.65))


@given(slopes, slopes, st.floats(0, 60_000), st.floats(0.05, 2.0), st.floats(0.0, 0.3))
def test_best_plan_beats_every_simple_plan(rent, resale, price, cash, rate):
    market = replace(
        MARKET, rent_slope_per_year=rent, resale_slope_per_year=resale, resale_usd=price,
        cash_usd_per_gpu_hour=cash, discount_rate_share=rate, horizon_years=6,
    )  # fmt: skip
    best = best_plan(market)[0].worth_usd
    hours = 8760 * market.utilisation_share
    for rent_at in (market.rent_usd, market.inference_rent_usd):
        for end in range(7):
            worth = market.liquidation_usd(float(end)) * (1 + rate) ** -end
            for year in range(end):
                earned = (rent_at(year + 0.5) - market.cash_usd(year + 0.5)) * hours
                worth += earned * (1 + rate) ** -(year + 0.5)
            assert best >= worth - 1e-6 * abs(worth) - 1e-6


def test_a_worthless_gpu_is_retired_and_a_dear_one_sold():
    idle = replace(MARKET, rent_usd_per_gpu_hour=0.1, resale_usd=0.0, inference_rent_share=0.5)
    assert {year.action for year in best_plan(idle)} == {"retire"}
    dear = replace(MARKET, resale_usd=1e6)
    assert best_plan(dear)[0].action == "sell"


def test_redeployment_to_inference_comes_when_training_rent_falls_below():
    actions = [year.action for year in best_plan(MARKET)]
    assert actions[0] == "train"
    assert "infer" in actions
    assert actions.index("infer") < len(actions) - actions[::-1].index("infer")


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"rent_usd_per_gpu_hour": 0.0}, "rent_usd_per_gpu_hour"),
        ({"resale_usd": -1.0}, "resale_usd"),
        ({"utilisation_share": 1.5}, "utilisation_share"),
        ({"sale_cost_share": 15}, "sale_cost_share"),
        ({"rent_slope_per_year": -20.0}, "rent_slope_per_year"),
        ({"horizon_years": 0}, "horizon_years"),
        ({"horizon_years": 100}, "horizon_years"),
        ({"discount_rate_share": -0.1}, "discount_rate_share"),
    ],
)
def test_wrong_market_is_refused_with_its_field(changed, field: str):
    with pytest.raises(InputError, match=field):
        replace(MARKET, **changed)


def test_wrong_price_tables_are_refused():
    head = "gpu,date,usd\n"
    with pytest.raises(DataError, match="date"):
        parse_prices(head + "g,yesterday,5\n", "p.csv", "g")
    with pytest.raises(InputError, match="no price"):
        parse_prices(head + "g,2024-01-01,5\n", "p.csv", "h")
    with pytest.raises(InputError, match="usd"):
        parse_prices(head + "g,2024-01-01,0\n", "p.csv", "g")
    with pytest.raises(InputError, match="points"):
        fit_decay(parse_prices(head + "g,2024-01-01,5\n", "p.csv", "g"))


@pytest.mark.parametrize(
    ("gpu", "change", "tolerance"),
    [
        ("NVIDIA Tesla V100 SXM2 32 GB", -0.46, 0.03),
        ("NVIDIA A100 40GB PCle", -0.09, 0.03),
        ("NVIDIA Tesla P100 PCIe 16 GB", -0.44, 0.03),
        ("NVIDIA Tesla T4", -0.25, 0.03),
        ("NVIDIA H100 PCIe 80 GB", -0.22, 0.04),
    ],
)
def test_real_resale_prices_fall_as_published(gpu: str, change: float, tolerance: float):
    named = os.environ.get("GIGAWATT_RESALE_CSV")
    if not named:
        pytest.skip("GIGAWATT_RESALE_CSV names no table of used prices (gpu, date, usd)")
    fitted = fit_decay(parse_prices(Path(named).read_text(encoding="utf-8"), named, gpu))
    assert fitted.change_share_per_year == pytest.approx(change, abs=tolerance)
