"""``gw twin``: replay a trace on a simulated fleet, through the real code."""

import json
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli.options import Format, OutputOption
from gigawatt.cli.output import write
from gigawatt.cli.twin_market import make_folder, market, policies
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.twin.demo import (
    DEMO_GPU_COUNT,
    DEMO_HOURS,
    DEMO_LOAD,
    DEMO_SEED,
    make_workload,
)
from gigawatt.twin.failures import FailureRates
from gigawatt.twin.plot import plot_replay
from gigawatt.twin.replay import replay
from gigawatt.twin.report import make_report, text_of
from gigawatt.twin.settings import TwinSettings
from gigawatt.units import HOUR_S

app = typer.Typer(
    add_completion=False, help="Replay a trace on a simulated fleet; sell it under policies."
)
app.command()(market)
app.command()(policies)


@app.command()
def twin(
    trace: Annotated[
        Path | None,
        typer.Argument(
            help="CSV of jobs; if left out, Kalos from $GIGAWATT_TRACES, else a generated trace."
        ),
    ] = None,
    gpus: Annotated[int, typer.Option("--gpus", "-g", help="GPUs of the fleet.")] = DEMO_GPU_COUNT,
    hours: Annotated[float, typer.Option(help="Virtual hours to replay.")] = DEMO_HOURS,
    load: Annotated[float, typer.Option(help="Offered load, 0.85 is 85 %.")] = DEMO_LOAD,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = DEMO_SEED,
    failures: Annotated[
        float, typer.Option(help="Failures, times the default rates; 0 for none.")
    ] = 1.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for report.json, report.txt, events.log and the pictures."),
    ] = None,
    form: OutputOption = Format.TABLE,
) -> None:
    """Replay a trace on a simulated fleet, with faults.

    Every job becomes a tenant's request; planner, checker, store, executor and reconciler are the
    real ones, devices and time are simulated. Isolation is proven again and again; a violation
    stops the run with seed and time. Where real traces can be had: docs/traces.md.

    Example: gw twin --hours 48 --seed 8 --out out/twin
    """
    if not (hours > 0 and failures >= 0):
        raise InputError(f"hours {hours:g} must be > 0 and failures {failures:g} >= 0")
    fleet = hgx_fleet(gpus)
    workload = make_workload(trace, gpus, hours * HOUR_S, load, seed)
    settings = TwinSettings(seed=seed, rates=FailureRates().times(failures))
    if out is not None:
        make_folder(out)
    began_s = time.perf_counter()
    with nullcontext() if out is None else (out / "events.log").open("w", encoding="utf-8") as log:
        outcome = replay(fleet, workload, settings, stream=log)
    report = make_report(outcome, time.perf_counter() - began_s)
    if out is not None:
        plot_replay(outcome, out)
        (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
        (out / "report.txt").write_text(text_of(report), encoding="utf-8")
    if form is Format.TABLE:
        typer.echo(text_of(report), nl=False)
    else:
        write(report, form)
