"""Imports of prices: gpuhunt's catalogue, own sales, foreign tables.

Goal: every import gives a price file that the index reads back, says where each quote is from,
keeps hours and dollars of own sales, and refuses what does not read by line and field.
Method: the real command on small files. The rows of gpuhunt's catalogue are as its own writer
writes them; a module of that name stands in for the installed package. Random sales for what is
conserved.
"""

import csv
import json
import re
import sys
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from gigawatt.app.index_choice import Judgements
from gigawatt.app.index_report import Choice, make_report
from gigawatt.cli.index import app
from gigawatt.economics.index.catalogues import offers_of_gpuhunt_csv
from gigawatt.economics.index.csv_format import read_offers
from gigawatt.economics.index.mapped_csv import offers_of_mapped_csv
from gigawatt.economics.index.quote import Gpu, Offer, PriceBasis, PriceKind, Term
from gigawatt.economics.index.usage_file import FIELDS, Sale, read_sales, usage_rows
from gigawatt.errors import GigawattError, InputError

GPUHUNT_HEADER = (
    "instance_name,location,price,cpu,memory,gpu_count,gpu_name,gpu_memory,spot,disk_size,"
    "gpu_vendor,flags,cpu_arch,provider_data"
)
"""Source: CATALOG_V2_FIELDS in gpuhunt 0.1.34, ``_internal/storage.py``."""
GPUHUNT_ROWS = (
    "8x_h100,us-east-1,23.92,208,1800.0,8,H100,80.0,False,,nvidia,,x86,{}",
    "8x_h100,us-west-1,23.92,208,1800.0,8,H100,80.0,False,,nvidia,,x86,{}",
    "8x_h100,eu-west-1,9.5,208,1800.0,8,H100,80.0,True,,nvidia,,x86,{}",
    "cpu,us-east-1,0.2,4,16.0,0,,,False,,,,x86,{}",
)


def imported(out: Path, *words: str) -> tuple[Offer, ...]:
    """Offers in the price file that ``gw index import`` writes."""
    result = CliRunner().invoke(app, ["import", *words, "--out", str(out)])
    if isinstance(result.exception, GigawattError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return read_offers(out.read_text(encoding="utf-8"), out.name)


def catalogue(*rows: str) -> str:
    return "\n".join((GPUHUNT_HEADER, *rows)) + "\n"


def test_a_catalogue_file_of_gpuhunt(tmp_path: Path):
    file = tmp_path / "lambdalabs.csv"
    file.write_text(catalogue(*GPUHUNT_ROWS), encoding="utf-8")
    found = imported(tmp_path / "out.csv", "gpuhunt", str(file), "--day", "2026-07-01")
    assert [(o.provider, o.region, o.term, o.price_micro) for o in found] == [
        ("lambdalabs", "na", Term.ON_DEMAND, 23_920_000),
        ("lambdalabs", "eu", Term.SPOT, 9_500_000),
    ]  # fmt: skip
    assert all(o.basis is PriceBasis.NODE and o.gpu == Gpu("H100", "", 80) for o in found)
    assert all(o.day == date(2026, 7, 1) and o.gpu_count == 8 for o in found)
    source = r"gpuhunt catalogue lambdalabs\.csv sha256:\w{12}"
    assert all(re.fullmatch(source, o.source) for o in found)
    named = imported(
        tmp_path / "out.csv", "gpuhunt", str(file), "--day", "2026-07-01", "--provider", "us"
    )
    assert {o.provider for o in named} == {"us"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "'instance_name' is missing"),
        (catalogue(GPUHUNT_ROWS[0].replace("23.92", "cheap")), "line 2, column 'price'"),
        (catalogue(GPUHUNT_ROWS[0].replace("23.92", "")), "column 'price': got ''"),
        (catalogue(GPUHUNT_ROWS[0].replace("23.92", "-1")), "column 'price'"),
        (catalogue(GPUHUNT_ROWS[0].replace("False", "maybe")), "column 'spot'"),
        (catalogue(GPUHUNT_ROWS[0].replace(",8,", ",eight,")), "column 'gpu_count'"),
    ],
)
def test_a_broken_catalogue_is_refused_with_its_place(text: str, said: str):
    with pytest.raises(InputError, match=re.escape(said)):
        offers_of_gpuhunt_csv(text, "x", date(2026, 7, 1), "x.csv")


