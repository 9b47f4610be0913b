"""Guards between what a source says and what may enter an index.

Goal: no price enters that is not the price of one whole GPU for one hour, and whoever is left out
or refused is told by name.
Method: one good offer, and one way to break it per guard; the good one must pass every time.
"""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.economics.index.csv_format import COLUMNS, read_offers, write_offers
from gigawatt.economics.index.gpus import canonical_gpu, gpu_of_text
from gigawatt.economics.index.quote import (
    Gpu,
    Offer,
    PriceBasis,
    PriceKind,
    Term,
    UsageRow,
    offers_of_usage,
)
from gigawatt.economics.index.screening import count_rules, quote_of, screen
from gigawatt.economics.index.settings import Gates, Settings
from gigawatt.errors import InputError

GOOD = Offer(
    place="panel.csv line 7",
    day=date(2026, 3, 2),
    provider="acme",
    gpu=Gpu("H100", "SXM", 80),
    term=Term.ON_DEMAND,
    price_micro=24_000_000,
    currency="USD",
    source="acme price page",
    retrieved=date(2026, 3, 2),
    gpu_count=8,
    basis=PriceBasis.NODE,
)
SETTINGS = Settings()
USD = {"USD": 1_000_000}


def test_a_node_price_becomes_the_price_of_one_gpu():
    quote = quote_of(GOOD, USD)
    assert quote.price_micro_usd_per_gpu_hour == 3_000_000
    assert quote.cell.node_gpu_count == 8
    assert quote.offer is GOOD, "the offer stays with the quote as its provenance"


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"price_micro": None}, "no_price"),
        ({"price_micro": 0}, "zero_price"),
        ({"price_micro": 1, "gpu_count": 8}, "zero_price"),
        ({"basis": PriceBasis.FROM}, "teaser"),
        ({"basis": PriceBasis.COMPONENT}, "component_price"),
        ({"gpu_count": 0.5}, "fractional_gpu"),
        ({"gpu_count": None}, "no_node_size"),
        ({"gpu": Gpu("A100", "SXM", 0)}, "memory_mismatch"),
        ({"gpu": Gpu("A100", "SXM", 60)}, "memory_mismatch"),
        ({"gpu": Gpu("H100", "SXM", 40)}, "memory_mismatch"),
    ],
)
def test_what_is_no_price_of_a_gpu_is_left_out_by_name(change, rule):
    assert not screen([GOOD], SETTINGS).exclusions
    broken = replace(GOOD, **change)
    screened = screen([broken], SETTINGS)
    assert not screened.quotes
    assert count_rules(screened.exclusions) == {rule: 1}
    assert screened.exclusions[0].name == broken.name
    assert "panel.csv line 7" in broken.name
    assert screened.exclusions[0].sentence


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"price_micro": -1}, "negative"),
        ({"day": date(1999, 1, 1)}, "1999-01-01"),
        ({"day": date(2026, 3, 3)}, "day it was read"),
        ({"source": ""}, "no source"),
        ({"currency": "EUR"}, "EUR"),
        ({"quantity_gpu_hours": 0.0}, "GPU-hours"),
        ({"quantity_gpu_hours": -5.0}, "GPU-hours"),
        ({"gpu_count": -8.0}, "GPUs"),
    ],
)
def test_wrong_offers_are_refused_by_name(change, word):
    with pytest.raises(InputError, match=word) as refused:
        screen([GOOD, replace(GOOD, provider="other", **change)], SETTINGS)
    assert "panel.csv line 7 (other" in str(refused.value)


def test_mixed_currencies_need_an_explicit_rate_and_then_agree():
    euro = replace(GOOD, provider="euro", currency="EUR")
    with pytest.raises(InputError, match=r"currency is 'EUR'") as refused:
        screen([GOOD, euro], SETTINGS)
    assert "--rate EUR=" in refused.value.next_step
    quotes = screen([GOOD, euro], SETTINGS, {"EUR": 1_080_000}).quotes
    assert {q.price_micro_usd_per_gpu_hour for q in quotes} == {3_000_000, 3_240_000}


