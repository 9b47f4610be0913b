"""The report, the pictures, the command line and the importers.

Goal: a person with a price file gets tables, JSON and pictures; with a clone of a catalogue, its
history; with a broken file, one sentence.
Method: small files and a small git repository made on the spot; where a real panel is at hand
(environment variable GIGAWATT_PRICE_PANEL), the whole of it.
"""

import csv
import json
import os
import re
import subprocess
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from math import exp, inf, log
from pathlib import Path
from statistics import fmean, median

import pytest
from typer.testing import CliRunner

from gigawatt.app.index_report import Choice, make_report, report_document
from gigawatt.app.skypilot_clone import import_history, table_path, versions_of
from gigawatt.cli.index import app
from gigawatt.economics.index.catalogues import (
    offers_of_gpuhunt,
    offers_of_skypilot,
    region_class,
)
from gigawatt.economics.index.csv_format import read_offers, write_offers
from gigawatt.economics.index.quote import Gpu, Offer, PriceBasis, Term
from gigawatt.economics.index.settings import OPEN_GATES, Settings
from gigawatt.errors import InputError

RUN = CliRunner()


def offer(provider: str, month: int, price_usd: float, **fields: object) -> Offer:
    when = date(2026, month, 10)
    known = {
        "place": "x", "day": when, "provider": provider, "gpu": Gpu("H100", "SXM", 80),
        "term": Term.ON_DEMAND, "price_micro": round(price_usd * 1e6), "currency": "USD",
        "source": "made up for a test", "retrieved": when,
    }  # fmt: skip
    return Offer(**(known | fields))


def price_file(folder: Path) -> Path:
    offers = [
        offer(name, month, price * 1.01**month)
        for month in range(1, 6)
        for name, price in (("a", 2.0), ("b", 3.0), ("c", 4.0), ("d", 9.0))
        if month < 4 or name in "ab"
    ]
    offers.append(offer("e", 1, 0.0))
    path = folder / "prices.csv"
    path.write_text(write_offers(offers), encoding="utf-8")
    return path


