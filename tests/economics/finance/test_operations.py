"""What is earned and spent is what a hand calculation says.

Goal: revenue, power, residual and delivery follow the deal's words.
Method: small deals whose every number is known.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from gigawatt.economics.finance.capital import capital_of
from gigawatt.economics.finance.cases import calm
from gigawatt.economics.finance.deal import Deal
from gigawatt.economics.finance.operations import operate

DEALS = Path(__file__).parents[3] / "examples" / "deals"


def data_of(name: str) -> Any:
    return yaml.safe_load((DEALS / f"{name}.yaml").read_text(encoding="utf-8"))


def test_power_scales_with_use_above_its_idle_share():
    data = data_of("take-or-pay")
    power = {"draw": 1.275, "pue": 1.25, "idle_share": 25, "price": 60}
    for key, value in power.items():
        data["costs"]["power"][key]["value"] = value
    busy = operate(Deal.model_validate(data), calm()).electricity[0, 1]
    assert busy == pytest.approx(4096 * 730 * 0.0956 * 1e6, rel=1e-3)
    data["revenue"]["offtake"]["utilisation"]["value"] = 0
    data["revenue"]["offtake"]["take_or_pay"]["value"] = 100
    assert operate(Deal.model_validate(data), calm()).electricity[0, 1] == round(busy * 0.25)


def test_take_or_pay_is_paid_whether_used_or_not():
    data = data_of("take-or-pay")
    full = operate(Deal.model_validate(data), calm()).offtake[0, 1]
    assert full == round(4096 * 2.10 * 730 * 1e6)
    contract = data["revenue"]["offtake"]
    contract["utilisation"]["value"] = 10
    assert operate(Deal.model_validate(data), calm()).offtake[0, 1] == full
    contract["take_or_pay"]["value"] = 80
    assert operate(Deal.model_validate(data), calm()).offtake[0, 1] == pytest.approx(full * 0.8)


def test_deliveries_fill_the_contract_in_order():
    deal = Deal.model_validate(data_of("phased-build"))
    made = operate(deal, calm())
    assert made.offtake_share[0, 2] == 1.0
    assert made.on_demand[0, :4].sum() == 0
    assert made.on_demand[0, 4] > 0
    assert made.offtake_share[0, 8] == pytest.approx(2 / 3)
    capital = capital_of(deal)
    assert capital.cost_micro_usd == (2 * 8192 * 52_000 + 8192 * 50_000) * 10**6
    assert capital.capex[0] == round(0.3 * 8192 * 52_000 * 1e6)
    assert capital.tax_depreciation.sum() <= capital.cost_micro_usd
    assert capital.book_depreciation.sum() == capital.cost_micro_usd


def test_a_late_delivery_shifts_revenue_and_its_contract():
    deal = Deal.model_validate(data_of("on-demand"))
    plan, late = operate(deal, calm()), operate(deal, replace(calm(), delay_months=np.array([5])))
    assert plan.on_demand[0, 4] > 0
    assert late.on_demand[0, :9].sum() == 0
    assert late.on_demand[0, 9] > 0
    assert np.array_equal(plan.opex[0, 4:10] > 0, late.opex[0, 9:15] > 0)


def test_a_default_draws_the_deposit_and_lets_again_after_a_pause():
    deal = Deal.model_validate(data_of("phased-build"))
    plan = operate(deal, calm())
    gone = operate(deal, replace(calm(), default_month=np.array([25])))
    assert np.array_equal(plan.offtake[0, :9], gone.offtake[0, :9])
    assert gone.offtake[0, 9] == pytest.approx(plan.offtake[0, 8], rel=1e-6)
    assert gone.offtake[0, 10:].sum() == 0
    assert gone.tail[0, 9] == 0
    assert gone.tail[0, 10] > 0


def test_retired_assets_are_sold_and_others_are_worth_something():
    deal = Deal.model_validate(data_of("phased-build"))
    made = operate(deal, calm())
    assert np.count_nonzero(made.sale[0]) == 3
    assert made.sale[0].sum() == pytest.approx(0.21 * capital_of(deal).cost_micro_usd, rel=0.1)
    assert made.liquidation[0, 0] == 0
    assert made.liquidation[0, 3] == pytest.approx(
        (0.92 + 0.87 + 0.82) / 3 * 1.2616e15, rel=0.01
    )  # fmt: skip
    simple = operate(Deal.model_validate(data_of("take-or-pay")), calm())
    assert simple.horizon_value[0] == round(0.15 * 4096 * 55_000 * 1e6)


def test_a_rental_residual_is_worth_the_rest_of_life():
    data = data_of("on-demand")
    data["residual"]["equity_takes"] = "rental_annuity"
    data["equity"]["discount_rate"]["value"] = 0
    data["costs"]["growth"]["value"] = 0
    for curve in ("price", "utilisation"):
        data["revenue"]["on_demand"][curve].update(
            months=[0], values=[2.5 if curve == "price" else 70]
        )
    data["horizon"]["value"] = 48
    cut = operate(Deal.model_validate(data), calm())
    data["horizon"]["value"] = 80
    whole = operate(Deal.model_validate(data), calm())
    spent = whole.opex + whole.electricity + whole.replacement
    assert cut.horizon_value[0] == pytest.approx((whole.on_demand - spent)[0, 49:].sum(), rel=1e-9)
    assert whole.horizon_value[0] == 0
    data["horizon"]["value"] = 48
    data["equity"]["discount_rate"]["value"] = 12
    assert operate(Deal.model_validate(data), calm()).horizon_value[0] < cut.horizon_value[0]


def test_utilisation_stays_between_none_and_all():
    deal = Deal.model_validate(data_of("on-demand"))
    wild = replace(calm(2), utilisation_odds=np.array([[1e-9], [1e9]]))
    made = operate(deal, wild)
    assert made.on_demand[0].sum() == pytest.approx(0, abs=1e9)
    full = 4096 * 730 * 0.98 * 3.2 * 1e6
    assert 0.5 * full < made.on_demand[1, 6:].max() < full
