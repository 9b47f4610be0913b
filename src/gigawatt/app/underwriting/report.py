"""All files of an underwriting, written to a folder."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from gigawatt.app.underwriting.csv_table import waterfall_csv
from gigawatt.app.underwriting.html import html_report
from gigawatt.app.underwriting.pdf import write_pdf
from gigawatt.app.underwriting.plots import (
    cash_flow_plot,
    chance_plot,
    debt_plot,
    fan_plot,
    tornado_plot,
)
from gigawatt.app.underwriting.term_sheet import input_rows, sections
from gigawatt.app.underwriting.workbook import write_workbook
from gigawatt.economics.finance.monte_carlo import Simulation
from gigawatt.economics.finance.tornado import Bar
from gigawatt.economics.finance.underwriting import Underwriting
from gigawatt.errors import DataError


def plots_of(
    signed: Underwriting, simulation: Simulation | None, bars: Sequence[Bar]
) -> list[tuple[str, Figure]]:
    """Plots with a text for those who do not see them."""
    found = [
        ("Cash flow of each period by who gets it", cash_flow_plot(signed)),
        ("Debt, liquidation value and debt service cover over time", debt_plot(signed)),
    ]
    if bars:
        found.append(("What each input does to return, cover and debt", tornado_plot(signed, bars)))
    if simulation is not None:
        found.append(("Percentiles of price, cover and debt", fan_plot(signed, simulation)))
        found.append(
            ("Chance of lock-up and default, spread of returns", chance_plot(signed, simulation))
        )
    return found


def write_report(
    signed: Underwriting, simulation: Simulation | None, bars: Sequence[Bar], folder: Path
) -> list[Path]:
    """Write ``term-sheet.html``, ``term-sheet.pdf``, ``waterfall.csv`` and ``waterfall.xlsx``.

    Raises:
        DataError: the folder cannot be written.
    """
    title = f"Term sheet: {signed.deal.name}"
    sheet, inputs = sections(signed, simulation), input_rows(signed.deal)
    plots = plots_of(signed, simulation, bars)
    paths = [folder / name for name in ("term-sheet.html", "term-sheet.pdf", "waterfall.csv")]
    workbook = folder / "waterfall.xlsx"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths[0].write_text(html_report(title, sheet, plots, inputs), encoding="utf-8")
        write_pdf(title, sheet, [figure for _, figure in plots], inputs, paths[1])
        paths[2].write_text(waterfall_csv(signed), encoding="utf-8")
        write_workbook(signed, inputs, workbook)
    except OSError as error:
        raise DataError(
            f"{folder} cannot be written: {error.strerror}", next_step="Give another folder."
        ) from error
    return [*paths, workbook]
