"""Invoices as files.

Goal: every format says the same amounts, and no name of a tenant becomes markup, a formula, or a
fault.
Method: one invoice with hostile names in every place that a tenant can fill; pages are parsed as a
browser would, CSV is summed, PDFs are drawn and their pages counted.
"""

import csv
import io
from decimal import Decimal
from html.parser import HTMLParser

from hypothesis import given, settings
from hypothesis import strategies as st

from gigawatt.app.market.invoice_csv import invoice_csv
from gigawatt.app.market.invoice_html import invoice_html
from gigawatt.app.market.invoice_pdf import invoice_pdf
from gigawatt.app.market.invoice_sheet import sheet_of
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


@settings(max_examples=5, deadline=None)
@given(st.text(max_size=60))
def test_any_name_can_be_drawn(name):
    assert invoice_pdf(invoice_with(name, name)).startswith(b"%PDF-")


def test_a_long_invoice_has_several_pages_and_the_same_bytes_again():
    invoice = invoice_with(HOSTILE + " $x$ \N{SNOWMAN} 漢字", count=80)
    found = invoice_pdf(invoice)
    assert found == invoice_pdf(invoice)
    assert found.count(b"/Type /Page\n") + found.count(b"/Type /Page ") == 3
