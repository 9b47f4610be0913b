"""The cost of a GPU-hour.

Goal: the identities of the trade hold exactly, both views of capital are right, and power is not
divided by utilisation.
Method: published numbers of one example; properties; one planted fault for each refused field.
"""

import re
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.economics.gpu_hour.capex import capex_preset, capex_presets
from gigawatt.economics.gpu_hour.cost import (
    Utilisation,
    break_even_utilisation_share,
    capital_recovery_share,
    gpu_hour_cost,
)
from gigawatt.economics.gpu_hour.inputs import NUMBER_FIELDS, CostInputs, cost_inputs_of
from gigawatt.economics.gpu_hour.sensitivity import swings
from gigawatt.errors import InputError, UnknownIdError

BARE = CostInputs(
    server_usd_per_gpu=40_000.0, network_usd_per_gpu=0.0, storage_usd_per_gpu=0.0,
    spares_share=0.0, life_years=6.0, capital_rate_share=0.0, power_kw_per_gpu=1.275,
    network_storage_kw_per_gpu=0.0, pue=1.25, energy_usd_per_kwh=0.06, lease_usd_per_kw_month=0.0,
    staff_usd_per_gpu_year=0.0, maintenance_share=0.0, utilisation_share=1.0,
)  # fmt: skip
"""40,000 USD a GPU all-in, 10.2 kW for 8 GPUs, PUE 1.25, 6 cents."""

used = st.floats(0.05, 1.0)
inputs = st.builds(
    CostInputs,
    server_usd_per_gpu=st.floats(1e3, 1e5),
    life_years=st.floats(1.0, 12.0),
    residual_share=st.floats(0.0, 0.5),
    capital_rate_share=st.floats(0.0, 0.3),
    idle_power_share=st.floats(0.0, 1.0),
    pue=st.floats(1.0, 2.0),
    site_usd_per_kw=st.floats(0.0, 15e3),
    utilisation_share=used,
)


def test_published_example_at_full_use():
    cost = gpu_hour_cost(BARE)
    assert cost.equipment_usd == pytest.approx(0.761, abs=5e-4)
    energy = cost.power_load_usd + cost.power_idle_usd + cost.cooling_usd
    assert energy == pytest.approx(0.0956, abs=5e-5)


def test_half_the_use_is_exactly_twice_the_depreciation():
    full, half = (gpu_hour_cost(replace(BARE, utilisation_share=u)) for u in (1.0, 0.5))
    assert half.equipment_usd == 2 * full.equipment_usd
    assert half.equipment_usd == pytest.approx(1.522, abs=5e-4)


@pytest.mark.parametrize(("life_years", "usd"), [(3, 1.791), (5, 1.074), (6, 0.895), (8, 0.672)])
def test_published_depreciation_by_life(life_years: float, usd: float):
    cost = gpu_hour_cost(replace(BARE, life_years=life_years, utilisation_share=0.85))
    assert cost.equipment_usd == pytest.approx(usd, abs=6e-4)


@given(used)
def test_only_idle_power_is_spread_over_sold_hours(share: float):
    full, part = gpu_hour_cost(BARE), gpu_hour_cost(replace(BARE, utilisation_share=share))
    assert part.power_load_usd == full.power_load_usd
    assert part.power_idle_usd == pytest.approx(full.power_idle_usd / share)
    naive = (full.power_load_usd + full.power_idle_usd) / share
    assert part.power_load_usd + part.power_idle_usd <= naive * (1 + 1e-12)


@given(inputs)
def test_components_add_up_and_none_is_negative(given: CostInputs):
    for economic in (False, True):
        cost = gpu_hour_cost(given, is_economic=economic)
        assert all(value >= 0 for value in cost.components.values())
        assert sum(cost.components.values()) == pytest.approx(cost.total_usd)
        assert cost.total_usd >= cost.cash_usd


@given(inputs)
def test_without_interest_both_views_are_one(given: CostInputs):
    free = replace(given, capital_rate_share=0.0)
    ours, theirs = gpu_hour_cost(free), gpu_hour_cost(free, is_economic=True)
    assert ours.total_usd == pytest.approx(theirs.total_usd)


@given(st.floats(0.001, 0.5), st.integers(1, 30))
def test_annuity_pays_the_purchase_back(rate: float, years: int):
    payment = capital_recovery_share(rate, float(years))
    worth = sum(payment / (1 + rate) ** year for year in range(1, years + 1))
    assert worth == pytest.approx(1.0)


