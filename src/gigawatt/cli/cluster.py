"""``gw cluster``: the life of a cluster."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from gigawatt.app.control import Control
from gigawatt.app.home import Home
from gigawatt.app.plan_words import spread_words
from gigawatt.app.wiring import open_control
from gigawatt.artefacts.render import render_artefacts
from gigawatt.cli import options as opt
from gigawatt.cli.output import (
    Format,
    NameArgument,
    OutputOption,
    TenantOption,
    YesOption,
    console,
    pairs,
    table,
    write,
)
from gigawatt.cli.planview import plan_document, show_plan
from gigawatt.cli.watch import watch
from gigawatt.errors import InputError
from gigawatt.intent.request import Level
from gigawatt.interfaces.store import ClusterRecord
from gigawatt.money import format_usd
from gigawatt.planner.plan import Plan
from gigawatt.planner.target import price_of, spread_of

app = typer.Typer(no_args_is_help=True, help="Create, list, show and release clusters.")

PlanOnly = Annotated[bool, typer.Option("--plan", help="Show the plan and stop.")]
Detach = Annotated[bool, typer.Option("--detach", help="Do not wait for the end.")]
MoreGpus = Annotated[int, typer.Option("--gpus", "-g", help="How many GPUs more or fewer.")]


def _go(control: Control, home: Home, plan: Plan, form: Format, *, yes: bool, wait: bool) -> None:
    """Show a plan, ask, commit it, and watch it to its end."""
    if form is Format.TABLE:
        show_plan(plan)
    if not yes and not typer.confirm("Go ahead?", default=True, err=True):
        typer.echo("nothing was changed", err=True)
        return
    operation = control.commit(plan)
    if wait:
        operation = watch(control, home, operation)
    record = control.around.store.cluster(plan.cluster_id)
    if form is not Format.TABLE:
        write({**plan_document(plan), "phase": record.phase.value}, form)
        return
    console.print(f"{record.name} ({record.cluster_id}) is {record.phase.value}")
    if record.phase.value == "active":
        console.print(f"  next: gw cluster files {record.name} --to ./{record.name}")


@app.command()
def create(
    name: opt.NameOption,
    gpus: opt.GpusOption,
    tenant: TenantOption = "ten_default",
    gpu_type: opt.TypeOption = None,
    storage: opt.StorageOption = "0",
    spares: opt.SparesOption = 0,
    segment: opt.SegmentOption = None,
    whole_domains: opt.WholeOption = False,
    keep_together: opt.TogetherOption = Level.FABRIC,
    spread: opt.SpreadOption = None,
    site: opt.SiteOption = None,
    country: opt.CountryOption = None,
    exclude: opt.ExcludeOption = None,
    near: opt.NearOption = None,
    image: opt.ImageOption = "debian-12-gpu",
    ssh_key: opt.KeyOption = None,
    egress: opt.EgressOption = None,
    plan_only: PlanOnly = False,
    yes: YesOption = False,
    detach: Detach = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Create a cluster: shows the plan, asks, then closes all five planes and boots it.

    Example: gw cluster create train --gpus 512 --type h100 --storage 50TiB --spares 2
    """
    request = opt.build_request(
        tenant,
        name,
        gpus,
        gpu_type=gpu_type,
        storage=storage,
        spares=spares,
        segment=segment,
        whole_domains=whole_domains,
        keep_together=keep_together,
        spread=spread,
        site=site,
        country=country,
        exclude=exclude,
        near=near,
        image=image,
        ssh_key=ssh_key,
        egress=egress,
    )
    home = Home.default()
    with open_control(home) as control:
        plan = control.plan_create(request)
        if plan_only:
            show_plan(plan) if output is Format.TABLE else write(plan_document(plan), output)
            return
        _go(control, home, plan, output, yes=yes, wait=not detach)


