"""The term sheet as A4 pages, drawn by matplotlib alone."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from gigawatt.app.underwriting.term_sheet import NOTE, InputRow, Section

A4_INCHES = (8.27, 11.69)
LEFT, RIGHT, TOP, BOTTOM = 0.08, 0.92, 0.94, 0.06
LINE = 0.0143
"""Height of a line of text, as a share of the page."""
DOTS_PER_INCH = 200
VALUE_LEFT = 0.40
VALUE_LETTERS = 68
"""Letters of 8.5 points that fit right of ``VALUE_LEFT``."""


SECTION_LINES_MAX = 40.0
"""A section of at most this many lines is not broken over pages."""


class _Paper:
    """Pages that are filled from the top; a page is begun when the last one is full."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.pages: list[Figure] = []
        self.height = 0.0
        self.new_page()

    def new_page(self) -> None:
        figure = Figure(figsize=A4_INCHES, facecolor="white")
        FigureCanvasAgg(figure)
        self.pages.append(figure)
        self.height = TOP
        figure.text(LEFT, 0.965, self.title, fontsize=8, color="#57606a", parse_math=False)

    def need(self, lines: float) -> None:
        if self.height - lines * LINE < BOTTOM:
            self.new_page()

    def write(self, across: float, text: str, **style: object) -> None:
        self.pages[-1].text(
            across, self.height, text, va="top", parse_math=False,
            **{"fontsize": 8.5, **style},  # type: ignore[arg-type]
        )  # fmt: skip

    def rule(self) -> None:
        at = self.height + 0.25 * LINE
        line = mpl.lines.Line2D((LEFT, RIGHT), (at, at), color="#E5E8EA", linewidth=0.6)
        self.pages[-1].add_artist(line)


def _write_section(paper: _Paper, section: Section) -> None:
    wrapped = [(name, textwrap.wrap(value, VALUE_LETTERS) or [""]) for name, value in section.rows]
    whole = sum(len(lines) + 0.35 for _, lines in wrapped)
    paper.need(2.5 + min(whole, SECTION_LINES_MAX))
    paper.height -= 0.8 * LINE
    paper.write(LEFT, section.title, fontsize=11, weight="bold")
    paper.height -= 1.7 * LINE
    for name, lines in wrapped:
        paper.need(len(lines))
        paper.rule()
        paper.write(LEFT, name, color="#57606a")
        for line in lines:
            paper.write(VALUE_LEFT, line)
            paper.height -= LINE
        paper.height -= 0.35 * LINE


INPUT_COLUMNS = ((LEFT, 44), (0.42, 30), (0.625, 14), (0.735, 29))
"""Where each column of the inputs begins, and letters of 7 points that fit."""


def _write_inputs(paper: _Paper, rows: Sequence[InputRow]) -> None:
    paper.new_page()
    paper.write(LEFT, "Inputs", fontsize=11, weight="bold")
    paper.height -= 2.0 * LINE
    for row in rows:
        cells = (row.field, row.value, row.unit, row.source or "illustrative")
        wrapped = [
            textwrap.wrap(cell, letters)
            for cell, (_, letters) in zip(cells, INPUT_COLUMNS, strict=True)
        ]
        count = max(len(lines) for lines in wrapped)
        paper.need(count)
        paper.rule()
        start = paper.height
        for lines, (across, _) in zip(wrapped, INPUT_COLUMNS, strict=True):
            paper.height = start
            colour = "#8a4b00" if lines == ["illustrative"] else "#1b1f23"
            for line in lines:
                paper.write(across, line, fontsize=7, color=colour)
                paper.height -= 0.8 * LINE
        paper.height = start - (0.8 * count + 0.35) * LINE


def write_pdf(
    title: str,
    sections: Sequence[Section],
    figures: Sequence[Figure],
    inputs: Sequence[InputRow],
    path: Path,
) -> None:
    """Write the report to ``path``; the same deal gives the same bytes.

    Args:
        title: heading.
        sections: of the term sheet.
        figures: plots of A4 width, two or three to a page.
        inputs: every number and its origin.
        path: file to write; it is replaced.
    """
    paper = _Paper(title)
    paper.write(LEFT, title, fontsize=16, weight="bold")
    paper.height -= 2.2 * LINE
    for line in textwrap.wrap(NOTE, 125):
        paper.write(LEFT, line, fontsize=8, color="#57606a")
        paper.height -= LINE
    for section in sections:
        _write_section(paper, section)
    _write_plots(paper, figures)
    _write_inputs(paper, inputs)
    count = len(paper.pages)
    with PdfPages(path, metadata={"Title": title, "CreationDate": None}) as pages:
        for number, page in enumerate(paper.pages, 1):
            page.text(RIGHT, 0.03, f"{number} / {count}", fontsize=8, ha="right", color="#57606a")
            pages.savefig(page)


def _write_plots(paper: _Paper, figures: Sequence[Figure]) -> None:
    """Plots as pictures of 200 dots an inch, from the top of new pages."""
    paper.new_page()
    for figure in figures:
        stream = io.BytesIO()
        figure.savefig(stream, format="rgba", dpi=DOTS_PER_INCH)
        pixels = np.frombuffer(stream.getvalue(), np.uint8)
        width_inches, height_inches = figure.get_size_inches()
        width = RIGHT - LEFT
        height = width * A4_INCHES[0] / width_inches * height_inches / A4_INCHES[1]
        if paper.height - height < BOTTOM:
            paper.new_page()
        axes = paper.pages[-1].add_axes((LEFT, paper.height - height, width, height))
        tall, wide = round(height_inches * DOTS_PER_INCH), round(width_inches * DOTS_PER_INCH)
        axes.imshow(pixels.reshape(tall, wide, 4), aspect="auto", interpolation="none")
        axes.axis("off")
        paper.height -= height + LINE
