"""Chance is drawn as promised, and the same seed gives the same answer.

Goal: percentiles and probabilities mean what the term sheet says.
Method: moments and correlations of many draws against their closed forms; degenerate risks give
the plan back.
"""

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gigawatt.economics.finance.cases import NEVER
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.monte_carlo import correlation_of, draw_cases, simulate
from gigawatt.economics.finance.tornado import tornado
from gigawatt.economics.finance.underwriting import Figures, underwrite
from gigawatt.errors import InputError

DEALS = Path(__file__).parents[3] / "examples" / "deals"


def data_of(name: str) -> Any:
    return yaml.safe_load((DEALS / f"{name}.yaml").read_text(encoding="utf-8"))


def deal_of(name: str, **risks: float) -> Deal:
    data = data_of(name)
    for key, value in risks.items():
        data["risks"][key]["value"] = value
    return Deal.model_validate(data)


def test_same_seed_same_answer():
    signed = underwrite(deal_of("phased-build"))
    first, again, other = (simulate(signed, np.random.default_rng(seed), 300) for seed in (7, 7, 8))
    for name in Figures.__slots__:
        assert np.array_equal(
            getattr(first.figures, name), getattr(again.figures, name), equal_nan=True
        )
    assert not np.array_equal(first.figures.equity_irr, other.figures.equity_irr)


def test_without_risk_every_case_is_the_plan():
    data = data_of("phased-build")
    for key in ("price_volatility", "utilisation_volatility", "delay_mean", "delay_deviation"):
        data["risks"][key]["value"] = 0
    data["revenue"]["offtake"]["default_rate"]["value"] = 0
    signed = underwrite(Deal.model_validate(data))
    found = simulate(signed, np.random.default_rng(1), 20)
    assert found.figures.equity_irr == pytest.approx(
        np.full(20, signed.figures.equity_irr[0]), rel=1e-9
    )
    assert found.exceeded("dscr_min", 0.99) == pytest.approx(signed.figures.dscr_min[0], rel=1e-9)


def test_draws_have_the_moments_and_correlations_that_were_asked_for():
    deal = deal_of("phased-build", price_reversion=0, delay_mean=12, delay_deviation=3)
    cases = draw_cases(deal, np.random.default_rng(3), 20_000)
    last = np.log(cases.price_ratio[:, -1])
    years = deal.horizon.value / 12
    assert last.std() == pytest.approx(0.30 * years**0.5, rel=0.03)
    assert cases.price_ratio[:, -1].mean() == pytest.approx(1.0, abs=0.05)
    odds = np.log(cases.utilisation_odds[:, -1])
    assert np.corrcoef(last, odds)[0, 1] == pytest.approx(0.5, abs=0.03)
    steps = np.diff(np.log(cases.price_ratio), axis=1)
    assert np.corrcoef(steps[:, 10], steps[:, 11])[0, 1] == pytest.approx(0.0, abs=0.03)
    assert cases.delay_months.mean() == pytest.approx(12.0, abs=0.1)
    assert cases.delay_months.std() == pytest.approx(3.0, rel=0.05)
    gone = cases.default_month <= 60
    assert gone.mean() == pytest.approx(1 - exp(-0.015 * 5), abs=0.01)
    assert last[gone].mean() < last[~gone].mean() - 0.1
    assert cases.delay_months[gone].mean() > cases.delay_months[~gone].mean()


def test_a_deal_without_an_offtaker_has_nobody_to_default():
    cases = draw_cases(deal_of("on-demand"), np.random.default_rng(1), 100)
    assert np.all(cases.default_month == NEVER)


def test_chances_are_shares_of_cases_and_percentiles_are_in_order():
    signed = underwrite(deal_of("phased-build"))
    found = simulate(signed, np.random.default_rng(1), 500)
    assert found.figures.is_locked.mean() >= found.figures.is_defaulted.mean() > 0
    assert np.all(found.locked >= found.defaulted)
    for fan in found.fans:
        assert fan.bands.shape == (5, signed.deal.period_count + 1)
        assert np.all(fan.bands[1:] >= fan.bands[:-1])
    values = [found.exceeded("equity_irr", chance) for chance in (0.5, 0.9, 0.99)]
    assert values == sorted(values, reverse=True)
    reached = (np.nan_to_num(found.figures.equity_irr, nan=-np.inf) >= values[1]).mean()
    assert reached == pytest.approx(0.9, abs=0.01)


def test_correlations_that_contradict_are_refused():
    deal = deal_of(
        "phased-build", price_with_utilisation=0.9, price_with_default=-0.9, delay_with_default=0.9
    )
    with pytest.raises(InputError, match=r"price_with_utilisation 0\.9"):
        correlation_of(deal)
    with pytest.raises(InputError, match="0 cases, wanted 1 to"):
        simulate(underwrite(deal_of("on-demand")), np.random.default_rng(1), 0)


def test_tornado_moves_the_right_way_and_is_widest_first():
    signed = underwrite(deal_of("phased-build"))
    bars = tornado(signed)
    by_name = {bar.driver.split()[0]: bar for bar in bars}
    plan = signed.figures.equity_irr[0]
    cheap, dear = by_name["on-demand"].equity_irr
    assert cheap < plan < dear
    assert (
        by_name["base"].debt_usd[0] > signed.loan.debt_micro_usd / 1e6 > by_name["base"].debt_usd[1]
    )
    assert by_name["opex"].dscr_min[0] > by_name["opex"].dscr_min[1]
    assert by_name["offtaker"].equity_irr[0] == plan > by_name["offtaker"].equity_irr[1]
    widths = [abs(high - low) for low, high in (bar.equity_irr for bar in bars)]
    assert widths == sorted(widths, reverse=True)