@app.command()
def grow(
    cluster: NameArgument,
    gpus: MoreGpus,
    yes: YesOption = False,
    detach: Detach = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Add GPUs to a running cluster, as near to it as there is room."""
    home = Home.default()
    with open_control(home) as control:
        plan = control.plan_grow(control.cluster_id_of(cluster), gpus)
        _go(control, home, plan, output, yes=yes, wait=not detach)


@app.command()
def shrink(
    cluster: NameArgument,
    gpus: MoreGpus,
    yes: YesOption = False,
    detach: Detach = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give GPUs of a running cluster back; the emptiest leaf groups go first."""
    home = Home.default()
    with open_control(home) as control:
        plan = control.plan_shrink(control.cluster_id_of(cluster), gpus)
        _go(control, home, plan, output, yes=yes, wait=not detach)


@app.command()
def release(
    cluster: NameArgument,
    yes: YesOption = False,
    detach: Detach = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """Give everything back: stop, isolate on all planes, clean, then free. Deletes its data."""
    home = Home.default()
    with open_control(home) as control:
        plan = control.plan_release(control.cluster_id_of(cluster))
        _go(control, home, plan, output, yes=yes, wait=not detach)


@app.command("watch")
def watch_operation(cluster: NameArgument) -> None:
    """Watch the operation under way, and carry it on if nobody does. Ctrl-C detaches."""
    home = Home.default()
    with open_control(home) as control:
        cluster_id = control.cluster_id_of(cluster)
        operations = control.around.store.operations_of(cluster_id)
        if operations and operations[-1].finished_s is None:
            watch(control, home, operations[-1])
        record = control.around.store.cluster(cluster_id)
        console.print(f"{record.name} ({cluster_id}) is {record.phase.value}")


def _row(control: Control, record: ClusterRecord) -> dict[str, Any]:
    target = record.target
    row: dict[str, Any] = {
        "name": record.name,
        "cluster_id": record.cluster_id,
        "tenant_id": record.tenant_id,
        "phase": record.phase.value,
        "reason": record.phase_reason,
        "since": datetime.fromtimestamp(record.phase_since_s, UTC).isoformat(timespec="seconds"),
        "gpus": 0,
        "nodes": 0,
        "leaf_groups": 0,
        "price_micro_usd_per_hour": 0,
    }
    if target is not None:
        fleet = control.around.fleet
        row["gpus"] = sum(m.gpu_mask.bit_count() for m in target.active_members)
        row["nodes"] = len(target.active_members)
        row["leaf_groups"] = spread_of(fleet, target.members).leaf_group_count
        row["price_micro_usd_per_hour"] = price_of(fleet, target.members)
    return row


@app.command("list")
def list_(
    everything: Annotated[bool, typer.Option("--all", help="Also ended clusters.")] = False,
    output: OutputOption = Format.TABLE,
) -> None:
    """List clusters, newest first."""
    with open_control(Home.default()) as control:
        rows = [
            _row(control, record)
            for record in control.around.store.clusters()
            if everything or record.phase.value not in {"released", "failed"}
        ]
    if output is not Format.TABLE:
        write(rows, output)
        return
    if not rows:
        console.print("no clusters; make one: gw cluster create NAME --gpus 16")
        return
    shown = ("name", "tenant_id", "phase", "gpus", "nodes", "leaf_groups", "since", "cluster_id")
    cells = [
        [*(row[c] for c in shown), format_usd(row["price_micro_usd_per_hour"])] for row in rows
    ]
    table("", [*shown, "$/h"], cells)


@app.command()
def show(
    cluster: NameArgument,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show one cluster: where it is, its keys, its members and what is under way."""
    with open_control(Home.default()) as control:
        record = control.around.store.cluster(control.cluster_id_of(cluster))
        document = _row(control, record)
        target = record.target
        if target is not None:
            spread = spread_of(control.around.fleet, target.members)
            document |= {
                "where": f"{target.site_id}, fabric {target.fabric_id}: {spread_words(spread)}",
                "keys": {
                    "p_key": f"{target.keys.p_key:#06x}" if target.keys.p_key else None,
                    "compute_vni": target.keys.compute_vni,
                    "vni": target.keys.vni,
                    "subnet": target.keys.subnet,
                    "filesystem": target.keys.filesystem,
                },
                "members": [m.node_id for m in target.active_members],
                "spares": [m.node_id for m in target.members if m.role == "spare"],
            }
    if output is not Format.TABLE:
        write(document, output)
        return
    members = document.pop("members", [])
    document["price"] = format_usd(document.pop("price_micro_usd_per_hour")) + " an hour"
    more = f" and {len(members) - 4:,} more" if len(members) > 4 else ""
    pairs(document.pop("name"), {**document, "members": ", ".join(members[:4]) + more})


@app.command()
def evidence(
    cluster: NameArgument,
    output: OutputOption = Format.TABLE,
) -> None:
    """Show the proof that was kept: what was read back, proven and probed, and when."""
    with open_control(Home.default()) as control:
        cluster_id = control.cluster_id_of(cluster)
        documents = list(control.around.store.evidence(cluster_id))
    if output is not Format.TABLE:
        write(documents, output)
        return
    if not documents:
        console.print("no evidence yet: it is written when an operation ends")
    for document in documents:
        at = datetime.fromtimestamp(document["at_s"], UTC).isoformat(timespec="seconds")
        rest = {k: v for k, v in document.items() if k not in {"kind", "at_s"}}
        pairs(f"{document['kind']} at {at}", rest)


@app.command()
def files(
    cluster: NameArgument,
    to: Annotated[Path | None, typer.Option("--to", help="Folder to write to.")] = None,
) -> None:
    """Write the files that make a cluster usable: ssh, NCCL, Slurm, torchrun."""
    with open_control(Home.default()) as control:
        record = control.around.store.cluster(control.cluster_id_of(cluster))
        if record.target is None:
            raise InputError(f"cluster {record.name!r} is {record.phase.value}; it has no files")
        rendered = render_artefacts(control.around.fleet, record.target)
    if to is None:
        for file_name, text in rendered.items():
            console.print(f"{file_name}  {len(text):,} bytes")
        console.print("write them: gw cluster files NAME --to FOLDER")
        return
    to.mkdir(parents=True, exist_ok=True)
    for file_name, text in rendered.items():
        (to / file_name).write_text(text, encoding="utf-8")
    console.print(
        f"{len(rendered)} files in {to}; try: ssh -F {to / 'ssh_config'} {record.name}-0000"
    )
