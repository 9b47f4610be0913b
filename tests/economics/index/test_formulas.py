"""Formulas of two periods and of many.

Goal: every formula gives the textbook value, and passes the axioms that it is known to pass.
Method: one exact fixture, the axioms as properties over random prices and quantities, GEKS against
its closed form, and the regression against statsmodels and against dummies written out in full.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from statsmodels.regression.linear_model import OLS

from gigawatt.economics.index.bilateral import compare, lowe
from gigawatt.economics.index.hedonic import time_dummy
from gigawatt.economics.index.multilateral import geks, geks_of_panel, matched_jevons_log
from gigawatt.economics.index.panel import Panel
from gigawatt.economics.index.quote import Cell, Gpu, PriceKind, Term
from gigawatt.errors import InputError

H100 = Gpu("H100", "SXM", 80)
PRICES = st.floats(0.05, 50.0)
HOURS = st.floats(0.1, 1e6)


def vectors(count: int, values: st.SearchStrategy[float]) -> st.SearchStrategy[np.ndarray]:
    return arrays(np.float64, count, elements=values)


@st.composite
def periods(draw: st.DrawFn) -> tuple[np.ndarray, ...]:
    count = draw(st.integers(1, 6))
    price, hours = vectors(count, PRICES), vectors(count, HOURS)
    return draw(price), draw(price), draw(hours), draw(hours)


def panel_of(prices: np.ndarray, hours: np.ndarray | None = None, nodes: int = 0) -> Panel:
    """A panel with one provider a row, two rows for the first provider."""
    count, months = prices.shape
    cells = tuple(
        Cell(H100, Term.ON_DEMAND, f"p{max(row, 1)}", "", nodes << row % 3, f"s{row}",
             PriceKind.LIST)
        for row in range(count)
    )  # fmt: skip
    hours = np.full(prices.shape, np.nan) if hours is None else hours
    names = tuple(f"2026-{month + 1:02d}" for month in range(months))
    zero = np.zeros(months)
    return Panel(cells, names, prices, hours, zero, zero, zero.astype(np.int64))


def test_rising_prices_and_a_falling_unit_value():
    """Contract 2.40 to 2.50 and on-demand 3.00 to 3.10, hours (40, 60) to (80, 20)."""
    p0, p1 = np.array([2.4, 3.0]), np.array([2.5, 3.1])
    found = compare(p0, p1, np.array([40.0, 60.0]), np.array([80.0, 20.0]))
    assert found.unit_value == pytest.approx(0.949275, abs=5e-7)
    assert found.laspeyres == pytest.approx(1.036232, abs=5e-7)
    assert found.paasche == pytest.approx(1.039683, abs=5e-7)
    assert found.fisher == pytest.approx(1.037956, abs=5e-7)
    assert found.tornqvist == pytest.approx(1.037955, abs=5e-7)
    assert found.mix_effect == pytest.approx(0.914562, abs=5e-7)


@given(periods())
def test_identity_equal_prices_give_one(case):
    p0, _, q0, q1 = case
    found = compare(p0, p0, q0, q1)
    for value in (found.laspeyres, found.paasche, found.fisher, found.tornqvist):
        assert value == pytest.approx(1.0)
    assert found.mix_effect == pytest.approx(found.unit_value)
    assert lowe(p0, p0, q0) == pytest.approx(1.0)


@given(periods(), st.floats(0.1, 10.0))
def test_proportional_prices_give_the_factor(case, factor):
    p0, _, q0, q1 = case
    found = compare(p0, factor * p0, q0, q1)
    for value in (found.laspeyres, found.paasche, found.fisher, found.tornqvist):
        assert value == pytest.approx(factor)
    assert lowe(p0, factor * p0, q1) == pytest.approx(factor)


@given(periods())
def test_fisher_and_tornqvist_pass_time_reversal(case):
    p0, p1, q0, q1 = case
    there, back = compare(p0, p1, q0, q1), compare(p1, p0, q1, q0)
    assert there.fisher * back.fisher == pytest.approx(1.0)
    assert there.tornqvist * back.tornqvist == pytest.approx(1.0)
    assert there.laspeyres * back.paasche == pytest.approx(1.0)


@given(periods(), vectors(6, st.floats(0.01, 100.0)))
def test_units_of_a_product_do_not_matter(case, scale):
    p0, p1, q0, q1 = case
    scale = scale[: len(p0)]
    one, other = compare(p0, p1, q0, q1), compare(p0 * scale, p1 * scale, q0 / scale, q1 / scale)
    for name in ("laspeyres", "paasche", "fisher", "tornqvist"):
        assert getattr(one, name) == pytest.approx(getattr(other, name))


@given(periods())
def test_fisher_lies_between_paasche_and_laspeyres(case):
    found = compare(*case)
    low, high = sorted((found.laspeyres, found.paasche))
    assert low * (1 - 1e-12) <= found.fisher <= high * (1 + 1e-12)
    ratio = case[1] / case[0]
    for value in (found.laspeyres, found.paasche, found.tornqvist):
        assert ratio.min() * (1 - 1e-9) <= value <= ratio.max() * (1 + 1e-9)


@given(vectors(4, PRICES), vectors(4, HOURS), st.lists(HOURS, min_size=4, max_size=4))
def test_buyers_who_flee_what_rises_put_paasche_below_laspeyres(p0, q0, factors):
    """Quantities that fall where prices rise more: Bortkiewicz's negative correlation."""
    rise = 1.0 + np.sort(np.array(factors)) / 1e6
    found = compare(p0, p0 * rise, q0, q0 / rise**3)
    assert found.paasche <= found.fisher * (1 + 1e-12) <= found.laspeyres * (1 + 2e-12)