def test_report_prints_tables_and_writes_json_and_pictures(tmp_path):
    out = tmp_path / "out"
    result = RUN.invoke(app, ["report", str(price_file(tmp_path)), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "2026-04 is withheld: matched providers 2, wanted 3" in result.output
    assert "left out, zero_price: 1" in result.output
    assert "What the judgements do" in result.output
    document = json.loads((out / "index.json").read_text())
    (part,) = document["sub_indices"]
    assert [row["index"] for row in part["months"]] == [100.0, 101.0, 102.01, None, None]
    assert part["months"][3]["withheld"]
    assert part["months"][3]["mix_effect"] is None
    assert part["months"][3]["pooled_mean"] is not None
    png = (out / "h100_sxm_80gb_on_demand_list.png").read_bytes()
    assert png.startswith(b"\x89PNG")
    assert len(png) > 20_000
    svg = (out / "h100_sxm_80gb_on_demand_list.svg").read_text()
    for words in ("mix effect", "coverage", "matched index", "prices.csv", "withheld"):
        assert words in svg


def test_the_same_file_gives_the_same_report_byte_for_byte(tmp_path):
    path = price_file(tmp_path)
    for name in ("one", "two"):
        assert RUN.invoke(app, ["report", str(path), "--out", str(tmp_path / name)]).exit_code == 0
    for one in sorted((tmp_path / "one").iterdir()):
        assert one.read_bytes() == (tmp_path / "two" / one.name).read_bytes(), one.name


def test_open_gates_withhold_nothing(tmp_path):
    path = str(price_file(tmp_path))
    result = RUN.invoke(app, ["report", path, "--open-gates", "-o", "json"])
    (part,) = json.loads(result.output)["sub_indices"]
    assert part["months"][-1]["index"] == pytest.approx(104.0604, abs=1e-3)


def test_own_sales_of_two_terms_show_the_mix_effect(tmp_path):
    contract = {"term": Term.RESERVED_1Y}
    offers = [
        offer("we", 1, 2.4, quantity_gpu_hours=40.0, **contract),
        offer("we", 1, 3.0, quantity_gpu_hours=60.0),
        offer("we", 2, 2.5, quantity_gpu_hours=80.0, **contract),
        offer("we", 2, 3.1, quantity_gpu_hours=20.0),
    ]
    path = tmp_path / "sales.csv"
    path.write_text(write_offers(offers))
    result = RUN.invoke(
        app,
        ["report", str(path), "--open-gates", "-o", "json",
         "--weight", "on_demand=60", "--weight", "reserved_1y=40"],
    )  # fmt: skip
    (upper,) = json.loads(result.output)["upper"]
    last = upper["months"][-1]
    wanted = {"unit_value": 0.949275, "laspeyres": 1.036232, "paasche": 1.039683,
              "fisher": 1.037956, "mix_effect": 0.914562}  # fmt: skip
    assert {name: last[name] for name in wanted} == wanted
    assert last["lowe"] == pytest.approx(103.6232, abs=1e-4)
    table = RUN.invoke(app, ["report", str(path), "--open-gates"])
    assert "0.914562" in table.output.replace("\n", "")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--gpu", "Z9"], "no quote of the wanted GPUs"),
        (["--rate", "EUR"], "is no rate"),
        (["--weight", "lease=1"], "is no weight"),
        (["--term", "lease"], "lease"),
        (["--since", "yesterday"], "is no day"),
        (["--cell-price", "mode"], "is no cell price"),
        (["--outlier-factor", "0.5"], "outlier factor"),
        (["--min-matched", "2"], "matched share"),
    ],
)
def test_wrong_options_are_answered_with_a_sentence(tmp_path, options, words):
    result = RUN.invoke(app, ["report", str(price_file(tmp_path)), *options])
    assert isinstance(result.exception, InputError)
    assert words in str(result.exception)


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    (tmp_path / "bad.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("none.csv", "bad.csv"):
        result = RUN.invoke(app, ["report", str(tmp_path / name)])
        assert isinstance(result.exception, InputError)
        assert name in str(result.exception)


# --- catalogues -------------------------------------------------------------------------------

HEADER = (
    "InstanceType,AcceleratorName,AcceleratorCount,vCPUs,MemoryGiB,Price,Region,GpuInfo,SpotPrice"
)


def sky_row(kind: str, name: str, count: int, price: str, region: str, spot: str = "") -> str:
    memory = {"V100": 16384, "H100": 81920, "A100-80GB": 80, "A100": 40}[name]
    info = (
        f"\"{{'Gpus': [{{'Name': '{name}', 'Count': {count}.0, "
        f"'MemoryInfo': {{'SizeInMiB': {memory}}}}}], 'TotalGpuMemoryInMiB': {memory}}}\""
    )
    return f"{kind},{name},{count}.0,92.0,448.0,{price},{region},{info},{spot}"


def vms(*rows: str) -> str:
    return "\n".join([HEADER, "cpu_4x,,,4.0,16.0,0.2,us-east-1,,", *rows]) + "\n"


def git(folder: Path, *words: str, day: str = "2026-01-01") -> None:
    stamp = f"{day}T12:00:00+00:00"
    subprocess.run(
        ["git", "-C", str(folder), "-c", "user.name=T", "-c", "user.email=t@example.org", *words],
        check=True, capture_output=True,
        env=os.environ | {"GIT_COMMITTER_DATE": stamp, "GIT_AUTHOR_DATE": stamp},
    )  # fmt: skip


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    table = folder / "catalogs" / "v8" / "lambda" / "vms.csv"
    table.parent.mkdir(parents=True)
    git(tmp_path, "init", "-q", str(folder))
    history = (
        ("2026-01-05", "4.40"), ("2026-01-05", "4.80"), ("2026-02-07", "6.32"),
        ("2026-03-09", "6.32"),
    )  # fmt: skip
    for number, (day, price) in enumerate(history):
        text = vms(
            sky_row("gpu_8x_v100", "V100", 8, price, "us-east-1"),
            sky_row("gpu_8x_v100", "V100", 8, price, "us-west-1"),
            sky_row("gpu_8x_v100", "V100", 8, price, "europe-central-1"),
            f"seen-{number},,,1.0,1.0,0.1,us-east-1,,",
        )
        table.write_text(text)
        git(folder, "add", "-A", day=day)
        git(folder, "commit", "-q", "-m", "update", day=day)
    table.unlink()
    git(folder, "commit", "-q", "-a", "-m", "gone", day="2026-04-01")
    return folder


def test_history_of_a_clone_becomes_a_price_file(clone, tmp_path):
    out = tmp_path / "prices.csv"
    result = RUN.invoke(
        app, ["import", "skypilot", str(clone), "--cloud", "lambda", "--out", str(out)]
    )
    assert result.exit_code == 0, result.output
    offers = read_offers(out.read_text(), "prices.csv")
    assert [(o.day.month, o.region, o.price_micro) for o in offers] == [
        (1, "na", 4_800_000), (1, "eu", 4_800_000), (2, "na", 6_320_000), (2, "eu", 6_320_000),
        (3, "na", 6_320_000), (3, "eu", 6_320_000),
    ]  # fmt: skip
    assert all(o.gpu == Gpu("V100", "", 16) and o.basis is PriceBasis.NODE for o in offers)
    assert re.fullmatch(r"skypilot-catalog catalogs/v8/lambda/vms.csv@\w{12}", offers[0].source)
    report = make_report(
        out.read_text(), "prices.csv", replace(Settings(), gates=OPEN_GATES), Choice(gpus=("V100",))
    )
    assert report.parts[0].level[-1] == pytest.approx(6.32 / 4.80, rel=1e-5)
    assert len(list(import_history(clone, "v8", "lambda", date(2026, 2, 1)))) == 4


def test_one_version_a_day_oldest_first(clone):
    versions = versions_of(clone, table_path("v8", "lambda"))
    assert [version.day.isoformat() for version in versions] == [
        "2026-01-05", "2026-02-07", "2026-03-09", "2026-04-01",
    ]  # fmt: skip


def test_what_is_no_clone_or_no_name_is_refused(clone, tmp_path):
    with pytest.raises(InputError, match="no folder"):
        versions_of(tmp_path / "none", "x")
    with pytest.raises(InputError, match="no history"):
        versions_of(clone, "catalogs/v8/aws/vms.csv")
    with pytest.raises(InputError, match="git failed"):
        versions_of(tmp_path, "x")
    for name in ("../x", "-v", "", "a b"):
        with pytest.raises(InputError, match="is no name"):
            table_path("v8", name)


def test_a_catalogue_row_without_a_price_has_none_and_zero_stays_zero():
    text = vms(
        sky_row("a", "H100", 8, "", "us-east-1"),
        sky_row("b", "H100", 8, "0.0", "us-east-1"),
        sky_row("c", "A100-80GB", 1, "1.39", "JP", "0.5"),
        sky_row("d", "A100", 1, "1.00", "JP"),
    )
    found = offers_of_skypilot(text, "x", date(2026, 1, 1), "vms.csv")
    assert [(o.sku, o.term, o.price_micro) for o in found] == [
        ("a", Term.ON_DEMAND, None), ("b", Term.ON_DEMAND, 0),
        ("c", Term.ON_DEMAND, 1_390_000), ("c", Term.SPOT, 500_000),
        ("d", Term.ON_DEMAND, 1_000_000),
    ]  # fmt: skip
    assert found[2].gpu == Gpu("A100", "", 80)
    assert found[4].gpu == Gpu("A100", "", 40), "40 MiB is no GPU's memory; the source means GiB"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2\n", "'InstanceType' is missing"),
        (vms(sky_row("a", "H100", 8, "cheap", "us-east-1")), "line 3, column 'Price'"),
        (vms("a,H100,eight,1,1,2.0,us-east-1,,"), "line 3, column 'AcceleratorCount'"),
    ],
)
def test_a_broken_catalogue_is_refused_with_its_place(text, words):
    with pytest.raises(InputError, match=re.escape(words)):
        offers_of_skypilot(text, "x", date(2026, 1, 1), "vms.csv")


