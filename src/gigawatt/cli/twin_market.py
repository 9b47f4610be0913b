"""``gw twin market`` and ``gw twin policies``: sell a simulated fleet, under one policy or many."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from gigawatt.app.market.order_file import read_order_file
from gigawatt.app.market.utilisation import worth_of
from gigawatt.cli.options import Format, OutputOption
from gigawatt.cli.output import write
from gigawatt.economics.gpu_hour.inputs import CostInputs
from gigawatt.errors import InputError
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.market.ledger import to_beancount
from gigawatt.market.order import ORDER, sentences
from gigawatt.money import format_usd
from gigawatt.twin.demo import trace_or_none
from gigawatt.twin.failures import FailureRates
from gigawatt.twin.market.compare import compare, drawing, to_csv, to_markdown
from gigawatt.twin.market.demand import market_workload
from gigawatt.twin.market.figures import FIGURES, figures_of
from gigawatt.twin.market.judge import judge
from gigawatt.twin.market.plot import plot_market, plot_policies
from gigawatt.twin.market.replay import MarketOutcome, replay_market
from gigawatt.twin.market.settings import POLICIES, MarketSettings, policy_of
from gigawatt.twin.traces import Trace, read_trace
from gigawatt.twin.workload import generated
from gigawatt.units import DAY_S

TraceOption = Annotated[
    Path | None,
    typer.Option(help="CSV of jobs; if left out, Kalos from $GIGAWATT_TRACES, else generated."),
]
GpusOption = Annotated[int, typer.Option("--gpus", "-g", help="GPUs of the fleet.")]
DaysOption = Annotated[float, typer.Option(help="Virtual days to sell.")]
LoadOption = Annotated[float, typer.Option(help="Offered load, 0.85 is 85 %.")]
ALL = ",".join(policy.name for policy in POLICIES)
OrderOption = Annotated[
    Path | None,
    typer.Option(
        "--order", help="Order of classes as YAML, see 'gw spot order -o yaml'; else the usual one."
    ),
]
FailuresOption = Annotated[float, typer.Option(help="Failures, times the default rates.")]


def make_folder(folder: Path) -> None:
    """Make a folder for what a command writes.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made: {error.strerror}") from error


def _trace(path: Path | None, gpus: int, load: float) -> Trace:
    """A trace file; without one, Kalos if it is at hand, else one that is generated."""
    path = path or trace_or_none()
    if path is not None:
        return read_trace(path)
    return generated(("kalos",), gpus, 30.0 * DAY_S, load, 1).trace


def _check(days: float, load: float, failures: float) -> None:
    if not (days > 0 and load > 0 and failures >= 0):
        raise InputError(
            f"days {days:g} and load {load:g} must be > 0 and failures {failures:g} >= 0"
        )


def market(
    trace: TraceOption = None,
    policy: Annotated[str, typer.Option(help="See 'gw twin policies --help'.")] = "sell_back",
    gpus: GpusOption = 10_000,
    days: DaysOption = 365.0,
    load: LoadOption = 0.85,
    seed: Annotated[int, typer.Option(help="The same seed gives the same events.")] = 7,
    failures: FailuresOption = 1.0,
    order: OrderOption = None,
    out: Annotated[
        Path, typer.Option(help="Folder for events.log, ledger.beancount, report.json, a picture.")
    ] = Path("market"),
    form: OutputOption = Format.TABLE,
) -> None:
    """Sell a fleet for a while: on demand, reserved and by spot, with failures and invoices.

    Every invoice is computed again from the event log by other code, and must agree to the
    micro-dollar; the ledger must sum to zero, and states to the fleet's GPU-hours.

    Example: gw twin market --days 14 --gpus 2000 --policy sell_back --out out/market
    """
    _check(days, load, failures)
    make_folder(out)
    began_s = time.perf_counter()
    workload = market_workload(_trace(trace, gpus, load), gpus, days * DAY_S, load, seed)
    settings = MarketSettings(
        seed=seed,
        policy=policy_of(policy),
        order=ORDER if order is None else read_order_file(order),
        rates=FailureRates().times(failures),
    )
    path = out / "events.log"
    with path.open("w", encoding="utf-8") as log:
        outcome = replay_market(hgx_fleet(gpus), workload, settings, stream=log)
    with path.open(encoding="utf-8") as log:
        judge(outcome, log)
    report = {**_report(outcome), "wall_s": time.perf_counter() - began_s}
    (out / "ledger.beancount").write_text(to_beancount(outcome.entries), encoding="utf-8")
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    plot_market(outcome, out / "market.png")
    if form is Format.TABLE:
        for name, value in report.items():
            typer.echo(f"{name.replace('_', ' '):<42}{value}")
    else:
        write(report, form)


