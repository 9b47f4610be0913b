"""An invoice as A4 pages, by fpdf2 (ADR-0047): text stays text, and nothing is cut short.

Letters come from DejaVu Sans, which matplotlib brings along. Where an operator's tenants write in
scripts that it lacks, ``GIGAWATT_INVOICE_FONTS`` names fonts that have them.
"""

import os
from datetime import UTC, datetime
from pathlib import Path

import matplotlib as mpl
from fpdf import FPDF, FontFace, ViewerPreferences
from fpdf.enums import Align, TableBordersLayout, XPos, YPos
from fpdf.fonts import TTFFont
from typing_extensions import override

from gigawatt.app.market.invoice_sheet import COLUMNS, Sheet, sheet_of
from gigawatt.errors import InputError
from gigawatt.market.invoice import Invoice

FONTS_VARIABLE = "GIGAWATT_INVOICE_FONTS"
"""Environment variable: files of TrueType or OpenType fonts, in the order in which they are asked
for letters that DejaVu Sans lacks; joined like ``PATH``."""

FAMILY = "DejaVu Sans"
MISSING = "\N{WHITE SQUARE}"
"""What stands for a letter that no font has."""

MARGIN_MM, LINE_MM = 14.0, 4.2
WIDTHS_MM = (44, 30, 38, 22, 20, 32, 20, 30, 33)
"""Of ``COLUMNS``, which fill a page across."""
RIGHT = frozenset({"quantity", "price", "amount"})
GREY, RULE, RULE_MM = (87, 96, 106), (229, 232, 234), 0.2


class _Paper(FPDF):
    """Pages that say what they are of, and how many there are."""

    def __init__(self, title: str, fonts: tuple[str, ...]) -> None:
        super().__init__(orientation="landscape", format="A4")
        self.set_margin(MARGIN_MM)
        self.set_auto_page_break(True, MARGIN_MM + 2)  # noqa: FBT003 - fpdf2's own way
        folder = Path(mpl.get_data_path()) / "fonts" / "ttf"
        self.add_font(FAMILY, "", folder / "DejaVuSans.ttf")
        self.add_font(FAMILY, "B", folder / "DejaVuSans-Bold.ttf")
        more = [f"more{number}" for number, _ in enumerate(fonts)]
        for name, path in zip(more, fonts, strict=True):
            self.add_font(name, "", path)
        self.set_fallback_fonts(more, exact_match=False)
        plain = [font for name, font in self.fonts.items() if name != f"{FAMILY.lower()}B"]
        known = {letter for font in plain if isinstance(font, TTFFont) for letter in font.cmap}
        # Whoever may break a line or turn its direction is no letter.
        self._letters = frozenset(letter for letter in known if chr(letter).isprintable())
        self._title = self.drawable(title)
        self.set_font(FAMILY, size=8)

    def drawable(self, text: str) -> str:
        """The text with a square for every letter that no font has."""
        return "".join(one if ord(one) in self._letters else MISSING for one in text)

    @override
    def header(self) -> None:
        if self.page_no() > 1:
            self._small(self._title, Align.L)
            self.ln(2 * LINE_MM)

    @override
    def footer(self) -> None:
        self.set_y(-MARGIN_MM)
        self._small(f"{self.page_no()} / {{nb}}", Align.R)

    def _small(self, text: str, align: Align) -> None:
        self.set_font(FAMILY, size=7)
        self.set_text_color(*GREY)
        self.cell(0, LINE_MM, text, align=align)
        self.set_text_color(0)
        self.set_font(FAMILY, size=8)


def _fonts() -> tuple[str, ...]:
    """Fonts that the operator names beside our own.

    Raises:
        InputError: one is no file.
    """
    named = [path for path in os.environ.get(FONTS_VARIABLE, "").split(os.pathsep) if path]
    for path in named:
        if not Path(path).is_file():
            raise InputError(
                f"{FONTS_VARIABLE} names {path}, which is no file",
                next_step="Name .ttf, .otf or .ttc files that this server may read.",
            )
    return tuple(named)


def invoice_pdf(invoice: Invoice) -> bytes:
    """The file; the same invoice and fonts give the same bytes.

    Raises:
        InputError: the operator names a font that is not there.
    """
    sheet = sheet_of(invoice)
    paper = _Paper(sheet.title, _fonts())
    paper.set_title(sheet.title)
    paper.set_lang("en")
    paper.set_author("Gigawatt")
    paper.set_creation_date(datetime.fromisoformat(invoice.issued_on).replace(tzinfo=UTC))
    paper.viewer_preferences = ViewerPreferences(display_doc_title=True)
    paper.add_page()
    paper.set_font(FAMILY, "B", 15)
    paper.cell(0, 9, paper.drawable(sheet.title), new_x=XPos.LMARGIN, new_y=YPos.NEXT)
    paper.set_font(FAMILY, size=8)
    paper.ln(2)
    _write_facts(paper, sheet)
    _write_lines(paper, sheet)
    _write_totals(paper, sheet)
    return bytes(paper.output())


def _write_facts(paper: _Paper, sheet: Sheet) -> None:
    for name, value in sheet.facts:
        paper.set_text_color(*GREY)
        paper.cell(28, LINE_MM, name)
        paper.set_text_color(0)
        paper.multi_cell(0, LINE_MM, paper.drawable(value), align=Align.L)
        paper.ln(0)
    paper.ln(LINE_MM)


def _write_lines(paper: _Paper, sheet: Sheet) -> None:
    """A row a line; the heads are repeated on every page, and no row is broken over two."""
    paper.set_font(FAMILY, size=7)
    paper.set_line_width(RULE_MM)
    paper.set_draw_color(*RULE)
    sides = tuple(Align.R if name in RIGHT else Align.L for name in COLUMNS)
    with paper.table(
        col_widths=WIDTHS_MM,
        text_align=sides,
        line_height=3.6,
        padding=(0.7, 1),
        borders_layout=TableBordersLayout.HORIZONTAL_LINES,
        headings_style=FontFace(emphasis="BOLD"),
        v_align="TOP",
    ) as table:
        table.row(COLUMNS)
        for row in sheet.rows:
            table.row([paper.drawable(cell) for cell in row])
    paper.set_font(FAMILY, size=8)


def _write_totals(paper: _Paper, sheet: Sheet) -> None:
    """Net, taxes, rounding and total, together on one page."""
    paper.ln(LINE_MM)
    height = 1.4 * LINE_MM
    if paper.will_page_break(height * len(sheet.totals)):
        paper.add_page()
    for name, value in sheet.totals:
        paper.set_font(FAMILY, "B" if name == "total" else "", 8)
        paper.set_x(-MARGIN_MM - 95)
        paper.cell(55, height, name)
        paper.cell(40, height, value, align=Align.R, new_x=XPos.LMARGIN, new_y=YPos.NEXT)
