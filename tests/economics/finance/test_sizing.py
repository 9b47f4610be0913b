"""Debt is sized exactly.

Goal: the loan is the least of its limits to the micro-dollar, and is repaid as promised.
Method: closed forms (annuity, present value, a fixed point found by iteration), published-style
numbers computed by hand, and limits that are made to bind one after the other.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.economics.finance.amortise import annuity, level, present_value, sculpt, sculpted
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.underwriting import Underwriting, underwrite

DEALS = Path(__file__).parents[3] / "examples" / "deals"
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in sorted(DEALS.glob("*.yaml"))}


def deal_of(name: str, edits: dict[str, Any] | None = None) -> Deal:
    """An example deal; ``edits`` are values by dotted path, a number replaces only ``value``."""
    data = yaml.safe_load(TEXTS[name])
    for path, value in (edits or {}).items():
        *parents, key = path.split(".")
        place = data
        for part in parents:
            place = place[int(part)] if part.isdigit() else place[part]
        if isinstance(value, int | float):
            place[key]["value"] = value
        else:
            place[key] = value
    return Deal.model_validate(data)


def label(value: float, unit: str) -> dict[str, Any]:
    return {"value": value, "unit": unit, "illustrative": True}


def debt_usd(signed: Underwriting) -> float:
    return signed.loan.debt_micro_usd / 1e6


@pytest.mark.parametrize(
    ("target", "debt_musd", "binding", "llcr"),
    [
        (1.2, 191.488, "advance_rate", 1.3247),
        (1.4, 181.1906, "dscr", 1.4),
        (1.6, 158.5418, "dscr", 1.6),
    ],
)
def test_take_or_pay_case(target: float, debt_musd: float, binding: str, llcr: float):
    """4,096 GPUs at $55k, $2.10/h for 60 months, opex $0.45, 6.25 %, advance 85 %."""
    signed = underwrite(deal_of("take-or-pay", {"terms.dscr.offtake": target}))
    assert debt_usd(signed) / 1e6 == pytest.approx(debt_musd, abs=1e-3)
    assert signed.loan.binding == binding
    assert signed.loan.llcr == pytest.approx(llcr, abs=1e-4)
    assert signed.figures.llcr[0] == pytest.approx(llcr, abs=1e-4)
    by_hand = 4096 * (2.10 - 0.45) * 730 * annuity(0.0625 / 12, 60) / target
    assert signed.loan.limits_usd["dscr"] == pytest.approx(by_hand, rel=1e-12)
    if binding == "dscr":
        assert debt_usd(signed) == pytest.approx(by_hand, abs=1e-5)
        assert signed.figures.dscr_min[0] == pytest.approx(target, abs=1e-9)
    if target == 1.4:
        assert debt_usd(signed) / (4096 * 55_000) == pytest.approx(0.804, abs=5e-4)


flows = st.lists(st.floats(50.0, 150.0), min_size=1, max_size=80)


@given(flows, st.floats(0.0, 0.01))
def test_sculpted_loan_ends_at_zero_and_keeps_its_cover(service: list[float], rate: float):
    allowed = np.array(service)
    balances = sculpt(allowed, rate)
    paid = balances[:-1] * (1.0 + rate) - balances[1:]
    assert balances[-1] == 0.0
    assert np.all(np.diff(balances) <= 1e-9)
    assert np.all(paid <= allowed + 1e-6)
    if present_value(allowed, rate) == pytest.approx(balances[0], rel=1e-12):
        assert paid == pytest.approx(allowed, rel=1e-6)


def test_a_period_that_cannot_pay_interest_caps_the_loan():
    service = np.array([100.0, 1.0, 100.0, 100.0])
    balances = sculpt(service, 0.01)
    assert balances[0] < present_value(service, 0.01)
    assert np.all(np.diff(balances) <= 1e-12)
    assert balances[1] * 0.01 == pytest.approx(1.0)


@given(st.floats(1.0, 1e6), st.floats(1e-4, 0.02), st.integers(2, 120))
def test_flat_cash_flow_is_a_level_annuity(paid: float, rate: float, count: int):
    service = np.full(count, paid)
    one = np.ones(1)
    sculpted_loan = sculpted(service, rate, one, each_draw=False)
    level_loan = level(service, rate, one, each_draw=False)
    assert sculpted_loan.capacity_usd == pytest.approx(paid * annuity(rate, count), rel=1e-9)
    assert level_loan.capacity_usd == pytest.approx(sculpted_loan.capacity_usd, rel=1e-9)
    assert level_loan.balances == pytest.approx(sculpted_loan.balances, abs=1e-9)


def test_each_draw_matures_by_itself():
    weights, service, rate = np.array([0.25, 0.25, 0.5]), np.full(12, 100.0), 0.01
    loan = sculpted(service, rate, weights, each_draw=True)
    by_hand = 100.0 * (
        0.25 * annuity(rate, 10) + 0.25 * annuity(rate, 11) + 0.5 * annuity(rate, 12)
    )
    assert loan.capacity_usd == pytest.approx(by_hand)
    assert loan.draws == pytest.approx(
        np.array([25 * annuity(rate, 10), 25 * annuity(rate, 11), 50 * annuity(rate, 12)]) / by_hand
    )
    together = sculpted(service, rate, weights, each_draw=False)
    assert together.capacity_usd == pytest.approx(100.0 * annuity(rate, 12))
    flat = level(service, rate, weights, each_draw=True)
    assert flat.balances[10] == pytest.approx(
        0.25 * annuity(rate, 1) / annuity(rate, 11) + 0.5 * annuity(rate, 2) / annuity(rate, 12)
    )


@pytest.mark.parametrize(
    ("limit", "edits"),
    [
        ("dscr", {}),
        ("advance_rate", {"terms.advance_rate": 45}),
        ("ltv", {"terms.ltv": label(50, "percent")}),
        ("llcr", {"terms.llcr": label(2.5, "ratio")}),
    ],
)
def test_every_limit_can_bind(limit: str, edits: dict[str, Any]):
    signed = underwrite(deal_of("phased-build", edits))
    assert signed.loan.binding == limit
    assert debt_usd(signed) == pytest.approx(signed.loan.limits_usd[limit], abs=1e-5)
    assert set(signed.loan.limits_usd) == {"dscr", "advance_rate", "ltv", "llcr"}
    if limit == "llcr":
        assert signed.loan.llcr == pytest.approx(2.5)


def test_limits_that_are_not_set_do_not_exist():
    assert set(underwrite(deal_of("take-or-pay")).loan.limits_usd) == {"dscr", "advance_rate"}


@settings(max_examples=15, deadline=None)
@given(st.floats(30, 90), st.floats(0, 5), st.floats(0, 2), st.sampled_from([0, 3, 6, 12]))
def test_advance_limit_is_the_fixed_point_of_interest_fees_and_reserve(
    advance: float, upfront: float, commitment: float, dsra: int
):
    """Iterating the construction budget ends where the closed form starts."""
    edits = {
        "terms.advance_rate": advance,
        "terms.upfront_fee": upfront,
        "terms.commitment_fee": commitment,
        "reserves.dsra": dsra,
        "terms.dscr.offtake": 1.0,
        "terms.dscr.on_demand": 1.0,
        "terms.merchant_haircut": 0,
        "terms.ltv": None,
        "terms.llcr": None,
    }
    signed = underwrite(deal_of("phased-build", edits))
    if signed.loan.binding != "advance_rate":
        return
    row, window = signed.waterfall, signed.deal.window_periods
    cost = (row.capex + row.fees + row.interest_due)[0, : window + 1].sum()
    cost += signed.loan.dsra_target[window]
    assert signed.loan.debt_micro_usd / cost == pytest.approx(advance / 100, rel=1e-9)


def test_sources_are_uses_in_every_period_of_the_window():
    signed = underwrite(deal_of("phased-build"))
    row = signed.waterfall
    for column in range(signed.deal.window_periods + 1):
        earlier = (row.cash + row.dsra)[0, column - 1] if column else 0
        sources = earlier + (row.draws + row.equity + row.revenue)[0, column]
        spent = row.capex + row.fees + row.interest_paid + row.opex + row.electricity
        uses = (spent + row.replacement + row.tax)[0, column] + (row.cash + row.dsra)[0, column]
        assert sources == uses
    assert (
        row.dsra[0, signed.deal.window_periods]
        == signed.loan.dsra_target[signed.deal.window_periods]
    )


def test_two_obligors_have_two_rates_and_two_targets():
    signed = underwrite(deal_of("phased-build"))
    contract, sponsor = signed.loan.schedules
    assert (contract.obligor, sponsor.obligor) == ("offtake", "on_demand")
    assert contract.rate_per_year == pytest.approx(0.0725)
    assert sponsor.rate_per_year == pytest.approx(0.0850)
    better = underwrite(deal_of("phased-build", {"revenue.offtake.rating": "A"}))
    assert better.loan.schedules[0].rate_per_year == pytest.approx(0.0625)
    assert better.loan.debt_micro_usd > signed.loan.debt_micro_usd


def test_haircut_lowers_the_sponsors_schedule_alone():
    loans = [
        underwrite(deal_of("phased-build", {"terms.merchant_haircut": share})).loan
        for share in (0, 40, 100)
    ]
    by_sponsor = [int(loan.schedules[1].draws.sum()) for loan in loans]
    assert by_sponsor[0] > by_sponsor[1] > by_sponsor[2] == 0
    by_tenant = {int(loan.schedules[0].draws.sum()) for loan in loans}
    assert len(by_tenant) == 1


def test_revenue_after_the_contract_is_the_owners_alone():
    longer = {
        "horizon": 84,
        "assets.0.life": 84,
        "revenue.on_demand": {
            "sponsor": "s",
            "rating": "A",
            "price": {"months": [0], "values": [2.0], "unit": "USD/GPU-h", "illustrative": True},
            "utilisation": {"months": [0], "values": [90], "unit": "percent", "illustrative": True},
        },
    }
    without, with_tail = (
        underwrite(deal_of("take-or-pay")),
        underwrite(deal_of("take-or-pay", longer)),
    )
    assert with_tail.loan.debt_micro_usd == without.loan.debt_micro_usd
    assert with_tail.waterfall.distribution[0, 61:].min() > 0
    assert with_tail.figures.plcr[0] > with_tail.figures.llcr[0]


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_every_example_repays_its_loan_on_plan(name: str):
    signed = underwrite(deal_of(name))
    assert debt_usd(signed) > 0
    assert signed.waterfall.debt[0, -1] == 0
    assert signed.figures.dscr_min[0] >= min(s.target for s in signed.loan.schedules) - 1e-9
    assert signed.figures.is_locked[0] == 0
    for schedule in signed.loan.schedules:
        assert schedule.draws.sum() == schedule.principal.sum()
        assert schedule.principal.min() >= 0


def test_a_deal_that_carries_no_debt_is_the_owners_alone():
    signed = underwrite(deal_of("on-demand", {"terms.merchant_haircut": 100}))
    assert signed.loan.debt_micro_usd == 0
    assert signed.waterfall.equity.sum() > 0
    assert np.isinf(signed.figures.dscr_min[0])
    assert signed.figures.lock_up_periods[0] == 0
    assert np.isfinite(signed.figures.equity_irr[0])


def test_a_dearer_rate_and_a_higher_target_mean_less_debt():
    plain = underwrite(deal_of("phased-build")).loan.debt_micro_usd
    for edits in (
        {"terms.base_rate": 6},
        {"terms.dscr.offtake": 1.6},
        {"terms.merchant_haircut": 80},
        {"costs.opex": 0.5},
    ):
        assert underwrite(deal_of("phased-build", edits)).loan.debt_micro_usd < plain, edits
