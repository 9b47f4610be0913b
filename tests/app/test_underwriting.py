"""The files of an underwriting say what was computed.

Goal: a banker who opens the spreadsheet, the page or the table sees one and the same deal.
Method: a small reader of formulas, written here, computes the workbook from its values alone, in
good and bad cases; LibreOffice does so too where it is installed; HTML is searched for requests.
"""

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from decimal import ROUND_DOWN, Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import pytest
from typer.testing import CliRunner

from gigawatt.app.underwriting.csv_table import waterfall_csv
from gigawatt.app.underwriting.html import html_report
from gigawatt.app.underwriting.pdf import write_pdf
from gigawatt.app.underwriting.report import plots_of
from gigawatt.app.underwriting.term_sheet import input_rows, sections
from gigawatt.app.underwriting.workbook import write_workbook
from gigawatt.cli.underwrite import app
from gigawatt.economics.finance.cases import Cases, calm
from gigawatt.economics.finance.deal_yaml import load_deal
from gigawatt.economics.finance.monte_carlo import simulate
from gigawatt.economics.finance.tornado import tornado
from gigawatt.economics.finance.underwriting import Underwriting, play, underwrite

DEALS = Path(__file__).parents[2] / "examples" / "deals"
NAMES = ("take-or-pay", "phased-build", "on-demand")
COMPARED = (
    "revenue", "tax", "cfads", "equity", "interest_paid", "principal_paid", "sweep", "distribution",
    "cash", "dsra", "reserve", "payables", "debt", "service", "residual", "recovered",
)  # fmt: skip


def signed_of(name: str) -> Underwriting:
    path = DEALS / f"{name}.yaml"
    return underwrite(load_deal(path.read_text(encoding="utf-8"), path.name))


class Spreadsheet:
    """Computes a workbook's formulas, one cell at a time, by the rules of spreadsheets."""

    CELL = re.compile(r"(Terms!)?\$?([A-Z]+)\$?(\d+)(?::\$?([A-Z]+)\$?(\d+))?")

    def __init__(self, path: Path):
        self.book = openpyxl.load_workbook(path)
        self.known: dict[tuple[str, str], Any] = {}

    def value(self, sheet: str, cell: str) -> Any:
        if (sheet, cell) not in self.known:
            text = self.book[sheet][cell].value
            if isinstance(text, str) and text.startswith("="):
                text = self.compute(sheet, text[1:])
            self.known[sheet, cell] = text or 0
        return self.known[sheet, cell]

    def compute(self, sheet: str, formula: str) -> Any:
        def reference(found: re.Match[str]) -> str:
            where = "Terms" if found[1] else sheet
            if found[4]:
                cells = self.book[where][f"{found[2]}{found[3]}:{found[4]}{found[5]}"][0]
                return str([self.value(where, cell.coordinate) for cell in cells])
            return f"({self.value(where, found[2] + found[3])!r})"

        text = self.CELL.sub(reference, formula)
        text = re.sub(r"(?<![<>=])=(?!=)", "==", text)
        for name, own in (("IF(", "choose("), ("AND(", "every("), ("OR(", "some(")):
            text = re.sub(rf"\b{re.escape(name)}", own, text)
        functions = {
            "MIN": min, "MAX": max, "SUM": sum, "ROUND": self.rounded, "ROUNDDOWN": self.cut,
            "choose": lambda test, yes, no: yes if test else no,
            "every": lambda *tests: all(tests), "some": lambda *tests: any(tests),
        }  # fmt: skip
        return eval(text, {"__builtins__": {}}, functions)  # noqa: S307 - our own file

    @staticmethod
    def rounded(value: float, digits: int) -> float:
        return round(value, digits)

    @staticmethod
    def cut(value: float, digits: int) -> float:
        step = Decimal(1).scaleb(-digits)
        return float(Decimal(repr(value)).quantize(step, rounding=ROUND_DOWN))


def rows_of(sheet: Any) -> dict[str, int]:
    return {row[0].value: row[0].row for row in sheet.iter_rows() if row[0].value}


