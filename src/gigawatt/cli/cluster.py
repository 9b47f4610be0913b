"""``gw cluster``: the life of a cluster."""

from pathlib import Path
from typing import Annotated

import typer

from gigawatt.cli import backend
from gigawatt.cli.options import (
    DetachOption,
    Format,
    ForOption,
    NameArgument,
    OutputOption,
    QuietOption,
    WaitOption,
    WhoseOption,
    YesOption,
    new_group,
    with_request,
)
from gigawatt.intent.request import ClusterRequest

app = new_group("Create clusters, look at them, change them, give them back.")

PlanOnly = Annotated[bool, typer.Option("--plan", help="Show the plan and stop.")]
MoreGpus = Annotated[
    int, typer.Option("--gpus", "-g", help="How many GPUs more or fewer.", min=1, max=32_000)
]


@app.command()
@with_request
def create(
    request: ClusterRequest,
    plan_only: PlanOnly = False,
    yes: YesOption = False,
    detach: DetachOption = False,
    wait_s: WaitOption = None,
    duration: ForOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Create a cluster: show the plan, ask, close all five planes, boot, verify.

    Example: gw cluster create train --gpus 512 --type h100 --max-price 3.10 --for 72h
    """
    if plan_only:
        backend.clusters.show_create(request, output, duration)
        return
    go = backend.clusters.Go(
        yes=yes, wait=not detach, wait_s=wait_s, form=output, duration=duration
    )
    backend.clusters.create(request, go)


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    output: OutputOption = Format.TABLE,
    quiet: QuietOption = False,
) -> None:
    """List clusters, newest first.

    Example: gw cluster list --all -o json
    """
    backend.views.list_clusters(output, everything=everything, quiet=quiet)


@app.command()
def show(
    cluster: NameArgument, tenant: WhoseOption = None, output: OutputOption = Format.TABLE
) -> None:
    """Show one cluster: where it is, its keys, its nodes, and what is under way.

    Example: gw cluster show train
    """
    backend.views.show_cluster(cluster, tenant, output)


@app.command()
def grow(
    cluster: NameArgument,
    gpus: MoreGpus,
    tenant: WhoseOption = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    wait_s: WaitOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Add GPUs to a running cluster, as near to it as there is room.

    Example: gw cluster grow train --gpus 256
    """
    go = backend.clusters.Go(yes=yes, wait=not detach, wait_s=wait_s, form=output)
    backend.clusters.resize(cluster, tenant, gpus, go)


@app.command()
def shrink(
    cluster: NameArgument,
    gpus: MoreGpus,
    tenant: WhoseOption = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    wait_s: WaitOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give GPUs of a running cluster back; its emptiest leaf groups go first.

    Example: gw cluster shrink train --gpus 128
    """
    go = backend.clusters.Go(yes=yes, wait=not detach, wait_s=wait_s, form=output)
    backend.clusters.resize(cluster, tenant, -gpus, go)


@app.command()
def replace(
    cluster: NameArgument,
    nodes: Annotated[list[str], typer.Argument(help="Ids of the nodes that failed.")],
    tenant: WhoseOption = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    wait_s: WaitOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Replace failed nodes by spares, or by free nodes; the failed ones are quarantined.

    Example: gw cluster replace train h-su003-n07
    """
    go = backend.clusters.Go(yes=yes, wait=not detach, wait_s=wait_s, form=output)
    backend.clusters.replace(cluster, tenant, nodes, go)


@app.command()
def release(
    cluster: NameArgument,
    tenant: WhoseOption = None,
    yes: YesOption = False,
    detach: DetachOption = False,
    wait_s: WaitOption = None,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give everything back: stop, isolate on all planes, clean, free. Deletes its data.

    Example: gw cluster release train
    """
    go = backend.clusters.Go(yes=yes, wait=not detach, wait_s=wait_s, form=output)
    backend.clusters.release(cluster, tenant, go)


@app.command()
def watch(cluster: NameArgument, tenant: WhoseOption = None, wait_s: WaitOption = None) -> None:
    """Watch what is under way, and carry it on if nobody does. Ctrl-C only stops watching.

    Example: gw cluster watch train
    """
    backend.clusters.watch_cluster(cluster, tenant, wait_s)


@app.command()
def evidence(
    cluster: NameArgument, tenant: WhoseOption = None, output: OutputOption = Format.TABLE
) -> None:
    """Show the proof that was kept: what was read back, proven and probed, and when.

    Example: gw cluster evidence train
    """
    backend.views.show_evidence(cluster, tenant, output)


@app.command()
def files(
    cluster: NameArgument,
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write to.")] = None,
    tenant: WhoseOption = None,
) -> None:
    """Write the files that make a cluster usable: ssh, NCCL, Slurm, Kubernetes, torchrun.

    Example: gw cluster files train --to ./train
    """
    backend.views.write_files(cluster, tenant, to)
