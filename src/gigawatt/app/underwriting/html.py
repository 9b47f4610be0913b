"""The term sheet as one HTML file that asks the network for nothing: plots are SVG inside."""

import io
from collections.abc import Sequence
from html import escape

import matplotlib as mpl
from matplotlib.figure import Figure

from gigawatt.app.underwriting.term_sheet import NOTE, InputRow, Section

STYLE = """
body{font:15px/1.45 system-ui,sans-serif;color:#1b1f23;max-width:60rem;margin:2rem auto;
padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.1rem;margin:1.8rem 0 .4rem}
table{border-collapse:collapse;width:100%}td,th{padding:.28rem .6rem;text-align:left;
border-bottom:1px solid #e5e8ea;vertical-align:top}th{font-weight:600;width:32%}
.inputs td,.inputs th{font-size:.82rem;width:auto}.made{color:#8a4b00}.note{color:#57606a}
svg{max-width:100%;height:auto}figure{margin:1rem 0}
@media print{h2{break-after:avoid}figure,tr{break-inside:avoid}}
"""
SALT = "gigawatt"
"""Fixes the ids inside the SVGs, so that the same deal gives the same bytes."""


def _svg(figure: Figure) -> str:
    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": SALT, "svg.fonttype": "path"}):
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    return text[text.index("<svg") :]


def _table(section: Section) -> str:
    rows = "".join(
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(value)}</td></tr>"
        for name, value in section.rows
    )
    return f"<h2>{escape(section.title)}</h2><table>{rows}</table>"


def _inputs(rows: Sequence[InputRow]) -> str:
    lines = "".join(
        f"<tr><td>{escape(row.field)}</td><td>{escape(row.value)}</td><td>{escape(row.unit)}</td>"
        + (
            "<td class=made>illustrative</td></tr>"
            if row.source is None
            else f"<td>{escape(row.source)}</td></tr>"
        )
        for row in rows
    )
    return (
        "<h2>Inputs</h2><table class=inputs><tr><th>field</th><th>value</th><th>unit</th>"
        f"<th>source</th></tr>{lines}</table>"
    )


def html_report(
    title: str,
    sections: Sequence[Section],
    figures: Sequence[tuple[str, Figure]],
    inputs: Sequence[InputRow],
) -> str:
    """The page.

    Args:
        title: heading.
        sections: of the term sheet.
        figures: a text for those who do not see it, and the plot.
        inputs: every number and its origin.
    """
    drawn = "".join(
        f'<figure role=img aria-label="{escape(text, quote=True)}">{_svg(figure)}</figure>'
        for text, figure in figures
    )
    return (
        "<!doctype html><html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width'>"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>"
        f"<h1>{escape(title)}</h1><p class=note>{escape(NOTE)}</p>"
        f"{''.join(_table(section) for section in sections)}<h2>Plots</h2>{drawn}"
        f"{_inputs(inputs)}</body></html>\n"
    )
