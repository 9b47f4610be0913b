"""From quotes to published levels: links, gates, outliers, breaks, and terms together.

Goal: a level moves by prices alone, and is withheld exactly when a gate says so, with the reason.
Method: small markets built month by month; properties over random ones; each gate pushed to both
sides of its threshold.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import date
from math import inf

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.economics.index.breaks import find_breaks
from gigawatt.economics.index.chain import chain, gate, link_of
from gigawatt.economics.index.panel import make_panel, without_outliers
from gigawatt.economics.index.quote import Cell, Gpu, Offer, PriceKind, Quote, Term
from gigawatt.economics.index.sensitivity import sensitivity
from gigawatt.economics.index.settings import OPEN_GATES, Gates, Settings
from gigawatt.economics.index.subindex import SubIndex, sub_index, sub_indices
from gigawatt.economics.index.upper import upper_index
from gigawatt.errors import InputError

H100 = Gpu("H100", "SXM", 80)
SETTINGS = Settings()
OPEN = Settings(gates=OPEN_GATES)


def quote(
    provider: str,
    month: int,
    price_usd: float,
    *,
    hours: float | None = None,
    term: Term = Term.ON_DEMAND,
    day: int = 15,
) -> Quote:
    when = date(2026, month, day)
    offer = Offer(
        place="made up", day=when, provider=provider, gpu=H100, term=term,
        price_micro=round(price_usd * 1e6), currency="USD", source="test", retrieved=when,
        quantity_gpu_hours=hours,
    )  # fmt: skip
    cell = Cell(H100, term, provider, "", 0, "", PriceKind.LIST)
    return Quote(cell, when, round(price_usd * 1e6), hours, offer)


def market(*months: dict[str, float]) -> list[Quote]:
    return [
        quote(provider, month, price)
        for month, prices in enumerate(months, 1)
        for provider, price in prices.items()
    ]


def level_of(quotes: Iterable[Quote], rules: Settings = SETTINGS) -> SubIndex:
    return sub_index(list(quotes), rules)


BASE = {"a": 2.0, "b": 3.0, "c": 4.0, "d": 5.0}


def test_the_naive_mean_falls_while_every_price_rises():
    """The dear sellers leave; those who stay raise their prices."""
    part = level_of(market(BASE | {"e": 12.0, "f": 11.0}, {k: 1.02 * v for k, v in BASE.items()}))
    assert part.level[1] == pytest.approx(1.02)
    assert part.dummy_level[1] == pytest.approx(1.02)
    assert part.geks_level[1] == pytest.approx(1.02)
    assert part.pooled_mean_level[1] < 0.6
    assert part.mix_effect[1] == pytest.approx(part.pooled_mean_level[1] / 1.02)


MARKETS = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0.5, 20.0), min_size=1),
    min_size=2, max_size=6,
)  # fmt: skip


@given(MARKETS)
@settings(max_examples=60)
def test_a_value_is_withheld_exactly_when_a_gate_says_so(months):
    quotes = market(*months)
    rules = replace(SETTINGS, outlier_mad_limit=inf)
    part = level_of(quotes, rules)
    assert [bool(reason) for reason in part.chain.reasons] == np.isnan(part.level).tolist()
    assert np.isnan(part.dummy_level)[np.isnan(part.level)].all()
    assert np.isnan(part.geks_level)[np.isnan(part.level)].all()
    last = None
    for month, prices in enumerate(months):
        if last is None:
            is_open = len(prices) >= 3
        else:
            both = sorted(set(prices) & set(months[last]))
            moves = [np.log(prices[name] / months[last][name]) for name in both]
            share = len(both) / max(len(prices), len(months[last]))
            is_open = len(both) >= 3 and share >= 0.5 and np.std(moves, ddof=1) <= 0.45
        assert bool(part.chain.reasons[month]) != is_open
        last = month if is_open else last


@given(MARKETS, st.floats(0.2, 5.0))
@settings(max_examples=60)
def test_prices_that_all_move_alike_move_the_index_by_just_that(months, factor):
    """Identity and proportionality, whoever comes and goes."""
    names = sorted({name for prices in months for name in prices})
    # Dear enough that micro-dollars do not show after five steps down.
    start = {name: 1000.0 + number for number, name in enumerate(names)}
    moved = [
        {name: start[name] * factor**month for name in prices}
        for month, prices in enumerate(months)
    ]
    part = level_of(market(*moved), replace(OPEN, outlier_mad_limit=inf))
    for levels in (part.level, part.dummy_level, part.geks_level):
        known = ~np.isnan(levels)
        wanted = factor ** np.arange(len(months), dtype=float)
        assert levels[known] == pytest.approx(wanted[known], rel=1e-4)


@given(st.lists(st.lists(st.floats(1.0, 1e5), min_size=4, max_size=4), min_size=2, max_size=5))
def test_a_changed_mix_alone_moves_only_the_mix_effect(hours):
    quotes = [
        quote(name, month, price, hours=hours[month - 1][number])
        for month in range(1, len(hours) + 1)
        for number, (name, price) in enumerate(BASE.items())
    ]
    part = level_of(quotes)
    assert part.level == pytest.approx(1.0)
    assert part.geks_level == pytest.approx(1.0)
    assert part.mix_effect == pytest.approx(part.unit_value_level)


def test_terms_are_never_mixed():
    quotes = [*market(BASE), quote("a", 1, 1.0, term=Term.SPOT)]
    with pytest.raises(InputError, match="never mixed"):
        make_panel(quotes, SETTINGS)
    assert [part.series.term for part in sub_indices(quotes, SETTINGS)] == [
        Term.ON_DEMAND,
        Term.SPOT,
    ]


def test_a_list_price_is_no_transaction():
    deals = [replace(q, cell=replace(q.cell, kind=PriceKind.TRANSACTION)) for q in market(BASE)]
    with pytest.raises(InputError, match="never mixed"):
        make_panel(market(BASE) + deals, SETTINGS)
    parts = sub_indices(market(BASE) + deals, SETTINGS)
    assert [part.series.kind for part in parts] == [PriceKind.LIST, PriceKind.TRANSACTION]
    with pytest.raises(InputError, match="one kind of price"):
        upper_index(parts, {Term.ON_DEMAND: 1.0})


# --- gates ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("later", "gates", "reason"),
    [
        ({"a": 2.0, "b": 3.0}, Gates(), "matched providers 2, wanted 3"),
        ({"a": 2.0, "b": 3.0}, Gates(provider_count_min=2), ""),
        ({"x": 1.0}, OPEN_GATES, "no cell has a price in both months"),
        (BASE | dict.fromkeys("qrstu", 1.0), Gates(), "matched share 44%, wanted 50%"),
        (BASE | dict.fromkeys("qrst", 1.0), Gates(), ""),
        ({"a": 4.0, "b": 1.5, "c": 4.0, "d": 5.0}, Gates(), "dispersion 0.57, at most 0.45"),
        ({"a": 3.0, "b": 2.5, "c": 4.0, "d": 5.0}, Gates(), ""),
    ],
)
def test_each_gate_withholds_with_its_reason(later, gates, reason):
    panel = make_panel(market(BASE, later), SETTINGS)
    assert gate(link_of(panel, 0, 1), gates) == reason
    assert chain(panel, gates).reasons == ("", reason)


def test_the_index_bridges_a_withheld_month():
    part = level_of(market(BASE, {"a": 9.0}, {k: 1.1 * v for k, v in BASE.items()}))
    assert part.chain.reasons[0] == part.chain.reasons[2] == ""
    assert np.isnan(part.level[1])
    assert part.level[2] == pytest.approx(1.1)


def test_links_lead_from_the_last_published_month_not_from_the_base():
    """Nobody of the first month is left in the third; the second joins them."""
    late = {"d": 1.0, "e": 2.0, "f": 3.0}
    later = {name: 1.3 * price for name, price in late.items()}
    early = {"a": 2.0, "b": 3.0, "c": 4.0}
    part = level_of(market(early, {k: 1.2 * v for k, v in early.items()} | late, later))
    assert part.chain.reasons == ("", "", "")
    assert part.level == pytest.approx([1.0, 1.2, 1.56])


def test_the_band_widens_with_every_link():
    second = {"a": 2.2, "b": 3.0, "c": 4.0, "d": 5.0}
    part = level_of(market(BASE, second, BASE))
    moves = np.log([1.1, 1.0, 1.0, 1.0])
    error = moves.std(ddof=1) / 2.0
    assert part.chain.log_se == pytest.approx([0.0, error, error * 2**0.5], abs=1e-6)
    low, high = part.band
    assert np.log(high / low)[1:] == pytest.approx(2 * 1.96 * part.chain.log_se[1:], rel=1e-4)


def test_the_base_is_the_first_month_with_enough_sellers():
    part = level_of(market({"a": 1.0}, BASE, BASE))
    assert part.chain.base == 1
    assert part.chain.reasons[0] == "providers 1, wanted 3"
    assert part.pooled_mean_level[1] == 1.0


def test_a_market_of_one_seller_is_withheld_whole():
    part = level_of(market({"a": 1.0}, {"a": 1.1}))
    assert np.isnan(part.level).all()
    assert part.dummy is None
    assert level_of(market({"a": 1.0}, {"a": 1.1}), OPEN).level[1] == pytest.approx(1.1)


def test_a_month_without_any_quote_is_withheld_and_bridged():
    quotes = market(BASE) + [quote(name, 3, price) for name, price in BASE.items()]
    part = level_of(quotes)
    assert part.panel.months == ("2026-01", "2026-02", "2026-03")
    assert part.chain.reasons[1]
    assert part.level[2] == pytest.approx(1.0)


def test_a_seller_with_many_products_has_one_voice():
    def many(month: int, factor: float) -> list[Quote]:
        found = []
        for number in range(9):
            one = quote("a", month, 2.0 * factor)
            found.append(replace(one, cell=replace(one.cell, sku=f"s{number}")))
        return found + [quote(name, month, BASE[name]) for name in "bcd"]

    part = level_of(many(1, 1.0) + many(2, 1.21))
    assert part.level[1] == pytest.approx(1.21**0.25)


# --- outliers and breaks ----------------------------------------------------------------------


def test_an_outlier_goes_with_both_its_links_so_that_nothing_drifts():
    spike = BASE | {"a": 16.0}
    part = level_of(market(BASE, spike, BASE, BASE))
    assert part.level == pytest.approx(1.0)
    assert len(part.outliers) == 1
    assert "a H100" in part.outliers[0].name
    assert "2026-02" in part.outliers[0].sentence


def test_a_wrong_first_month_is_told_from_a_move():
    """The price far from the cell's own median goes, be it before or after the jump."""
    panel = make_panel(market(BASE | {"a": 16.0}, BASE, BASE, BASE), SETTINGS)
    cleaned, outliers = without_outliers(panel, SETTINGS)
    assert np.isnan(cleaned.price_usd_per_gpu_hour[0, 0])
    assert np.isnan(cleaned.price_usd_per_gpu_hour).sum() == 1
    assert "2026-01 is left out" in outliers[0].sentence


