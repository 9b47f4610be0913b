"""``gw project``: the tenants of an organisation, and their quotas."""

from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, QuietOption, completing, new_group

app = new_group("Make projects, look at them, grant them GPUs.")

ProjectArgument = Annotated[
    str,
    typer.Argument(help="Name or id (ten_...).", autocompletion=completing("project")),
]
OrganisationOption = Annotated[
    str | None, typer.Option("--organisation", help="Id (org_...); left out: your own.")
]


@app.command("list")
def list_(output: OutputOption = Format.TABLE, quiet: QuietOption = False) -> None:
    """List the projects that you see.

    Example: gw project list
    """
    backend.accounts.list_projects(output, quiet=quiet)


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="Its name.")],
    organisation: OrganisationOption = None,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """Make a project; the operator grants its GPUs with 'gw project quota'.

    Example: gw project create research
    """
    backend.accounts.create_project(name, organisation, output, quiet=quiet)


@app.command()
def show(project: ProjectArgument, output: OutputOption = Format.TABLE) -> None:
    """Show one project, and how many GPUs it holds and may hold.

    Example: gw project show research
    """
    backend.accounts.show_project(project, output)


@app.command()
def quota(
    project: ProjectArgument,
    gpus: Annotated[
        int | None,
        typer.Option("--gpus", "-g", help="Grant this many, spares included.", min=0),
    ] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show how many GPUs a project may hold; operators grant another count with --gpus.

    Example: gw project quota research --gpus 512
    """
    backend.accounts.show_quota(project, gpus, output)