@given(periods())
def test_mix_effect_is_what_prices_leave_of_the_unit_value(case):
    found = compare(*case)
    assert found.mix_effect * found.fisher == pytest.approx(found.unit_value)


@pytest.mark.parametrize(
    ("p0", "q0", "word"),
    [([1.0, -1.0], [1.0, 1.0], "price"), ([1.0, 0.0], [1.0, 1.0], "price"),
     ([1.0, 1.0], [1.0, -1.0], "quantity"), ([1.0, 1.0], [0.0, 0.0], "sold"),
     ([1.0], [1.0, 1.0], "one value"), ([float("nan"), 1.0], [1.0, 1.0], "price")],
)  # fmt: skip
def test_broken_vectors_are_refused(p0, q0, word):
    with pytest.raises(InputError, match=word):
        compare(np.array(p0), np.array([1.0, 1.0]), np.array(q0), np.array([1.0, 1.0]))


# --- many months ------------------------------------------------------------------------------


@given(arrays(np.float64, (5, 5), elements=st.floats(-1.0, 1.0)))
def test_geks_of_a_full_matrix_is_the_geometric_mean_over_link_months(noise):
    log_ratio = noise - noise.T
    closed = (log_ratio[0][:, None] + log_ratio).mean(axis=0)
    assert geks(log_ratio) == pytest.approx(closed - closed[0], abs=1e-9)


@given(arrays(np.float64, (4, 5), elements=st.floats(0.1, 30.0)))
def test_geks_is_transitive_and_reverses(prices):
    forward = geks_of_panel(panel_of(prices), "jevons", 1)
    backward = geks_of_panel(panel_of(prices[:, ::-1].copy()), "jevons", 1)
    assert forward - forward[-1] == pytest.approx(backward[::-1], abs=1e-9)
    assert forward[-1] == pytest.approx(matched_jevons_log(panel_of(prices), 0, 4), abs=1e-9)


def test_geks_has_no_chain_drift_where_prices_and_quantities_return():
    prices = np.array([[1.0, 0.5, 1.0], [1.0, 1.0, 1.0]])
    hours = np.array([[10.0, 500.0, 1.0], [10.0, 10.0, 10.0]])
    hours[:, 2] = hours[:, 0]
    panel = panel_of(prices, hours)
    for formula in ("fisher", "tornqvist"):
        assert geks_of_panel(panel, formula, 1)[2] == pytest.approx(0.0, abs=1e-12)
    chained = compare(prices[:, 0], prices[:, 1], hours[:, 0], hours[:, 1]).laspeyres
    chained *= compare(prices[:, 1], prices[:, 2], hours[:, 1], hours[:, 2]).laspeyres
    assert chained > 1.4, "chained Laspeyres drifts on the same data"


def test_geks_says_nothing_of_a_month_no_pair_leads_to():
    log_ratio = np.full((3, 3), np.nan)
    np.fill_diagonal(log_ratio, 0.0)
    log_ratio[0, 1], log_ratio[1, 0] = 0.1, -0.1
    level = geks(log_ratio)
    assert level[:2] == pytest.approx([0.0, 0.1])
    assert np.isnan(level[2])