@pytest.mark.parametrize(
    ("factor", "limit", "is_out"), [(2.1, 3.0, True), (1.9, 3.0, False), (9.0, inf, False)]
)
def test_outliers_lie_beyond_the_floor_and_the_deviations(factor, limit, is_out):
    rules = replace(SETTINGS, outlier_mad_limit=limit)
    panel = make_panel(market(BASE, BASE | {"a": 2.0 * factor}, BASE), rules)
    assert bool(without_outliers(panel, rules)[1]) == is_out


def daily(jump: int, factor: float = 0.5) -> list[Quote]:
    return [
        quote(name, 2, 6.0 * (factor if number < jump and day >= 19 else 1.0), day=day)
        for number, name in enumerate("abcdefghij")
        for day in range(11, 27)
    ]


def test_a_day_on_which_many_step_together_is_told():
    (found,) = find_breaks(daily(4))
    assert found.day == date(2026, 2, 19)
    assert (found.stepped_count, found.quoted_count) == (4, 10)
    assert found.factor == pytest.approx(0.5)
    assert "2026-02-19" in found.sentence


def test_few_or_small_steps_are_a_market():
    assert not find_breaks(daily(2))
    assert not find_breaks(daily(10, factor=0.9))
    assert not find_breaks(daily(0))


def test_steps_across_a_gap_in_the_data_have_no_day():
    gone = range(12, 20)
    assert not find_breaks([quote for quote in daily(10) if quote.day.day not in gone])
    assert find_breaks([quote for quote in daily(10) if quote.day.day not in range(16, 19)])