@dataclass
class Item:
    """The fields of gpuhunt 0.1.34's ``CatalogItem`` that have no default, in its order."""

    provider: str
    instance_name: str
    location: str
    price: float
    cpu: int
    memory: float
    gpu_count: int
    gpu_name: str | None
    gpu_memory: float | None
    spot: bool
    disk_size: float | None


def test_gpuhunt_items_become_offers_per_node():
    items = [
        Item("lambda", "8x_h100", "us-east-1", 23.92, 208, 1800.0, 8, "H100", 80.0, False, None),
        Item("lambda", "8x_h100", "us-west-1", 23.92, 208, 1800.0, 8, "H100", 80.0, False, None),
        Item("lambda", "cpu", "us-east-1", 0.2, 4, 16.0, 0, None, None, False, None),
        Item("azure", "NC80", "westeurope", 5.0, 80, 640.0, 2, "H100", 94.0, True, None),
    ]
    found = offers_of_gpuhunt(items, date(2026, 7, 1), "gpuhunt 0.1.34")
    assert [(o.provider, o.region, o.term) for o in found] == [
        ("lambda", "na", Term.ON_DEMAND), ("azure", "eu", Term.SPOT),
    ]  # fmt: skip
    assert found[0].gpu_count == 8
    assert found[0].price_micro == 23_920_000
    assert found[1].gpu == Gpu("H100", "", 94)


