"""``gw usage``: GPU-hours and what they cost, the records behind them, and their check."""

from enum import StrEnum
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, ProjectOption, new_command

app = new_command()


class View(StrEnum):
    """What is shown."""

    SUMMARY = "summary"
    RECORDS = "records"
    CHECK = "check"


class By(StrEnum):
    """What a line of the summary is of."""

    PROJECT = "project"
    CLUSTER = "cluster"
    GPU_TYPE = "gpu-type"
    DAY = "day"


ViewArgument = Annotated[
    View,
    typer.Argument(
        help="summary; records, each node's use by itself; or check, for operators: reckon again "
        "from the audit trail and compare."
    ),
]
FromOption = Annotated[
    str | None,
    typer.Option(
        "--from", help="From this day or moment of UTC; else this month's start.", metavar="WHEN"
    ),
]
ToOption = Annotated[
    str | None,
    typer.Option("--to", help="Up to, and not with, this day or moment.", metavar="WHEN"),
]
ByOption = Annotated[By, typer.Option("--by", help="A line for each project, cluster, ...")]
ClusterOption = Annotated[
    str | None, typer.Option("--cluster", help="Of this cluster only (clu_... or name).")
]


@app.command()
def usage(
    view: ViewArgument = View.SUMMARY,
    project: ProjectOption = None,
    cluster: ClusterOption = None,
    from_: FromOption = None,
    to: ToOption = None,
    by: ByOption = By.PROJECT,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show GPU-hours and what they cost, with what is under way.

    A node is billed from when its cluster is verified until its release is asked for; a node that
    is quarantined or being replaced is not.

    Example: gw usage --from 2026-01-01 --to 2026-02-01 --by day
    """
    if view is View.CHECK:
        backend.usage.check(cluster, project, output)
        return
    wanted = backend.usage.Wanted(project, cluster, from_, to)
    if view is View.RECORDS:
        backend.usage.show_records(wanted, output)
    else:
        backend.usage.show_summary(wanted, by.value, output)
