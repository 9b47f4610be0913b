"""``gw reservation``: capacity from one moment to another, at a price that is known before."""

from datetime import datetime
from typing import Annotated, Any

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    Format,
    OutputOption,
    ProjectOption,
    QuietOption,
    YesOption,
    new_group,
    taking,
)

app = new_group("Reserve GPUs from one moment to another; look at reservations, give them up.")

NameOption = Annotated[str, typer.Argument(help="Name: lower-case letters, digits, hyphens.")]
ReservationArgument = Annotated[str, typer.Argument(help="Name or id (res_...) of a reservation.")]
Gpus = Annotated[int, typer.Option("--gpus", "-g", help="GPUs, whole nodes.", min=1, max=32_000)]
GpuType = Annotated[str, typer.Option("--type", help="GPU type, e.g. h100.")]
From = Annotated[
    datetime | None,
    typer.Option("--from", help="Start in UTC, e.g. 2027-01-31; now if left out."),
]
Hours = Annotated[float | None, typer.Option("--hours", help="How many hours, 1 or more.", min=1)]
Months = Annotated[
    int | None, typer.Option("--months", help="Or how many months of 30 days.", min=1, max=60)
]
Growth = Annotated[
    int, typer.Option("--growth", help="GPUs kept free beside them, for growth.", min=0)
]
Lent = Annotated[bool, typer.Option("--lent", help="Let others use it, on call, while you do not.")]
Site = Annotated[list[str] | None, typer.Option("--site", help="Site allowed. *")]
MaxPrice = Annotated[
    float | None, typer.Option("--max-price", help="Dollars a GPU-hour at most.", min=0)
]


def build_wish(
    name: NameOption,
    gpus: Gpus,
    gpu_type: GpuType,
    start: From = None,
    hours: Hours = None,
    months: Months = None,
    growth: Growth = 0,
    lent: Lent = False,
    site: Site = None,
    max_price: MaxPrice = None,
) -> Any:  # noqa: ANN401 - what the options describe, of a module that is imported when it is run
    """The reservation that the options describe; each argument is the option of its name."""
    work = backend.reservations
    length = work.Length(hours, months, start)
    return work.Wish(name, gpus, gpu_type, length, growth, lent, tuple(site or ()), max_price)


@app.command()
@taking(build_wish)
def plan(
    wish: Any,  # noqa: ANN401 - see build_wish
    project: ProjectOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show where a reservation would be, what it costs, and what giving it up costs.

    Example: gw reservation plan q3 --gpus 256 --type h100 --from 2027-07-01 --months 3
    """
    backend.reservations.plan(wish, project, output)


@app.command()
@taking(build_wish)
def create(
    wish: Any,  # noqa: ANN401 - see build_wish
    project: ProjectOption = None,
    yes: YesOption = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Reserve GPUs: show the plan, ask, and book exactly that.

    Example: gw reservation create q3 --gpus 256 --type h100 --from 2027-07-01 --months 3
    """
    backend.reservations.create(wish, project, output, yes=yes)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also ended, cancelled ones.")] = False,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List reservations, newest first.

    Example: gw reservation list --all
    """
    backend.reservations.list_reservations(output, everything=everything, quiet=quiet)


@app.command()
def show(reservation: ReservationArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one reservation: when, where, at what price, under which terms.

    Example: gw reservation show q3
    """
    backend.reservations.show(reservation, output)


@app.command()
def cancel(reservation: ReservationArgument, yes: YesOption = False) -> None:
    """Give a reservation up before it begins; says what that costs and asks.

    Example: gw reservation cancel q3
    """
    backend.reservations.cancel(reservation, yes=yes)