def test_an_installed_gpuhunt_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    asked: list[object] = []
    item = SimpleNamespace(
        provider="vastai", instance_name="1x", location="us", price=1.9, gpu_count=1,
        gpu_name="H100", gpu_memory=80.0, spot=False,
    )  # fmt: skip

    class Installed(ModuleType):
        def query(self, **words: object) -> list[object]:
            asked.append(words)
            return [item]

    monkeypatch.setitem(sys.modules, "gpuhunt", Installed("gpuhunt"))
    monkeypatch.setattr(metadata, "version", lambda _: "0.1.34")
    monkeypatch.setattr("gigawatt.app.index_import.version", lambda _: "0.1.34")
    (offer,) = imported(tmp_path / "out.csv", "gpuhunt", "--provider", "vastai")
    assert asked == [{"provider": ["vastai"], "min_gpu_count": 1}]
    assert offer.source == "gpuhunt 0.1.34 query"
    assert offer.price_micro == 1_900_000


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("gpuhunt",), "not installed"),
        (("gpuhunt", "a.csv"), "--day"),
        (("gpuhunt", "--day", "2026-01-01"), "--day is for files"),
        (("gpuhunt", "a", "b", "--day", "2026-01-01", "--provider", "x"), "wanted one file"),
        (("meter", "nowhere.csv"), "nowhere.csv"),
        (("csv", "nowhere.csv", "--column", "price"), "no pair"),
    ],
)
def test_wrong_words_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
):
    monkeypatch.setitem(sys.modules, "gpuhunt", None)
    with pytest.raises(InputError, match=re.escape(said)):
        imported(tmp_path / "out.csv", *words)


# --- own sales --------------------------------------------------------------------------------


def sale(number: int = 1, **changed: object) -> dict[str, object]:
    """One record as a mapping."""
    return {
        "sale_id": f"s{number}", "seller": "we", "gpu_type": "H100-SXM-80GB", "term": "on_demand",
        "region": "na", "start": "2026-01-10T00:00:00Z", "end": "2026-01-11T00:00:00Z",
        "gpu_hours": 60, "price_usd_per_gpu_hour": 3.0, "currency": "USD", **changed,
    }  # fmt: skip


def as_lines(*records: dict[str, object]) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def as_table(path: Path, *records: dict[str, object]) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        writer.writeheader()
        writer.writerows(records)


def two_terms() -> list[dict[str, object]]:
    """The sales of which both prices rise and revenue per GPU-hour falls."""
    rows = ((1, "reserved_1y", 40, "2.40"), (1, "on_demand", 60, "3.00"),
            (2, "reserved_1y", 80, "2.50"), (2, "on_demand", 20, "3.10"))  # fmt: skip
    return [
        sale(number, term=term, gpu_hours=hours, price_usd_per_gpu_hour=price,
             start=f"2026-0{month}-10T00:00:00Z", end=f"2026-0{month}-12T00:00:00Z")
        for number, (month, term, hours, price) in enumerate(rows)
    ]  # fmt: skip


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_own_sales_give_the_index_of_own_sales(tmp_path: Path, form: str):
    file, out = tmp_path / f"sales.{form}", tmp_path / "out.csv"
    if form == "csv":
        as_table(file, *two_terms())
    else:
        file.write_text(as_lines(*two_terms()), encoding="utf-8")
    offers = imported(out, "meter", str(file))
    assert all(o.kind is PriceKind.METERED and o.quantity_gpu_hours for o in offers)
    assert all(o.source.startswith(f"own sales sales.{form} sha256:") for o in offers)
    rules = Judgements(open_gates=True).settings()
    (upper,) = make_report(out.read_text(encoding="utf-8"), "out.csv", rules, Choice()).uppers
    last = upper.values[-1].comparison
    assert last is not None
    found = [round(v, 6) for v in (last.unit_value, last.laspeyres, last.paasche, last.fisher,
                                   last.mix_effect)]  # fmt: skip
    assert found == [0.949275, 1.036232, 1.039683, 1.037956, 0.914562]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 10**6), st.integers(1, 10**6),
            st.decimals("0.001", "1e6", places=3), st.decimals("0.01", "100", places=2),
        ),
        min_size=1, max_size=8,
    )
)  # fmt: skip
def test_hours_and_dollars_are_kept(drawn: list[tuple[int, int, object, object]]):
    start = datetime(2026, 1, 1, tzinfo=UTC)
    records = [
        sale(n, start=(start + timedelta(seconds=at)).isoformat(),
             end=(start + timedelta(seconds=at + length)).isoformat(),
             gpu_hours=str(hours), price_usd_per_gpu_hour=str(price))
        for n, (at, length, hours, price) in enumerate(drawn)
    ]  # fmt: skip
    sales = read_sales(as_lines(*records), "x")
    for one in sales:
        assert sum((part for _, part in one.days()), Fraction()) == one.gpu_hours
    rows = usage_rows(sales)
    assert sum(r.gpu_hours for r in rows) == pytest.approx(float(sum(s.gpu_hours for s in sales)))
    usd = sum(s.gpu_hours * s.price_usd_per_gpu_hour for s in sales)
    assert abs(sum(r.amount_micro_usd for r in rows) - usd * 10**6) <= len(rows)
    assert len({(r.day, r.gpu, r.term) for r in rows}) == len(rows)