def test_one_cell_priced_twice_on_a_day_is_refused():
    twin = replace(GOOD, place="panel.csv line 9", price_micro=25_000_000)
    with pytest.raises(InputError, match=r"line 9.*line 7"):
        screen([GOOD, twin], SETTINGS)
    assert len(screen([GOOD, replace(twin, sku="other")], SETTINGS).quotes) == 2
    assert len(screen([GOOD, replace(twin, term=Term.SPOT)], SETTINGS).quotes) == 2


def test_two_memory_sizes_are_two_products():
    small, large = (replace(GOOD, gpu=Gpu("A100", "SXM", size)) for size in (40, 80))
    quotes = screen([small, large], SETTINGS).quotes
    assert len({quote.cell.gpu for quote in quotes}) == 2


@pytest.mark.parametrize(
    ("said", "meant"),
    [(Gpu("H200", "", 0), 141), (Gpu("H200", "", 143), 141), (Gpu("B200", "", 192), 180),
     (Gpu("V100", "SXM", 16), 16), (Gpu("Z9", "", 7), 7)],
)  # fmt: skip
def test_memory_is_what_the_maker_builds(said, meant):
    assert canonical_gpu(said) == Gpu(said.name, said.form_factor, meant)


@pytest.mark.parametrize(
    ("text", "label"),
    [("A100_SXM_80GB", "A100-SXM-80GB"), ("A100-80GB", "A100-80GB"), ("H100 PCIe", "H100-PCIe"),
     ("H100-SXM5-80GB", "H100-SXM-80GB"), ("NVIDIA L40S", "L40S"), ("MI300X", "MI300X")],
)  # fmt: skip
def test_names_of_gpus_are_understood(text, label):
    assert gpu_of_text(text).label == label


def peers(*prices_usd: float, basis: PriceBasis = PriceBasis.GPU) -> list[Offer]:
    return [
        replace(GOOD, provider=f"p{n}", price_micro=round(price * 1e6), basis=basis)
        for n, price in enumerate(prices_usd)
    ]


def test_a_node_price_that_claims_to_be_per_gpu_is_left_out():
    screened = screen(peers(2.9, 3.0, 3.1, 24.0), SETTINGS)
    assert count_rules(screened.exclusions) == {"whole_node": 1}
    assert "p3" in screened.exclusions[0].name
    assert len(screened.quotes) == 3


def test_a_dear_seller_is_not_taken_for_a_node_price():
    assert not screen(peers(2.9, 3.0, 3.1, 9.0), SETTINGS).exclusions
    assert not screen(peers(2.9, 3.0, 24.0)[1:], SETTINGS).exclusions, "two sellers are no peers"
    off = replace(SETTINGS, node_price_tolerance_ratio=0.0)
    assert not screen(peers(2.9, 3.0, 3.1, 24.0), off).exclusions


def spot_pairs(ratios: list[float]) -> list[Offer]:
    offers = []
    for number, ratio in enumerate(ratios):
        whole = replace(GOOD, sku=f"s{number}", price_micro=(16 + 8 * number) * 1_000_000)
        spot = replace(whole, term=Term.SPOT, price_micro=round(whole.price_micro * ratio))
        offers += [whole, spot]
    return offers


def test_spot_that_is_one_multiple_of_on_demand_is_set_by_rule_and_left_out():
    screened = screen(spot_pairs([0.5, 0.5, 0.5]), SETTINGS)
    assert count_rules(screened.exclusions) == {"administered_spot": 3}
    assert all(quote.cell.term is Term.ON_DEMAND for quote in screened.quotes)
    assert "0.500 x" in screened.exclusions[0].sentence


@pytest.mark.parametrize("ratios", [[0.5, 0.52, 0.48], [0.5, 0.5]])
def test_spot_of_a_market_or_of_too_few_prices_stays(ratios):
    assert not screen(spot_pairs(ratios), SETTINGS).exclusions


def test_own_usage_is_metered_with_its_hours():
    row = UsageRow(
        date(2026, 3, 1), "we", Gpu("H100", "SXM", 80), Term.RESERVED_1Y, 40.0, 96 * 10**6
    )
    (offer,) = offers_of_usage([row], "ledger")
    quote = quote_of(offer, USD)
    assert quote.price_micro_usd_per_gpu_hour == 2_400_000
    assert quote.quantity_gpu_hours == 40.0
    assert quote.cell.kind is PriceKind.METERED
    with pytest.raises(InputError, match="ledger row 1"):
        offers_of_usage([replace(row, gpu_hours=0.0)], "ledger")


