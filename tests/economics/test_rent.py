"""Rent and its slope from a rental panel, and the interval of economic life that it leaves.

Goal: a planted slope is found inside its interval; coverage that changes is no decline; what the
index withholds is withheld here; a short panel gives an interval and no certainty; the command
says all of it.
Method: panels made of cells with a common slope and noise, one seller that leaves; the real panel,
where an environment variable (GIGAWATT_PRICE_PANEL) names one.
"""

import json
import os
from math import exp, inf
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gigawatt.cli.economics import app
from gigawatt.economics.index.settings import Gates, Settings
from gigawatt.economics.life.outlook import outlook, years_text
from gigawatt.economics.life.plan import LifeInputs
from gigawatt.economics.life.rent import T975, rent_decline
from gigawatt.errors import GigawattError, InputError

HEAD = "date,provider,gpu_model,rental_type,price_median_usd\n"
MARKET = LifeInputs(2.5, -0.2, 0.65, 25_000.0, -0.25)
MONTHS = [(2025 + m // 12, m % 12 + 1) for m in range(8)]


def panel(
    slope: float, *, noise: float = 0.02, sellers: int = 6, months: int = 8, seed: int = 5,
    gpu: str = "H100_SXM", term: str = "on_demand",
) -> str:  # fmt: skip
    chance = np.random.default_rng(seed)
    rows = []
    for number, (year, month) in enumerate(MONTHS[:months]):
        for seller in range(sellers):
            price = (2 + seller / 2) * exp(slope * number / 12 + noise * chance.standard_normal())
            rows.append(f"{year}-{month:02d}-10,s{seller},{gpu},{term},{price:.6f}\n")
    return "".join(rows)


@pytest.mark.parametrize("slope", [-0.6, -0.2, 0.15])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_planted_slope_lies_in_its_interval(slope: float, seed: int):
    fit = rent_decline(HEAD + panel(slope, seed=seed), "p.csv", "H100")
    low, high = fit.slope_interval_per_year
    assert low < slope < high
    assert fit.slope_per_year == pytest.approx(slope, abs=0.1)
    assert fit.provider_count == 6
    assert len(fit.months) == 8
    assert fit.freedom_count == 5


def test_intervals_cover_what_they_promise():
    held = 0
    for seed in range(100):
        text = HEAD + panel(-0.3, noise=0.05, months=5, seed=seed)
        low, high = rent_decline(text, "p.csv", "H100").slope_interval_per_year
        held += low < -0.3 < high
    assert held >= 90


def test_a_shock_that_all_sellers_share_widens_the_interval():
    plain = HEAD + panel(-0.3, noise=0.001)
    shaken = []
    for line in plain.splitlines():
        cells = line.split(",")
        if cells[0][:7] in {"2025-02", "2025-05"}:
            cells[4] = f"{float(cells[4]) * 1.1:.6f}"
        shaken.append(",".join(cells))
    calm = rent_decline(plain, "p.csv", "H100")
    loud = rent_decline("\n".join(shaken), "p.csv", "H100")
    assert loud.slope_error_per_year > 20 * calm.slope_error_per_year


def test_a_dear_seller_that_leaves_is_no_decline():
    dear = "".join(f"{y}-{m:02d}-10,dear,H100_SXM,on_demand,9.0\n" for y, m in MONTHS[:4])
    fit = rent_decline(HEAD + panel(0.0, noise=0.005) + dear, "p.csv", "H100")
    assert fit.slope_per_year == pytest.approx(0.0, abs=0.03)


def test_spot_is_not_read():
    spot = panel(-2.0, term="spot", seed=9)
    both = rent_decline(HEAD + panel(-0.2) + spot, "p.csv", "H100")
    assert both == rent_decline(HEAD + panel(-0.2), "p.csv", "H100")


def test_what_the_index_withholds_is_withheld():
    with pytest.raises(InputError, match=r"withheld.*providers 2, wanted 3"):
        rent_decline(HEAD + panel(-0.2, sellers=2), "p.csv", "H100")
    with pytest.raises(InputError, match="publishes 2 of 2 months, wanted 3"):
        rent_decline(HEAD + panel(-0.2, months=2), "p.csv", "H100")
    opened = Settings(gates=Gates(provider_count_min=2))
    assert rent_decline(HEAD + panel(-0.2, sellers=2), "p.csv", "H100", opened).freedom_count == 1
    thin = panel(-0.2, months=5) + "2025-06-10,s0,H100_SXM,on_demand,0.5\n"
    fit = rent_decline(HEAD + thin, "p.csv", "H100")
    assert fit.months[-1] == "2025-05"
    assert fit.withheld[0].startswith("2025-06: matched providers 1")


def test_prices_that_never_move_are_no_certainty():
    with pytest.raises(InputError, match="never moved"):
        rent_decline(HEAD + panel(0.0, noise=0.0), "p.csv", "H100")


def test_two_products_of_one_name_are_told_apart():
    text = HEAD + panel(-0.2) + panel(-0.2, gpu="H100_PCIe")
    with pytest.raises(InputError, match="several series"):
        rent_decline(text, "p.csv", "H100")
    assert rent_decline(text, "p.csv", "H100-SXM-80GB").label.startswith("H100-SXM-80GB on_demand")
    with pytest.raises(InputError, match="no on-demand price"):
        rent_decline(text, "p.csv", "B200")


def test_the_quantiles_are_students():
    chance = np.random.default_rng(1)
    for freedom in (2, 4, 10, 30):
        drawn = np.abs(chance.standard_t(freedom, 200_000)) < T975[freedom - 1]
        assert drawn.mean() == pytest.approx(0.95, abs=0.003)


@given(st.floats(-2, 0.5), st.floats(0, 2), st.floats(0, 1))
def test_ends_of_the_slope_are_ends_of_life_and_value(slope: float, reach: float, place: float):
    low, high = slope - reach, slope + reach
    found = outlook(MARKET, (low, high), (low, high))
    assert found.life_years_range is not None
    inner = low + place * (high - low)
    point = outlook(
        LifeInputs(2.5, max(-5.0, min(5.0, inner)), 0.65, 25_000.0, max(-5.0, min(5.0, inner)))
    )
    shortest, longest = found.life_years_range
    assert shortest <= point.life_years * (1 + 1e-9)
    assert point.life_years <= longest * (1 + 1e-9)
    for year, value, sale in zip(
        point.plan, found.annuity_usd_intervals, found.liquidation_usd_intervals, strict=True
    ):
        assert value[0] <= year.annuity_usd * (1 + 1e-6) + 1e-6
        assert year.annuity_usd <= value[1] * (1 + 1e-6) + 1e-6
        assert sale[0] <= year.liquidation_usd * (1 + 1e-9)
        assert year.liquidation_usd <= sale[1] * (1 + 1e-9)


def test_a_stated_slope_is_a_point():
    found = outlook(MARKET)
    assert found.life_years_range is None
    assert "annuity_usd_low" not in found.rows()[0]
    assert years_text(inf) == "no end"


def ask(*words: str) -> str:
    result = CliRunner().invoke(app, ["life", *words])
    if isinstance(result.exception, GigawattError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


def test_the_command_gives_an_interval_and_takes_a_slope(tmp_path: Path):
    file, picture = tmp_path / "p.csv", tmp_path / "l.png"
    file.write_text(HEAD + panel(-0.5, months=5), encoding="utf-8")
    fit = rent_decline(file.read_text(encoding="utf-8"), "p.csv", "H100")
    options = ("--rental", str(file), "--gpu", "H100")
    document = json.loads(ask(*options, "-o", "json", "--plot", str(picture)))
    low, high = document["economic_life_years_low"], document["economic_life_years_high"]
    assert low < document["economic_life_years"] < high
    assert document["rent_fit"]["slope_per_year"] == fit.slope_per_year
    assert document["years"][1]["annuity_usd_low"] < document["years"][1]["annuity_usd_high"]
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = ask(*options)
    for words in ("95 %", "wide interval", "6 sellers", "5 published months"):
        assert words in text
    point = json.loads(ask(*options, "--rent-slope", "-0.3", "-o", "json"))
    assert "economic_life_years_low" not in point
    assert point["inputs"]["rent_slope_per_year"] == -0.3
    assert point["inputs"]["rent_usd_per_gpu_hour"] == fit.rent_usd_per_gpu_hour


def test_a_rise_is_carried_as_flat_rent(tmp_path: Path):
    file = tmp_path / "p.csv"
    file.write_text(HEAD + panel(0.5, months=5), encoding="utf-8")
    document = json.loads(ask("--rental", str(file), "--gpu", "H100", "-o", "json"))
    assert document["inputs"]["rent_slope_per_year"] == 0
    assert document["economic_life_years"] is None
    assert document["rent_fit"]["slope_per_year"] > 0.4


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ((), "--gpu"),
        (("--gpu", "H100", "--rent", "2", "--rent-slope", "-0.1"), "nothing to fit"),
        (("--gpu", "B200"), "B200"),
    ],
)
def test_wrong_options_are_refused(tmp_path: Path, words: tuple[str, ...], said: str):
    file = tmp_path / "p.csv"
    file.write_text(HEAD + panel(-0.5), encoding="utf-8")
    with pytest.raises(GigawattError, match=said):
        ask("--rental", str(file), *words)


def test_a_real_panel_of_five_months_gives_a_wide_interval():
    named = os.environ.get("GIGAWATT_PRICE_PANEL")
    if not named:
        pytest.skip("GIGAWATT_PRICE_PANEL names no rental panel")
    text = Path(named).read_text(encoding="utf-8")
    fit = rent_decline(text, named, "H100")
    low, high = fit.change_share_interval
    # The pooled mean falls by 28 %; matched sellers do not show a fall.
    assert low < 0 < high
    assert fit.withheld
    assert fit.provider_count >= 20
    with pytest.raises(InputError, match="withheld"):
        rent_decline(text, named, "B300")
