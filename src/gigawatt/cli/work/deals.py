"""What ``gw underwrite`` shows and writes."""

from pathlib import Path

import numpy as np

from gigawatt.app.underwriting.document import deal_document
from gigawatt.app.underwriting.report import write_report
from gigawatt.app.underwriting.term_sheet import NOTE, sections
from gigawatt.cli.options import Format
from gigawatt.cli.output import console, pairs, paragraph, remarks, write
from gigawatt.economics.finance.deal_yaml import load_deal
from gigawatt.economics.finance.monte_carlo import simulate
from gigawatt.economics.finance.tornado import tornado
from gigawatt.economics.finance.underwriting import underwrite
from gigawatt.errors import InputError


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"deal {path} cannot be read: {error}",
            next_step="Give a deal file; examples/deals has three.",
        ) from error


def show(deal: Path, folder: Path | None, cases: int, seed: int, form: Format) -> None:
    """Show the term sheet of a deal file, and write the report where a folder is given."""
    signed = underwrite(load_deal(_read(deal), str(deal)))
    simulation = simulate(signed, np.random.default_rng(seed), cases) if cases else None
    bars = tornado(signed) if folder or form is not Format.TABLE else ()
    written = write_report(signed, simulation, bars, folder) if folder else []
    if form is not Format.TABLE:
        files = [str(path) for path in written]
        write({**deal_document(signed, simulation, bars), "files": files}, form)
        return
    for section in sections(signed, simulation):
        pairs(section.title, section.rows)
        console.print()
    paragraph(NOTE)
    for path in written:
        remarks.print(f"wrote {path}")
