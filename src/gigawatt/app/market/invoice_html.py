"""An invoice as one HTML file that asks the network for nothing; every text in it is escaped."""

from collections.abc import Iterable
from html import escape

from gigawatt.app.market.invoice_sheet import COLUMNS, sheet_of
from gigawatt.market.invoice import Invoice

STYLE = """
body{font:14px/1.45 system-ui,sans-serif;color:#1b1f23;max-width:72rem;margin:2rem auto;
padding:0 1rem}h1{font-size:1.5rem}table{border-collapse:collapse;width:100%;margin:1rem 0}
td,th{padding:.28rem .5rem;text-align:left;border-bottom:1px solid #e5e8ea;vertical-align:top}
td:nth-child(n+6){text-align:right;font-variant-numeric:tabular-nums}
.facts th,.totals th{width:12rem}.totals td{text-align:right}tr:last-child{font-weight:600}
.facts tr:last-child,.lines tr:last-child{font-weight:400}
@media print{tr{break-inside:avoid}}
"""


def invoice_html(invoice: Invoice) -> str:
    """The page."""
    sheet = sheet_of(invoice)
    head = _row("th", COLUMNS)
    lines = "".join(_row("td", row) for row in sheet.rows)
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta http-equiv=Content-Security-Policy content=\"default-src 'none';"
        " style-src 'unsafe-inline'\">"
        f"<title>{_text(sheet.title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{_text(sheet.title)}</h1>{_pairs('facts', sheet.facts)}"
        f"<table class=lines><thead>{head}</thead><tbody>{lines}</tbody></table>"
        f"{_pairs('totals', sheet.totals)}</body></html>\n"
    )


def _text(value: str) -> str:
    """The one way for a text into the page."""
    return escape(value, quote=True)


def _row(cell: str, values: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{cell}>{_text(value)}</{cell}>" for value in values) + "</tr>"


def _pairs(name: str, values: Iterable[tuple[str, str]]) -> str:
    rows = "".join(
        f"<tr><th scope=row>{_text(label)}</th><td>{_text(value)}</td></tr>"
        for label, value in values
    )
    return f"<table class={name}>{rows}</table>"
