"""``gw capacity``: when could so many GPUs start?"""

from datetime import datetime
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import Format, OutputOption, new_command

app = new_command()


@app.command()
def capacity(
    gpus: Annotated[int, typer.Option("--gpus", "-g", help="GPUs.", min=1, max=32_000)],
    gpu_type: Annotated[str, typer.Option("--type", help="GPU type, e.g. h100.")],
    hours: Annotated[float, typer.Option("--hours", help="For how many hours.", min=1)] = 24.0,
    start: Annotated[
        datetime | None, typer.Option("--from", help="First start looked at, UTC; else now.")
    ] = None,
    end: Annotated[datetime | None, typer.Option("--to", help="Last start looked at, UTC.")] = None,
    site: Annotated[str | None, typer.Option("--site", help="At this site only.")] = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show when GPUs could be reserved, and how many are free until then.

    Example: gw capacity --gpus 256 --type h100 --hours 720 --to 2027-12-31
    """
    work = backend.reservations
    work.show_capacity(work.Question(gpus, gpu_type, hours, start, end, site), output)
