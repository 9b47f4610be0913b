"""``gw plan``: what a create would do."""

from gigawatt.cli import backend
from gigawatt.cli.options import Format, ForOption, OutputOption, new_command, with_request
from gigawatt.intent.request import ClusterRequest

app = new_command()


@app.command()
@with_request
def plan(
    request: ClusterRequest, duration: ForOption = None, output: OutputOption = Format.TABLE
) -> None:
    """Show what a create would do, why there and at what price; change nothing.

    A request that does not fit is answered level by level, with what would fit.

    Example: gw plan train --gpus 512 --keep-together pod
    """
    backend.clusters.show_create(request, output, duration)
