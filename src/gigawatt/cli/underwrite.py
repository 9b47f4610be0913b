"""``gw underwrite``: size a loan on GPUs, run its waterfall, and write the term sheet."""

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from gigawatt.app.underwriting.report import write_report
from gigawatt.app.underwriting.term_sheet import NOTE, sections
from gigawatt.cli.options import Format, OutputOption, new_command
from gigawatt.cli.output import console, pairs, write
from gigawatt.economics.finance.deal_yaml import load_deal
from gigawatt.economics.finance.monte_carlo import CASES_MAX, Simulation, simulate
from gigawatt.economics.finance.tornado import tornado
from gigawatt.economics.finance.underwriting import Underwriting, underwrite
from gigawatt.errors import InputError

app = new_command()


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"deal {path} cannot be read: {error}",
            next_step="Give a deal file; examples/deals has three.",
        ) from error


def _document(signed: Underwriting, simulation: Simulation | None) -> dict[str, object]:
    """The term sheet for programs: texts by section, and the loan's limits as numbers."""
    found: dict[str, object] = {
        "name": signed.deal.name,
        "debt_micro_usd": signed.loan.debt_micro_usd,
        "binding": signed.loan.binding,
        "limits_usd": {
            limit: amount if np.isfinite(amount) else None
            for limit, amount in signed.loan.limits_usd.items()
        },
    }
    for section in sections(signed, simulation):
        found[section.title.lower().replace(" ", "_")] = dict(section.rows)
    return found


@app.command()
def run(
    deal: Annotated[Path, typer.Argument(help="Deal file (YAML); see examples/deals.")],
    to: Annotated[
        Path | None, typer.Option("--to", help="Folder for HTML, PDF, CSV and XLSX.")
    ] = None,
    cases: Annotated[
        int, typer.Option("--cases", min=0, max=CASES_MAX, help="Monte Carlo cases; 0 for none.")
    ] = 2_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the Monte Carlo.")] = 1,
    form: OutputOption = Format.TABLE,
) -> None:
    """Size the loan of a deal, run the waterfall, and show the term sheet."""
    signed = underwrite(load_deal(_read(deal), str(deal)))
    simulation = simulate(signed, np.random.default_rng(seed), cases) if cases else None
    written = write_report(signed, simulation, tornado(signed), to) if to else []
    if form is not Format.TABLE:
        files = [str(path) for path in written]
        write({**_document(signed, simulation), "files": files}, form)
        return
    for section in sections(signed, simulation):
        pairs(section.title, dict(section.rows))
        console.print()
    for path in written:
        console.print(f"wrote {path}")
    console.print(NOTE, style="dim")