def test_times_of_other_offsets_fall_on_utc_days():
    record = sale(start="2026-01-10T23:00:00-05:00", end="2026-01-11T01:00:00-05:00")
    (one,) = read_sales(as_lines(record), "x")
    assert isinstance(one, Sale)
    assert [day.day for day, _ in one.days()] == [11]


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"gpu_hours": 0}, "gpu_hours"), ({"gpu_hours": True}, "gpu_hours"),
        ({"gpu_hours": "many"}, "gpu_hours"), ({"gpu_hours": -1}, "gpu_hours"),
        ({"price_usd_per_gpu_hour": 0}, "price_usd_per_gpu_hour"),
        ({"price_usd_per_gpu_hour": "NaN"}, "price_usd_per_gpu_hour"),
        ({"currency": "EUR"}, "currency"), ({"term": "for ever"}, "term"),
        ({"start": "2026-01-10"}, "start"), ({"start": "noon"}, "start"),
        ({"end": "2026-01-10T00:00:00Z"}, "end"), ({"end": "2126-01-10T00:00:00Z"}, "end"),
        ({"sale_id": ""}, "sale_id"), ({"seller": 7}, "seller"), ({"price": 3}, "price"),
    ],
)  # fmt: skip
def test_a_wrong_sale_is_refused_with_line_and_field(changed: dict[str, object], field: str):
    with pytest.raises(InputError, match=rf"x line 2.*{field}"):
        read_sales(as_lines(sale(1), sale(2, **changed)), "x")


def test_a_file_that_is_no_file_of_sales_is_refused():
    with pytest.raises(InputError, match=r"x line 2, field 'sale_id'.*x line 1"):
        read_sales(as_lines(sale(1), sale(1)), "x")
    for text, said in (
        ("", "no sale"), ("{\n", "line 1: not JSON"), ("sale_id\n1\n", "'seller' is missing"),
        ('{"a": 1}\n', "'sale_id' is missing"), ("a,b\n1\n", "1 cells"),
        (as_lines(sale(1)) + "[1]\n", "line 2: not an object"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=said):
            read_sales(text, "x")


# --- foreign tables ---------------------------------------------------------------------------

FOREIGN = "when,who,card,usd_hr\n2026-03-01,acme,H100,2.5\n2026-03-02,acme,H100,2.6\n"
COLUMN_WORDS = ("day=when", "provider=who", "gpu=card", "price=usd_hr")
VALUE_WORDS = ("term=on_demand", "currency=USD", "retrieved=2026-03-03", "memory_gbyte=80")


def words_of(option: str, texts: tuple[str, ...]) -> list[str]:
    return [word for text in texts for word in (option, text)]


def test_a_table_of_any_columns(tmp_path: Path):
    file = tmp_path / "foreign.csv"
    file.write_text(FOREIGN, encoding="utf-8")
    words = [*words_of("--column", COLUMN_WORDS), *words_of("--value", VALUE_WORDS)]
    found = imported(tmp_path / "out.csv", "csv", str(file), *words)
    assert [(o.day.day, o.provider, o.price_micro) for o in found] == [
        (1, "acme", 2_500_000), (2, "acme", 2_600_000),
    ]  # fmt: skip
    assert all(re.fullmatch(r"table foreign\.csv sha256:\w{12}", o.source) for o in found)
    assert all(o.gpu == Gpu("H100", "", 80) and o.kind is PriceKind.LIST for o in found)


@pytest.mark.parametrize(
    ("columns", "values", "said"),
    [
        ({"days": "when"}, {}, "no field 'days'"),
        ({"day": "When"}, {}, "column 'When' is missing"),
        ({"day": "when"}, {"day": "2026-01-01"}, "both a column and a value"),
        ({}, {}, "nothing says 'day'"),
        ({"day": "when", "provider": "who", "gpu": "card", "price": "who"},
         {"term": "spot", "currency": "USD", "source": "s", "retrieved": "2026-03-03"},
         "line 2, column 'price'"),
        ({"day": "when", "provider": "who", "gpu": "card", "price": "usd_hr"},
         {"term": "spot", "source": "s", "retrieved": "2026-03-03"}, "nothing says 'currency'"),
    ],
)  # fmt: skip
def test_a_table_that_says_too_little_is_refused(
    columns: dict[str, str], values: dict[str, str], said: str
):
    with pytest.raises(InputError, match=said):
        offers_of_mapped_csv(FOREIGN, "x", columns, values)