@pytest.mark.parametrize(
    ("region", "name"),
    [("us-east-1", "na"), ("europe-central-1", "eu"), ("AP-IN-1", "asia"), ("westus2", "na"),
     ("moon-1", "other"), ("", "")],
)  # fmt: skip
def test_regions_have_classes(region, name):
    assert region_class(region) == name


# --- a real panel -----------------------------------------------------------------------------

PANEL = os.environ.get("GIGAWATT_PRICE_PANEL", "")


@pytest.mark.skipif(not PANEL, reason="GIGAWATT_PRICE_PANEL names no daily panel of real prices")
def test_real_panel_withholds_what_coverage_cannot_carry():
    """Every published value has its coverage; the collapse of June 2026 is withheld for all."""
    path = Path(PANEL)
    choice = Choice(gpus=("H100", "H200", "A100", "B200"), terms=(Term.ON_DEMAND,))
    report = make_report(path.read_text(encoding="utf-8"), path.name, Settings(), choice)
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for part in report.parts:
        assert part.chain.base == 0
        for number, reason in enumerate(part.chain.reasons[1:], 1):
            chained = part.chain
            if not reason:
                assert chained.provider_count[number] >= 3
                assert chained.matched_ratio[number] >= 0.5
            name = {"H100": "H100_SXM", "A100": "A100_SXM_80GB"}.get(
                part.series.gpu.name, part.series.gpu.name
            )
            month = part.panel.months[number]
            sellers = {
                row["provider"] for row in rows
                if (row["gpu_model"], row["rental_type"], row["date"][:7])
                == (name, "on_demand", month)
            }  # fmt: skip
            assert chained.provider_count[number] <= len(sellers)
        assert all(part.chain.reasons[-2:]), "June and July 2026"
        assert any("2026-02-19" in found.sentence for found in part.breaks)
    json.dumps(report_document(report), allow_nan=False)


@pytest.mark.skipif(not PANEL, reason="GIGAWATT_PRICE_PANEL names no daily panel of real prices")
@pytest.mark.parametrize("name", ["H100_SXM", "H200", "A100_SXM_80GB", "B200"])
def test_real_index_is_what_a_dozen_lines_of_python_compute(name):
    """Median per seller and month, mean log relative over sellers in both months, chained."""
    path = Path(PANEL)
    quotes: dict[str, dict[str, list[float]]] = {}
    with path.open(encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if (row["gpu_model"], row["rental_type"]) == (name, "on_demand"):
                month = quotes.setdefault(row["date"][:7], {})
                month.setdefault(row["provider"], []).append(float(row["price_median_usd"]))
    months = sorted(quotes)
    prices = [{k: median(v) for k, v in quotes[month].items()} for month in months]
    level, wanted = 0.0, [1.0]
    for before, after in pairwise(prices):
        level += fmean(log(after[k] / before[k]) for k in sorted(before.keys() & after.keys()))
        wanted.append(exp(level))
    rules = replace(Settings(), gates=OPEN_GATES, outlier_mad_limit=inf)
    choice = Choice(gpus=(name.partition("_")[0],), terms=(Term.ON_DEMAND,))
    (part,) = make_report(path.read_text(encoding="utf-8"), path.name, rules, choice).parts
    assert part.panel.months == tuple(months)
    assert part.level == pytest.approx(wanted, rel=1e-9)