@given(inputs, st.floats(0.5, 20.0))
def test_at_break_even_cost_is_the_price(given: CostInputs, price: float):
    for economic in (False, True):
        share = break_even_utilisation_share(given, price, is_economic=economic)
        if share <= 1:
            sold = replace(given, utilisation_share=share)
            assert gpu_hour_cost(sold, is_economic=economic).total_usd == pytest.approx(price)
        else:
            sold = replace(given, utilisation_share=1.0)
            assert gpu_hour_cost(sold, is_economic=economic).total_usd > price


def test_a_price_below_the_energy_never_breaks_even():
    with pytest.raises(InputError, match="price_usd_per_gpu_hour"):
        break_even_utilisation_share(BARE, 0.05)


def test_dollars_and_hours_are_two_utilisations():
    sold = Utilisation(sold_hours_share=0.8, dollar_share=0.6)
    assert sold.discount_share == pytest.approx(0.25)
    cost = gpu_hour_cost(replace(BARE, utilisation_share=0.8)).total_usd
    assert sold.margin_usd_per_sold_gpu_hour(BARE, 2.0) == pytest.approx(1.5 - cost)
    with pytest.raises(InputError, match="sold_hours_share"):
        Utilisation(0.0, 0.5)


def test_swings_are_sorted_and_know_what_moves_the_cost():
    found = swings(CostInputs())
    widths = [swing.width_usd for swing in found]
    assert widths == sorted(widths, reverse=True)
    assert {"utilisation_share", "server_usd_per_gpu", "life_years"} <= {s.field for s in found[:4]}
    price = next(s for s in found if s.field == "server_usd_per_gpu")
    assert price.cost_usd_low < gpu_hour_cost(CostInputs()).total_usd < price.cost_usd_high
    assert all(s.high_value <= 1 for s in found if s.field.endswith("_share"))
    assert "site_usd_per_kw" not in {s.field for s in found}
    with pytest.raises(InputError, match="step_share"):
        swings(CostInputs(), step_share=20)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"life_years": -6}, "life_years"),
        ({"life_years": 0}, "life_years"),
        ({"utilisation_share": 1.1}, "utilisation_share"),
        ({"utilisation_share": 0}, "utilisation_share"),
        ({"utilisation_share": 85}, "utilisation_share"),
        ({"pue": 0.9}, "pue"),
        ({"energy_usd_per_kwh": -0.01}, "energy_usd_per_kwh"),
        ({"energy_currency": "EUR"}, "mixed currency"),
        ({"staff_currency": "$"}, "staff_currency"),
        ({"server": 34_000}, "server_usd_per_gpu"),
        ({"life": 6}, "life_years"),
        ({"wizard": 1}, "wizard"),
        ({"life_years": "6 years"}, "life_years"),
        ({"life_years": True}, "life_years"),
        ({"residual_share": float("nan")}, "residual_share"),
    ],
)
def test_wrong_input_is_refused_with_its_field(values: dict[str, object], said: str):
    with pytest.raises(InputError, match=re.escape(said)):
        cost_inputs_of(values)


@pytest.mark.parametrize("field", NUMBER_FIELDS)
def test_every_number_must_be_one(field: str):
    with pytest.raises(InputError, match=field):
        replace(CostInputs(), **{field: float("inf")})


def test_inputs_read_back():
    given = CostInputs()
    assert cost_inputs_of({f.name: getattr(given, f.name) for f in fields(given)}) == given


def test_presets_say_of_what_the_gigawatt_is():
    spoken, epoch = capex_presets()
    assert spoken.total_usd_per_w == (47, 63)
    assert epoch.total_usd_per_w == pytest.approx((31.9, 31.9))
    for preset in (spoken, epoch):
        assert preset.per_gw_of.split()[0] in preset.name
        assert capex_preset(preset.name) is preset
    # One GPU of 1.67 kW of IT power at PUE 1.25.
    low, high = epoch.server_usd_per_gpu(1.67, 1.25)
    assert low == high == pytest.approx(21.7 * 1.67 * 1.25 * 1e3)
    with pytest.raises(InputError, match="pue"):
        epoch.server_usd_per_gpu(1.67, 0.5)
    with pytest.raises(UnknownIdError, match="tulips"):
        capex_preset("tulips")