def cases_of(name: str) -> Cases:
    """Something bad, so that reserves, arrears, tests and sweeps are in use."""
    plan = calm()
    if name == "take-or-pay":
        return replace(plan, opex_ratio=np.array([2.0]), base_rate_shift=np.array([0.01]))
    if name == "on-demand":
        return replace(plan, price_ratio=np.array([[0.15]]), delay_months=np.array([4]))
    return replace(plan, default_month=np.array([24]), utilisation_odds=np.array([[0.4]]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("is_plan", [True, False], ids=["plan", "bad"])
def test_formulas_compute_the_waterfall(name: str, is_plan: bool, tmp_path: Path):
    signed = signed_of(name)
    cases = calm() if is_plan else cases_of(name)
    outcome = play(signed, cases)
    path = tmp_path / "w.xlsx"
    write_workbook(signed, input_rows(signed.deal), path, outcome, cases.base_rate_shift)
    sheet = Spreadsheet(path)
    rows = rows_of(sheet.book["Waterfall"])
    for column in range(signed.deal.period_count + 1):
        letter = openpyxl.utils.get_column_letter(4 + column)
        for key in COMPARED:
            got = sheet.value("Waterfall", f"{letter}{rows[key]}")
            wanted = int(getattr(outcome.waterfall, key)[0, column]) / 1e6
            if key == "tax":
                got += sheet.value("Waterfall", f"{letter}{rows['exit_tax']}")
            assert got == pytest.approx(wanted, abs=1e-3), (key, column)
        assert sheet.value("Waterfall", f"{letter}{rows['difference']}") == pytest.approx(
            0, abs=1e-3
        )
        for key in ("locked", "defaulted"):
            got = sheet.value("Waterfall", f"{letter}{rows[key]}")
            assert got == int(getattr(outcome.waterfall, key)[0, column]), (key, column)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="needs LibreOffice")
def test_libreoffice_computes_the_same(tmp_path: Path):
    signed = signed_of("phased-build")
    cases = cases_of("phased-build")
    outcome = play(signed, cases)
    write_workbook(signed, (), tmp_path / "w.xlsx", outcome)
    command = ["soffice", f"-env:UserInstallation=file://{tmp_path}/profile", "--headless"]
    command += ["--convert-to", "xlsx", "--outdir", str(tmp_path / "out"), str(tmp_path / "w.xlsx")]
    subprocess.run(command, check=True, capture_output=True, timeout=180)
    sheet = openpyxl.load_workbook(tmp_path / "out" / "w.xlsx", data_only=True)["Waterfall"]
    rows = rows_of(sheet)
    for column in range(signed.deal.period_count + 1):
        for key in COMPARED:
            got = sheet.cell(rows[key], 4 + column).value
            if key == "tax":
                got += sheet.cell(rows["exit_tax"], 4 + column).value
            wanted = int(getattr(outcome.waterfall, key)[0, column]) / 1e6
            assert got == pytest.approx(wanted, abs=1e-3), (key, column)


def test_a_changed_term_changes_what_follows(tmp_path: Path):
    signed = signed_of("take-or-pay")
    path = tmp_path / "w.xlsx"
    write_workbook(signed, (), path)
    book = openpyxl.load_workbook(path)
    terms = {row[0].value: row[2] for row in book["Terms"].iter_rows()}
    terms["sweep"].value = 1.0
    book.save(path)
    sheet = Spreadsheet(path)
    rows = rows_of(sheet.book["Waterfall"])
    assert sheet.value("Waterfall", f"E{rows['sweep']}") > 0
    assert sheet.value("Waterfall", f"E{rows['distribution']}") == pytest.approx(0, abs=1e-6)


class Requests(HTMLParser):
    """What a browser would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            is_link = name in {"src", "href", "xlink:href", "data", "action"}
            if tag in {"script", "link", "iframe"} or (
                is_link and not (value or "").startswith("#")
            ):
                self.found.append(f"{tag} {name}={value}")


def test_the_page_is_one_file_and_labels_what_was_made_up():
    signed = signed_of("phased-build")
    inputs, plots = input_rows(signed.deal), plots_of(signed, None, ())
    page = html_report("A <deal>", sections(signed, None), plots, inputs)
    parser = Requests()
    parser.feed(page)
    assert parser.found == []
    assert "@import" not in page
    assert not re.search(r"url\((?!#)", page)
    assert "<h1>A &lt;deal&gt;</h1>" in page
    made_up = sum(row.source is None for row in inputs)
    assert page.count("<td class=made>illustrative</td>") == made_up > 50
    assert "IRS Publication 946" in page
    assert page.count("<svg") == 2


def test_the_pdf_has_a4_pages(tmp_path: Path):
    signed = signed_of("phased-build")
    figures = [figure for _, figure in plots_of(signed, None, ())]
    write_pdf(
        "A deal", sections(signed, None), figures, input_rows(signed.deal), tmp_path / "a.pdf"
    )
    data = (tmp_path / "a.pdf").read_bytes()
    assert data.startswith(b"%PDF-")
    pages = re.findall(rb"/MediaBox \[ ?0 0 ([\d.]+) ([\d.]+) ?\]", data)
    assert 4 <= len(pages) <= 8
    for page in pages:
        width, height = (float(number) / 72 * 25.4 for number in page)
        assert (width, height) == pytest.approx((210, 297), abs=0.5)


def test_the_table_has_every_period_to_the_micro_dollar():
    signed = signed_of("phased-build")
    rows = list(csv.DictReader(io.StringIO(waterfall_csv(signed))))
    assert [int(row["month"]) for row in rows] == list(range(0, 85, 3))
    for column, row in enumerate(rows):
        got = Decimal(row["distribution_usd"]) * 10**6
        assert got == int(signed.waterfall.distribution[0, column])
    assert rows[0]["dscr_ratio"] == ""
    assert float(rows[4]["dscr_ratio"]) > 1


def texts_of(name: str) -> Iterator[str]:
    for section in sections(signed_of(name), None):
        yield from (f"{label}: {value}" for label, value in section.rows)


def test_the_term_sheet_names_the_limit_that_binds():
    text = "\n".join(texts_of("take-or-pay"))
    assert "By debt service cover: $181.19 M  (binds)" in text
    assert "By advance rate: $191.49 M" in text
    assert "By loan to value: not set" in text
    assert "Cover, least and mean: 1.40x, 1.40x" in text


@pytest.mark.parametrize("haircut", [20, 100], ids=["debt", "no debt"])
def test_plots_have_titles_and_units(haircut: int):
    text = (DEALS / "on-demand.yaml").read_text(encoding="utf-8")
    text = text.replace("merchant_haircut: {value: 20,", f"merchant_haircut: {{value: {haircut},")
    signed = underwrite(load_deal(text, "deal.yaml"))
    assert (signed.loan.debt_micro_usd == 0) == (haircut == 100)
    simulation = simulate(signed, np.random.default_rng(1), 50)
    for text, figure in plots_of(signed, simulation, tornado(signed)):
        assert text
        for axes in figure.axes:
            assert axes.get_title(loc="left")
            assert axes.get_xlabel()


def test_the_command_shows_the_deal(tmp_path: Path):
    runner = CliRunner()
    shown = runner.invoke(app, [str(DEALS / "take-or-pay.yaml"), "--cases", "0", "-o", "json"])
    assert shown.exit_code == 0
    assert '"debt_micro_usd": 181190572391607' in shown.output
    gone = runner.invoke(app, [str(tmp_path / "none.yaml")])
    assert "cannot be read" in str(gone.exception)


@pytest.mark.slow
def test_the_command_writes_the_same_files_twice(tmp_path: Path):
    deal = str(DEALS / "take-or-pay.yaml")
    for name in ("first", "second"):
        arguments = [deal, "--cases", "10", "--to", str(tmp_path / name)]
        wrote = CliRunner().invoke(app, arguments)
        assert wrote.exit_code == 0, wrote.output
    names = ["term-sheet.html", "term-sheet.pdf", "waterfall.csv", "waterfall.xlsx"]
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == names
    for name in names[:3]:
        pair = [(tmp_path / folder / name).read_bytes() for folder in ("first", "second")]
        assert pair[0] == pair[1], name