def test_geks_does_not_use_pairs_of_months_with_too_few_sellers():
    """Two rows are one seller's; it alone joins the first month to the third."""
    prices = np.array([[1.0, 1.0, 9.0], [1.0, 1.0, 9.0], [1.0, 1.0, np.nan], [2.0, 2.0, np.nan]])
    level = geks_of_panel(panel_of(prices), "jevons", 2)
    assert level[:2] == pytest.approx([0.0, 0.0])
    assert np.isnan(level[2])
    assert not np.isnan(geks_of_panel(panel_of(prices), "jevons", 1)[2])


# --- regression -------------------------------------------------------------------------------


def ragged(seed: int, cells: int = 9, months: int = 5) -> np.ndarray:
    random = np.random.default_rng(seed)
    prices = np.exp(random.normal(1.0, 0.4, (cells, 1)) + random.normal(0, 0.1, (cells, months)))
    gone = random.random((cells, months)) < 0.3
    gone[0] = False
    prices[gone] = np.nan
    return prices


def written_out(panel: Panel, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(design with every dummy, ln price, provider): the same regression without any demeaning."""
    rows, months = np.nonzero(~np.isnan(panel.price_usd_per_gpu_hour))
    effect = (groups[rows][:, None] == np.unique(groups)[None, :]).astype(float)
    times = (months[:, None] == np.arange(1, len(panel.months))[None, :]).astype(float)
    target = np.log(panel.price_usd_per_gpu_hour[rows, months])
    return np.hstack([times, effect]), target, panel.provider_index[rows]


@given(st.integers(0, 10_000))
@settings(max_examples=30)
def test_demeaned_regression_is_the_one_with_every_dummy_written_out(seed):
    panel = panel_of(ragged(seed))
    design, target, _ = written_out(panel, np.arange(len(panel.cells)))
    wanted = np.linalg.lstsq(design, target, rcond=None)[0][:4]
    assert time_dummy(panel).log_level[1:] == pytest.approx(wanted, abs=1e-8)


@pytest.mark.parametrize("effects", ["cell", "provider"])
@pytest.mark.parametrize("errors", ["classical", "robust", "cluster"])
def test_levels_and_standard_errors_are_those_of_statsmodels(effects, errors):
    panel = panel_of(ragged(7))
    numbers = np.arange(len(panel.cells)) if effects == "cell" else panel.provider_index
    design, target, providers = written_out(panel, numbers)
    kinds = {
        "classical": {"cov_type": "nonrobust"},
        "robust": {"cov_type": "HC1"},
        "cluster": {"cov_type": "cluster", "cov_kwds": {"groups": providers}},
    }
    wanted = OLS(target, design).fit(**kinds[errors])
    found = time_dummy(panel, effects=effects, errors=errors)
    assert found.log_level[1:] == pytest.approx(wanted.params[:4], abs=1e-9)
    assert found.log_se[1:] == pytest.approx(wanted.bse[:4], rel=1e-6)
    assert found.level_corrected[1:] == pytest.approx(
        np.exp(wanted.params[:4] - wanted.bse[:4] ** 2 / 2)
    )


def test_node_size_has_an_elasticity_beside_provider_effects():
    prices = np.array([[2.0, 2.2], [1.6, 1.76], [3.0, 3.3], [2.4, 2.64]])
    cells = tuple(
        Cell(H100, Term.ON_DEMAND, provider, "", node, "", PriceKind.LIST)
        for provider, node in (("a", 1), ("a", 2), ("b", 1), ("b", 2))
    )
    nan, zero = np.full(prices.shape, np.nan), np.zeros(2)
    panel = Panel(cells, ("2026-01", "2026-02"), prices, nan, zero, zero, zero.astype(np.int64))
    found = time_dummy(panel, effects="provider", with_node_size=True)
    assert found.level[1] == pytest.approx(1.1)
    assert found.node_size_elasticity == pytest.approx(np.log(0.8) / np.log(2))
    with pytest.raises(InputError, match="provider effects"):
        time_dummy(panel, with_node_size=True)


def test_month_without_a_common_cell_has_no_level():
    prices = np.array([[1.0, 1.1, np.nan], [2.0, 2.2, np.nan], [np.nan, np.nan, 5.0]])
    found = time_dummy(panel_of(prices))
    assert found.level[1] == pytest.approx(1.1)
    assert np.isnan(found.level[2])
    with pytest.raises(InputError, match="2026-01"):
        time_dummy(panel_of(np.array([[np.nan, 1.0]])))
