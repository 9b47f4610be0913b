"""An invoice as A4 pages, drawn by matplotlib alone (ADR-0043)."""

import io
from functools import cache

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font

from gigawatt.app.market.invoice_sheet import Sheet, sheet_of
from gigawatt.market.invoice import Invoice

A4_ACROSS_INCHES = (11.69, 8.27)
LEFT, RIGHT, TOP, BOTTOM = 0.05, 0.95, 0.92, 0.08
LINE = 0.024
"""Height of a line of text, as a share of the page."""

PLACES = (
    ("what", 0, LEFT, "left", 24),
    ("project", 1, 0.21, "left", 18),
    ("for", 2, 0.33, "left", 24),
    ("tag", 3, 0.49, "left", 10),
    ("site", 4, 0.56, "left", 9),
    ("quantity", 5, 0.71, "right", 18),
    ("unit", 6, 0.72, "left", 11),
    ("price", 7, 0.865, "right", 16),
    ("amount", 8, RIGHT, "right", 18),
)
"""Column: its name, its cell, where it is, how it is set, and letters of 7 points that fit."""

MISSING = "\N{WHITE SQUARE}"
FONT = "DejaVu Sans"


class _Paper:
    """Pages that are filled from the top."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.pages: list[Figure] = []
        self.height = 0.0
        self.new_page()

    def new_page(self) -> None:
        figure = Figure(figsize=A4_ACROSS_INCHES, facecolor="white")
        FigureCanvasAgg(figure)
        self.pages.append(figure)
        self.height = 0.955
        self.write(LEFT, self.title, fontsize=7, color="#57606a")
        self.height = TOP

    def need(self, lines: float) -> bool:
        """Begin a page if there is no room for so many lines; whether one was begun."""
        is_full = self.height - lines * LINE < BOTTOM
        if is_full:
            self.new_page()
        return is_full

    def write(self, across: float, text: str, **style: object) -> None:
        self.pages[-1].text(
            across, self.height, _drawable(text), va="top", parse_math=False,
            **{"fontsize": 7, "family": FONT, **style},  # type: ignore[arg-type]
        )  # fmt: skip

    def rule(self) -> None:
        at = self.height + 0.2 * LINE
        line = mpl.lines.Line2D((LEFT, RIGHT), (at, at), color="#E5E8EA", linewidth=0.5)
        self.pages[-1].add_artist(line)


def _drawable(text: str) -> str:
    """The text with a square for every letter that the font does not have."""
    known = _letters()
    return "".join(letter if ord(letter) in known else MISSING for letter in text)


@cache
def _letters() -> frozenset[int]:
    return frozenset(get_font(findfont(FontProperties(family=FONT))).get_charmap())


def _cut(text: str, letters: int) -> str:
    return text if len(text) <= letters else text[: letters - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _write_heads(paper: _Paper) -> None:
    for name, _, across, side, _ in PLACES:
        paper.write(across, name, weight="bold", ha=side)
    paper.height -= 1.2 * LINE


def _write_lines(paper: _Paper, sheet: Sheet) -> None:
    _write_heads(paper)
    for row in sheet.rows:
        if paper.need(1):
            _write_heads(paper)
        paper.rule()
        for _, cell, across, side, letters in PLACES:
            paper.write(across, _cut(row[cell], letters), ha=side)
        paper.height -= LINE


def invoice_pdf(invoice: Invoice) -> bytes:
    """The file; the same invoice gives the same bytes. What does not fit a cell is cut short."""
    sheet = sheet_of(invoice)
    paper = _Paper(sheet.title)
    paper.write(LEFT, sheet.title, fontsize=15, weight="bold")
    paper.height -= 2.0 * LINE
    for name, value in sheet.facts:
        paper.write(LEFT, name, fontsize=8, color="#57606a")
        paper.write(0.18, value, fontsize=8)
        paper.height -= LINE
    paper.height -= LINE
    _write_lines(paper, sheet)
    paper.height -= LINE
    paper.need(len(sheet.totals))
    for name, value in sheet.totals:
        weight = "bold" if name == "total" else "normal"
        paper.write(0.72, name, fontsize=8, weight=weight)
        paper.write(RIGHT, value, fontsize=8, weight=weight, ha="right")
        paper.height -= LINE
    return _bytes_of(paper)


def _bytes_of(paper: _Paper) -> bytes:
    stream, count = io.BytesIO(), len(paper.pages)
    with (
        mpl.rc_context({"pdf.fonttype": 42}),
        PdfPages(stream, metadata={"Title": paper.title, "CreationDate": None}) as pages,
    ):
        for number, page in enumerate(paper.pages, 1):
            page.text(RIGHT, 0.03, f"{number} / {count}", fontsize=7, ha="right", color="#57606a")
            pages.savefig(page)
    return stream.getvalue()