@pytest.mark.parametrize(
    "fields",
    [{"provider_count_min": 0}, {"matched_ratio_min": 1.5}, {"dispersion_max": -1.0},
     {"dispersion_max": float("nan")}],
)  # fmt: skip
def test_gates_that_mean_nothing_are_refused(fields):
    with pytest.raises(InputError):
        Gates(**fields)


# --- files ------------------------------------------------------------------------------------

TEXT = st.text("abcXYZ09 ,\"'-_é", min_size=1, max_size=12).map(str.strip).filter(bool)
OFFERS = st.builds(
    Offer,
    place=st.just("x"),
    day=st.dates(date(2020, 1, 1), date(2026, 1, 1)),
    provider=TEXT,
    gpu=st.builds(Gpu, TEXT, st.sampled_from(["", "SXM"]), st.integers(0, 300)),
    term=st.sampled_from(Term),
    price_micro=st.none() | st.integers(0, 10**9),
    currency=st.sampled_from(["USD", "EUR"]),
    source=TEXT,
    retrieved=st.dates(date(2026, 1, 1), date(2026, 12, 1)),
    region=st.sampled_from(["", "na"]),
    sku=st.sampled_from(["", "big, one"]),
    gpu_count=st.sampled_from([None, 1.0, 8.0, 0.5]),
    basis=st.sampled_from(PriceBasis),
    kind=st.sampled_from(PriceKind),
    quantity_gpu_hours=st.none() | st.floats(0.001, 1e9),
)


@given(st.lists(OFFERS, min_size=1, max_size=5))
def test_offers_survive_the_file(offers):
    back = read_offers(write_offers(offers), "x")
    assert [replace(offer, place="x") for offer in back] == offers


@given(st.text(max_size=200) | st.text(max_size=80).map(lambda t: ",".join(COLUMNS) + "\n" + t))
def test_any_text_is_read_or_refused_with_a_reason(text):
    try:
        read_offers(text, "x.csv")
    except InputError as error:
        reason = str(error)
    else:
        return
    assert "x.csv" in reason


ROW = write_offers([GOOD]).splitlines()[1].split(",")


@pytest.mark.parametrize(
    ("column", "value"),
    [("day", "02.03.2026"), ("day", ""), ("provider", ""), ("gpu", ""), ("memory_gbyte", "many"),
     ("memory_gbyte", "-80"), ("term", "contract"), ("gpu_count", "x"), ("price", "3,0"),
     ("price", "nan"), ("price", "1e9"), ("basis", "each"), ("currency", "$"), ("kind", "guess"),
     ("quantity_gpu_hours", "inf"), ("source", ""), ("retrieved", "today"), ("sku", "a\x00b")],
)  # fmt: skip
def test_a_wrong_cell_is_refused_with_line_and_column(column, value):
    cells = list(ROW)
    cells[COLUMNS.index(column)] = f'"{value}"'
    text = "\n".join([",".join(COLUMNS), ",".join(ROW), ",".join(cells)])
    with pytest.raises(InputError, match=r"file\.csv line 3") as refused:
        read_offers(text, "file.csv")
    assert repr(column) in str(refused.value)


def test_files_that_are_none_are_refused():
    head = ",".join(COLUMNS)
    for text, word in (
        ("", "missing"),
        (head, "no offer"),
        (head.replace("currency,", ""), "'currency' is missing"),
        (head + ",more\n", "wanted"),
        (head + "\n1,2\n", "2 cells"),
        (head + '\n"', "not CSV"),
    ):
        with pytest.raises(InputError, match=word):
            read_offers(text, "file.csv")


def test_a_daily_panel_is_read():
    text = (
        "date,provider,gpu_model,rental_type,price_median_usd,price_min_usd,n_rows\n"
        "2026-02-11,acme,A100_SXM_80GB,on_demand,2.3,2.3,1\n"
    )
    (offer,) = read_offers(text, "panel.csv")
    assert offer.price_micro == 2_300_000
    assert offer.gpu == Gpu("A100", "SXM", 80)
    assert offer.source == "panel.csv"
    assert offer.retrieved - offer.day == timedelta(0)
