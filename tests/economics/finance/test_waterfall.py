"""No micro-dollar is lost or made, whatever happens.

Goal: in every case and every period, money in is money out, seniority is kept, the balance sheet
balances, and covenants do what they say.
Method: random deals and random shocks (hypothesis); every identity is written again here from the
rows alone, in whole micro-dollars, with a tolerance of 0.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigawatt.economics.finance.balance_sheet import balance_sheet
from gigawatt.economics.finance.cases import NEVER, Cases, calm
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.deal_yaml import complaints
from gigawatt.economics.finance.underwriting import Outcome, Underwriting, play, underwrite
from gigawatt.economics.finance.waterfall import split

DEALS = Path(__file__).parents[3] / "examples" / "deals"
NAMES = ("take-or-pay", "phased-build", "on-demand")


def data_of(name: str) -> Any:
    return yaml.safe_load((DEALS / f"{name}.yaml").read_text(encoding="utf-8"))


@st.composite
def deals(draw: st.DrawFn) -> Deal:
    """A deal near one of the examples, with all that changes the waterfall drawn again."""
    data = data_of(draw(st.sampled_from(NAMES)))
    terms, reserves, covenants = data["terms"], data["reserves"], data["covenants"]
    data["period"] = draw(st.sampled_from(["monthly", "quarterly"]))
    terms["amortisation"] = draw(st.sampled_from(["sculpted", "level"]))
    if terms["tenor"]["value"] > terms["draw_window"]["value"]:
        terms["maturity"] = draw(st.sampled_from(["facility", "each_draw"]))
    terms["base_rate"]["value"] = draw(st.floats(0, 12))
    terms["advance_rate"]["value"] = draw(st.floats(10, 95))
    terms["upfront_fee"]["value"] = draw(st.floats(0, 5))
    terms["sweep"]["value"] = draw(st.sampled_from([0, 25, 50, 100]))
    terms["dscr"]["offtake"]["value"] = draw(st.floats(1.0, 2.0))
    terms["merchant_haircut"]["value"] = draw(st.floats(0, 60))
    reserves["dsra"]["value"] = draw(st.sampled_from([0, 3, 6, 12]))
    reserves["replacement"]["value"] = draw(st.floats(0, 2_000))
    reserves["replacement_ahead"]["value"] = draw(st.integers(0, 12))
    covenants["lock_up"]["value"] = draw(st.floats(1.1, 2.5))
    covenants["lookback"]["value"] = draw(st.sampled_from([3, 6, 12]))
    data["taxes"]["rate"]["value"] = draw(st.sampled_from([0, 21, 40]))
    deal = Deal.model_validate(data)
    assert list(complaints(deal)) == []
    return deal


@st.composite
def shocks(draw: st.DrawFn) -> Cases:
    count = draw(st.integers(1, 4))

    def numbers(low: float, high: float) -> np.ndarray:
        return np.array(draw(st.lists(st.floats(low, high), min_size=count, max_size=count)))

    months = st.lists(st.integers(0, 90), min_size=count, max_size=count)
    default = draw(st.lists(st.sampled_from([1, 10, 30, NEVER]), min_size=count, max_size=count))
    return Cases(
        price_ratio=numbers(0.0, 2.0)[:, None],
        utilisation_odds=numbers(0.01, 10.0)[:, None],
        delay_months=np.array(draw(months), dtype=np.int64),
        default_month=np.array(default, dtype=np.int64),
        opex_ratio=numbers(0.0, 4.0),
        capex_ratio=numbers(0.8, 1.5),
        residual_ratio=numbers(0.0, 2.0),
        base_rate_shift=numbers(0.0, 0.1),
    )


def check_identities(signed: Underwriting, outcome: Outcome | Underwriting) -> None:
    row = outcome.waterfall
    held = row.cash + row.dsra + row.reserve
    before = np.concatenate((np.zeros_like(held[:, :1]), held[:, :-1]), axis=1)
    money_in = row.revenue + row.sale + row.residual + row.draws + row.equity
    late = row.payables - np.concatenate((0 * held[:, :1], row.payables[:, :-1]), axis=1)
    costs_paid = row.opex + row.electricity + row.replacement + row.tax - late
    lenders = row.interest_paid + row.principal_paid + row.sweep + row.recovered
    money_out = row.capex + row.fees + costs_paid + lenders + row.distribution
    assert np.array_equal(before + money_in, held + money_out)

    owed = np.concatenate((np.zeros_like(held[:, :1]), row.debt[:, :-1]), axis=1)
    unpaid_interest = row.interest_due - row.interest_paid
    repaid = row.principal_paid + row.sweep + row.recovered
    assert np.array_equal(owed + row.draws + unpaid_interest - repaid, row.debt)

    assert np.all(balance_sheet(signed.capital, row).gap == 0)
    for name in row.__slots__:
        values = getattr(row, name)
        if values.dtype == np.int64 and name != "cfads":
            assert values.min() >= 0, name
    assert np.all(costs_paid >= 0)
    assert np.all(held[:, -1] == 0)


def check_seniority(signed: Underwriting, outcome: Outcome | Underwriting) -> None:
    row = outcome.waterfall
    window = signed.deal.window_periods
    owner = row.distribution > 0
    assert not owner[:, : window + 1].any()
    before_horizon = np.arange(row.cash.shape[1]) < row.cash.shape[1] - 1
    assert not (owner & row.locked & before_horizon).any()
    assert not (owner & (row.payables > 0)).any()
    assert not (owner & (row.interest_paid < row.interest_due) & before_horizon).any()
    missed = (row.interest_paid < row.interest_due) | (row.principal_paid < row.principal_due)
    after = np.arange(row.cash.shape[1]) > window
    assert np.array_equal(missed & after, missed & row.defaulted)
    assert not (row.equity[:, window + 1 :]).any()
    assert not (owner[:, -1] & (row.debt[:, -1] > 0)).any()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deals(), shocks())
def test_random_deals_conserve_money_and_seniority(deal: Deal, cases: Cases):
    signed = underwrite(deal)
    check_identities(signed, signed)
    check_seniority(signed, signed)
    assert signed.waterfall.debt[0, -1] == 0
    outcome = play(signed, cases)
    check_identities(signed, outcome)
    check_seniority(signed, outcome)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(deals(), shocks())
def test_cases_do_not_touch_each_other(deal: Deal, cases: Cases):
    signed = underwrite(deal)
    whole = play(signed, cases).waterfall
    last = cases.count - 1
    alone = Cases(**{name: getattr(cases, name)[last:] for name in Cases.__slots__})
    single = play(signed, alone).waterfall
    for name in whole.__slots__:
        assert np.array_equal(getattr(whole, name)[last:], getattr(single, name)), name


@given(st.lists(st.integers(0, 10**15), min_size=1, max_size=3), st.floats(0, 1))
def test_a_split_is_whole_and_gives_nobody_more_than_due(due: list[int], share: float):
    owed = np.array(due, dtype=np.int64)[:, None]
    paid = np.array([int(sum(due) * share)], dtype=np.int64)
    parts = split(paid, owed)
    assert parts.sum() == paid[0]
    assert np.all(parts <= owed)
    assert np.all(parts >= 0)


def test_low_cover_locks_cash_up_and_recovery_releases_it():
    data = data_of("take-or-pay")
    data["covenants"]["lookback"]["value"] = 3
    signed = underwrite(Deal.model_validate(data))
    assert signed.figures.lock_up_periods[0] == 0
    costly = play(signed, replace(calm(), opex_ratio=np.array([1.85])))
    row = costly.waterfall
    assert 1.05 < costly.figures.dscr_min[0] < 1.15
    assert row.locked[0, 1:60].all()
    assert not row.defaulted.any()
    assert not row.distribution[0, :60].any()
    assert row.distribution[0, 60] > 0


def test_a_default_sends_everything_to_lenders():
    signed = underwrite(Deal.model_validate(data_of("take-or-pay")))
    poor = play(signed, replace(calm(), opex_ratio=np.array([2.0])))
    row = poor.waterfall
    assert row.defaulted[0, 1:].any()
    assert row.sweep[0, 1:50].sum() > 0
    owed = row.debt[0, :-1] > 0
    assert not (row.distribution[0, :-1] * (owed & row.defaulted[0, :-1])).any()


def test_the_reserve_pays_when_cash_does_not():
    data = data_of("phased-build")
    signed = underwrite(Deal.model_validate(data))
    gone = play(signed, replace(calm(), default_month=np.array([24])))
    row = gone.waterfall
    dip = np.diff(row.dsra[0]) < 0
    assert dip.any()
    assert row.interest_paid[0, :12].sum() == row.interest_due[0, :12].sum()


def test_a_sweep_shortens_the_loan():
    data = data_of("take-or-pay")
    plain = underwrite(Deal.model_validate(data))
    data["terms"]["sweep"]["value"] = 100
    swept = underwrite(Deal.model_validate(data))
    assert swept.loan.debt_micro_usd == plain.loan.debt_micro_usd
    paid_off = [int(np.argmax(s.waterfall.debt[0] == 0)) for s in (swept, plain)]
    assert paid_off[0] < paid_off[1] == 60


def test_a_lender_loses_only_what_neither_cash_nor_assets_pay():
    data = data_of("take-or-pay")
    signed = underwrite(Deal.model_validate(data))
    ruined = play(signed, replace(calm(), default_month=np.array([6])))
    row = ruined.waterfall
    assert ruined.figures.loss_usd[0] == row.debt[0, -1] / 1e6 > 0
    assert row.recovered[0, -1] >= row.residual[0, -1] > 0
    assert row.distribution[0, 7:].sum() == 0


@pytest.mark.parametrize("name", NAMES)
def test_examples_hold(name: str):
    signed = underwrite(Deal.model_validate(data_of(name)))
    check_identities(signed, signed)
    check_seniority(signed, signed)