def _report(outcome: MarketOutcome) -> dict[str, str | int | float]:
    found = figures_of(outcome, worth_of(outcome.prices.on_demand, CostInputs()))
    shown: dict[str, str | int | float] = {
        "source": outcome.workload.source,
        "jobs": len(outcome.workload.trace),
        "policy": outcome.settings.policy.name,
        "seed": outcome.settings.seed,
        "order": "; ".join(sentences(outcome.settings.order)),
    }
    shown |= {name: round(value, 6) for name, value in found.items() if value == value}  # noqa: PLR0124 - not NaN
    by_line: dict[str, int] = {}
    for key, amount in outcome.posted.items():
        by_line[key[2]] = by_line.get(key[2], 0) + amount
    shown |= {f"{line}_usd": format_usd(amount) for line, amount in sorted(by_line.items())}
    shown |= {
        "usage_records": outcome.usage_count,
        "invoice_lines": len(outcome.posted),
        "ledger_entries": len(outcome.entries),
        "reservations": len(outcome.calendar.by_id),
        "node_failures": outcome.metrics.failure_count,
        "differences_between_log_and_invoices": 0,
        "event_log": outcome.digest,
    }
    return shown


def policies(
    trace: TraceOption = None,
    only: Annotated[str, typer.Option(help="Names, with commas between; all if left out.")] = ALL,
    seeds: Annotated[str, typer.Option(help="Whole numbers, with commas between.")] = "1,2,3,4,5",
    gpus: GpusOption = 10_000,
    days: DaysOption = 14.0,
    load: LoadOption = 0.85,
    failures: FailuresOption = 1.0,
    order: OrderOption = None,
    out: Annotated[
        Path, typer.Option(help="Folder for policies.csv, policies.md and policies.png.")
    ] = Path("policies"),
    form: OutputOption = Format.TABLE,
) -> None:
    """Compare policies on one trace: utilisation, dollars, waits, spread, preemptions.

    on_demand sells on demand alone, first come, first served; spot_fill also sells what is free by
    spot; backfill_spot lets small jobs pass for 6 h; spread_spot spreads clusters instead of
    packing them; reserved_spot sells reservations; sell_back lends idle ones to spot.

    Example: gw twin policies --days 14 --gpus 2000 --only on_demand,spot_fill
    """
    _check(days, load, failures)
    make_folder(out)
    numbers = _numbers(seeds)
    draw = drawing(_trace(trace, gpus, load), gpus, days * DAY_S, load)
    base = MarketSettings(
        order=ORDER if order is None else read_order_file(order),
        rates=FailureRates().times(failures),
    )
    chosen = [policy_of(name.strip()) for name in only.split(",")]
    found = compare(
        hgx_fleet(gpus), draw, chosen, numbers, base, lambda line: typer.echo(line, err=True)
    )
    text = to_markdown(found)
    (out / "policies.csv").write_text(to_csv(found), encoding="utf-8")
    (out / "policies.md").write_text(text, encoding="utf-8")
    plot_policies(found, out / "policies.png")
    if form is Format.TABLE:
        typer.echo(text, nl=False)
    else:
        means = {name: {key: float(rows[key].mean()) for key in FIGURES}
                 for name, rows in found.figures.items()}  # fmt: skip
        write(means, form)


def _numbers(text: str) -> list[int]:
    try:
        return [int(word) for word in text.split(",")]
    except ValueError as error:
        raise InputError(f"seeds are {text!r}, wanted whole numbers with commas between") from error
