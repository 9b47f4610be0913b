"""Power from the plant to the parts of computers.

Goal: no joule appears or vanishes, whatever the inputs, and what cannot be is refused by name.
Method: properties over random paths and loads; the demo fleet against the catalogue; one planted
fault for each refused field.
"""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.app.economics_sankey import power_text, write_sankey
from gigawatt.economics.chain.by_type import node_counts
from gigawatt.economics.chain.energy import (
    PLANT_EFFICIENCY_SHARE,
    EnergyBalance,
    ItLoad,
    LoadAssumption,
    PowerPath,
    PowerStage,
    energy_balance,
    gpu_share_of_node,
    loads_of,
    total_load,
)
from gigawatt.economics.quantities import check_count, check_currency, check_positive, check_share
from gigawatt.errors import InputError
from gigawatt.fleet.catalogue import node_type
from gigawatt.fleet.demo import hgx_fleet, mixed_fleet

watts = st.floats(0.0, 1e9)
paths = st.builds(PowerPath, st.floats(0.05, 1.0), st.floats(0.5, 1.0), st.floats(1.0, 3.0))
loads = st.builds(ItLoad, st.floats(1.0, 1e9), watts, watts, watts)


@given(paths, loads)
def test_energy_is_conserved_at_every_stage(path: PowerPath, load: ItLoad):
    balance = energy_balance(path, load)
    leaves = [s for s in balance.stages if not list(balance.children(s.name))]
    assert sum(s.power_w for s in leaves) == pytest.approx(balance.source_w)
    for stage in balance.stages:
        parts = [child.power_w for child in balance.children(stage.name)]
        if parts:
            assert sum(parts) == pytest.approx(stage.power_w)
        assert stage.power_w >= 0
    assert balance.power_w("facility") == pytest.approx(load.total_w * path.pue)


def test_a_balance_that_loses_energy_is_our_bug():
    with pytest.raises(AssertionError):
        EnergyBalance(
            (PowerStage("a", "", 2.0, is_loss=False), PowerStage("b", "a", 1.0, is_loss=False))
        )


@pytest.mark.parametrize(
    ("make", "field"),
    [
        (lambda: PowerPath(pue=0.99), "pue"),
        (lambda: PowerPath(pue=float("nan")), "pue"),
        (lambda: PowerPath(plant_efficiency_share=1.2), "plant_efficiency_share"),
        (lambda: PowerPath(plant_efficiency_share=0.0), "plant_efficiency_share"),
        (lambda: PowerPath(delivery_efficiency_share=-0.1), "delivery_efficiency_share"),
        (lambda: ItLoad(-1.0, 1.0, 0.0, 0.0), "gpu_w"),
        (lambda: ItLoad(0.0, 0.0, 0.0, 0.0), "it_load_w"),
        (lambda: LoadAssumption(load_share=64.5), "load_share"),
        (lambda: check_positive("x_w", True), "x_w"),
        (lambda: check_positive("x_w", "12 kW"), "x_w"),
        (lambda: check_count("x_count", 1.5), "x_count"),
        (lambda: check_currency({"a_currency": "USD", "b_currency": "EUR"}), "b_currency"),
        (lambda: check_currency({"a_currency": "dollars"}), "a_currency"),
    ],
)
def test_wrong_input_is_refused_with_its_field(make, field: str):
    with pytest.raises(InputError, match=re.escape(field)):
        make()


def test_a_percentage_in_a_share_is_told_what_to_write():
    with pytest.raises(InputError) as caught:
        check_share("load_share", 64.5)
    assert "0.645" in caught.value.next_step


def test_unknown_stage_is_refused():
    balance = energy_balance(PowerPath(), ItLoad(1.0, 0.0, 0.0, 0.0))
    with pytest.raises(InputError, match="turbine"):
        balance.power_w("turbine")


def test_a_full_fleet_draws_what_the_catalogue_says():
    fleet = hgx_fleet(1_000)
    assumption = LoadAssumption(load_share=1.0, network_w_per_gpu=0.0, storage_w_per_gpu=0.0)
    parts = loads_of(fleet.node_types, node_counts(fleet), assumption)
    assert list(parts) == ["hgx-h100"]
    # 125 nodes of 10.2 kW, of which 8 x 700 W in GPUs.
    assert parts["hgx-h100"].total_w == pytest.approx(125 * 10_200.0)
    assert parts["hgx-h100"].gpu_w == pytest.approx(1_000 * 700.0)
    assert gpu_share_of_node(node_type("hgx-h100")) == pytest.approx(5_600 / 10_200)


def test_loads_of_node_types_add_up():
    fleet = mixed_fleet()
    parts = loads_of(fleet.node_types, node_counts(fleet), LoadAssumption())
    assert len(parts) > 1
    assert total_load(parts.values()).total_w == pytest.approx(
        sum(p.total_w for p in parts.values())
    )


def test_unknown_node_type_is_refused():
    stranger = replace(node_type("hgx-h100"), name="stranger")
    with pytest.raises(InputError, match="stranger"):
        gpu_share_of_node(stranger)


def test_facility_of_ten_thousand_gb300_is_about_24_mw():
    # 139 racks of 72 at 0.137 MW are 19 MW of IT; at PUE 1.25 that is 24 MW.
    balance = energy_balance(PowerPath(pue=1.25), ItLoad(139 * 137e3, 0.0, 0.0, 0.0))
    assert balance.power_w("IT") == pytest.approx(19e6, rel=0.01)
    assert balance.power_w("facility") == pytest.approx(24e6, rel=0.02)


@pytest.mark.parametrize("plant", sorted(PLANT_EFFICIENCY_SHARE))
def test_the_picture_of_every_plant_is_drawn(plant: str, tmp_path):
    path = PowerPath(PLANT_EFFICIENCY_SHARE[plant], 0.98, 1.2)
    target = tmp_path / "sankey.png"
    write_sankey(energy_balance(path, ItLoad(7e6, 3e6, 1e6, 0.0)), plant, "made up", target)
    assert target.read_bytes().startswith(b"\x89PNG")


def test_power_is_written_with_its_unit():
    assert [power_text(w) for w in (12.0, 1.5e3, 2e6, 3e9)] == ["12 W", "1.5 kW", "2 MW", "3 GW"]
