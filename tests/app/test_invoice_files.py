"""Invoices as files.

Goal: every format says the same amounts, and no name of a tenant becomes markup, a formula, or a
fault.
Method: one invoice with hostile names in every place that a tenant can fill; pages are parsed as a
browser would, CSV is summed, PDFs are read back by pypdf.
"""

import csv
import io
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path

import matplotlib as mpl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pypdf import PdfReader

from gigawatt.app.market.invoice_csv import invoice_csv
from gigawatt.app.market.invoice_html import invoice_html
from gigawatt.app.market.invoice_pdf import FONTS_VARIABLE, invoice_pdf
from gigawatt.app.market.invoice_sheet import COLUMNS, sheet_of
from gigawatt.errors import InputError
from gigawatt.identity.accounts import OrganisationId
from gigawatt.market.invoice import Invoice, InvoiceLine, LineKind, with_rounding
from gigawatt.market.meter import MS_PER_HOUR

HOSTILE = "<script>alert('x')</script>&\"'<img src=x onerror=y>"


def invoice_with(name, tag="", count=1):
    line = InvoiceLine(
        LineKind.GPU, "h100 on demand", 1_234_567, "ten_1", "clu_1", tag, "h100", "on_demand",
        "site-a", "GPU-hour", MS_PER_HOUR * 3 // 2, MS_PER_HOUR, 823_045,
    )  # fmt: skip
    tax = InvoiceLine(LineKind.TAX, f"VAT {name}"[:60], 234_568, item_id="t")
    return Invoice(
        "INV-2026-11-00001", OrganisationId("org_a"), name, "2026-11", "2026-11-30",
        with_rounding([line] * count + [tax]), {"ten_1": name},
    )  # fmt: skip


class Tags(HTMLParser):
    """Collects what a browser would take for markup, and the text beside it."""

    def __init__(self):
        super().__init__()
        self.tags, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)

    def handle_data(self, data):
        self.words.append(data)


@given(st.text(max_size=60))
def test_no_name_becomes_markup(name):
    plain, seen = Tags(), Tags()
    plain.feed(invoice_html(invoice_with("x", "x")))
    seen.feed(invoice_html(invoice_with(name, name)))
    assert seen.tags == plain.tags


def test_hostile_names_are_shown_as_they_are():
    page = invoice_html(invoice_with(HOSTILE, HOSTILE))
    assert "<script" not in page
    assert "<img" not in page
    seen = Tags()
    seen.feed(page)
    assert seen.words.count(HOSTILE) == 3


def test_csv_adds_up_to_the_cent_and_holds_no_formula():
    invoice = invoice_with("=HYPERLINK(1)", "@SUM(A1)", count=7)
    rows = list(csv.DictReader(io.StringIO(invoice_csv(invoice))))
    total = sum(Decimal(row["amount_usd"]) for row in rows)
    assert total == Decimal(invoice.total_micro_usd) / 10**6
    assert total == total.quantize(Decimal("0.01"))
    assert rows[0]["quantity"] == "1.500000"
    texts = [value for row in rows for name, value in row.items() if not name.endswith("_usd")]
    assert not [text for text in texts if text[:1] in {"=", "@", "+", "-"}]


def test_the_sheet_says_net_tax_rounding_and_total():
    totals = dict(sheet_of(invoice_with("Acme")).totals)
    assert totals["net"] == "$1.234567"
    assert totals["tax"] == "$0.234568"
    assert totals["rounding to the cent"] == "$0.000865"
    assert totals["total"] == "$1.47"


def pages_of(found):
    """Words of each page, as a reader selects them."""
    return [page.extract_text().split() for page in PdfReader(io.BytesIO(found)).pages]


@settings(max_examples=10, deadline=None)
@given(st.text(max_size=128))
def test_any_name_can_be_drawn(name):
    assert invoice_pdf(invoice_with(name, name)).startswith(b"%PDF-")


def test_a_long_invoice_has_several_pages_with_heads_numbers_and_every_line():
    invoice = invoice_with("Acme", "blue", count=120)
    found = invoice_pdf(invoice)
    assert found == invoice_pdf(invoice)
    pages = pages_of(found)
    assert len(pages) > 2
    for number, words in enumerate(pages, 1):
        text = " ".join(words)
        assert ("GPU-hour" in words) == (" ".join(COLUMNS) in text)
        assert f"{number} / {len(pages)}" in text
        assert "Invoice INV-2026-11-00001" in text
    everything = [word for words in pages for word in words]
    assert everything.count("$1.234567") == 120
    totals = dict(sheet_of(invoice).totals)
    last = " ".join(pages[-1])
    assert all(f"{name} {value}" in last for name, value in totals.items())


def test_a_page_is_text_in_every_script_that_a_font_has_and_says_what_it_is():
    name = "M\N{LATIN SMALL LETTER U WITH DIAERESIS}ller \u0395\u03bb\u03bb\u03ac\u03b4\u03b1 $x$"
    found = invoice_pdf(invoice_with(name + " \u6f22\u5b57", HOSTILE))
    reader = PdfReader(io.BytesIO(found))
    text = " ".join(reader.pages[0].extract_text().split())
    assert name in text
    # No font of ours has these two: a square each, and nothing is lost beside them.
    assert "\N{WHITE SQUARE}\N{WHITE SQUARE}" in text
    assert reader.metadata is not None
    assert reader.metadata.title == "Invoice INV-2026-11-00001"
    assert str(reader.metadata.creation_date)[:10] == "2026-11-30"
    assert reader.trailer["/Root"]["/Lang"] == "en"


def test_nothing_is_cut_short():
    name = "Research and Development of the Department for Very Large Computations, " * 2
    words = pages_of(invoice_pdf(invoice_with(name[:128], "t" * 128)))[0]
    assert "".join(words).count("t" * 128) == 1
    assert "".join(words).count("".join(name[:128].split())) >= 2


def test_letters_come_from_fonts_that_the_operator_names(monkeypatch):
    mono = Path(mpl.get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"
    letter = "\N{TELEPHONE RECORDER}"
    before = pages_of(invoice_pdf(invoice_with(letter)))[0]
    monkeypatch.setenv(FONTS_VARIABLE, str(mono))
    after = pages_of(invoice_pdf(invoice_with(letter)))[0]
    assert (letter in before, letter in after) == (False, True)
    monkeypatch.setenv(FONTS_VARIABLE, "/nowhere/font.ttf")
    with pytest.raises(InputError, match=r"names /nowhere/font.ttf, which is no file"):
        invoice_pdf(invoice_with(letter))