def test_every_judgement_has_a_line():
    later = [replace(q, day=date(2026, 3, q.day.day)) for q in daily(0)]
    lines = sensitivity(daily(4) + later, SETTINGS)
    assert lines[0].parameter == "as set"
    assert {line.parameter for line in lines} == {
        "as set", "price of a cell in a month", "outliers", "outlier floor", "providers at least",
        "matched share at least", "dispersion at most", "gates", "start on day of break",
    }  # fmt: skip
    geometric = next(line for line in lines if line.value == "geometric_mean")
    assert geometric.level != pytest.approx(lines[0].level)


# --- terms together ---------------------------------------------------------------------------


def two_terms(hours: tuple[tuple[float, float], ...]) -> tuple[SubIndex, ...]:
    """Contract 2.40, 2.50 and on-demand 3.00, 3.10 in months 1 and 2, with their hours."""
    quotes = []
    for month, (contract, on_demand) in enumerate(hours, 1):
        prices = ((Term.RESERVED_1Y, 2.4, 2.5, contract), (Term.ON_DEMAND, 3.0, 3.1, on_demand))
        for term, first, second, sold in prices:
            price = first if month == 1 else second
            quotes.append(quote("we", month, price, hours=sold, term=term))
    return sub_indices(quotes, OPEN)


def test_two_rising_terms_and_a_falling_unit_value_are_told_apart():
    upper = upper_index(two_terms(((40.0, 60.0), (80.0, 20.0))))
    found = upper.values[1].comparison
    assert found is not None
    assert found.unit_value == pytest.approx(0.949275, abs=5e-7)
    assert found.laspeyres == pytest.approx(1.036232, abs=5e-7)
    assert found.paasche == pytest.approx(1.039683, abs=5e-7)
    assert found.fisher == pytest.approx(1.037956, abs=5e-7)
    assert found.mix_effect == pytest.approx(0.914562, abs=5e-7)


def test_a_stated_basket_is_laspeyres_of_that_basket():
    parts = two_terms(((40.0, 60.0), (80.0, 20.0)))
    upper = upper_index(parts, {Term.RESERVED_1Y: 40.0, Term.ON_DEMAND: 60.0})
    assert upper.values[1].lowe == pytest.approx(1.036232, abs=5e-7)
    assert upper.values[0].lowe == pytest.approx(1.0)


def test_terms_together_are_withheld_when_one_is():
    quotes = market(BASE, BASE, {"a": 2.0})
    quotes += [replace(q, cell=replace(q.cell, term=Term.SPOT)) for q in market(BASE, BASE, BASE)]
    parts = sub_indices(quotes, SETTINGS)
    upper = upper_index(parts, {Term.ON_DEMAND: 1.0, Term.SPOT: 1.0})
    assert [value.reason for value in upper.values] == ["", "", "on_demand is withheld"]
    assert upper.values[2].lowe is None


def test_terms_together_start_where_all_are_published():
    """On-demand rises by 10 % before spot exists; that is no part of the common index."""
    more = {name: 1.1 * price for name, price in BASE.items()}
    quotes = market(BASE, more, more)
    quotes += [quote(name, month, 1.0, term=Term.SPOT) for name in "abc" for month in (2, 3)]
    upper = upper_index(sub_indices(quotes, SETTINGS), {Term.ON_DEMAND: 1.0, Term.SPOT: 1.0})
    assert upper.base_month == "2026-02"
    assert [value.lowe for value in upper.values] == pytest.approx([1.0, 1.0])


def test_weights_are_never_made_up():
    parts = sub_indices(
        market(BASE) + [quote(name, 1, 1.0, term=Term.SPOT) for name in "abc"], SETTINGS
    )
    with pytest.raises(InputError, match="no basket is stated"):
        upper_index(parts)
    with pytest.raises(InputError, match="the basket names spot"):
        upper_index(parts, {Term.SPOT: 1.0})
    with pytest.raises(InputError, match="every term once"):
        upper_index((parts[0], parts[0]), {Term.ON_DEMAND: 1.0})
    never = sub_indices([*market(BASE), quote("a", 1, 1.0, term=Term.SPOT)], SETTINGS)
    with pytest.raises(InputError, match="no month is published for all"):
        upper_index(never, {Term.ON_DEMAND: 1.0, Term.SPOT: 1.0})
