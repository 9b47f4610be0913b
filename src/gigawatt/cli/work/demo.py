"""``gw demo``: the main job from beginning to end, told to somebody who sees it first."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.rule import Rule
from rich.text import Text

from gigawatt.app.control import Control
from gigawatt.app.home import DEMO_GPU_COUNT, Home
from gigawatt.app.wiring import open_control, open_world, worker_name
from gigawatt.artefacts.render import render_artefacts
from gigawatt.boundary.entries import PartitionMember
from gigawatt.boundary.target import ClusterTarget
from gigawatt.cli.output import console, count_of, pairs, paragraph, span
from gigawatt.cli.work.fleets import draw_with
from gigawatt.cli.work.planview import show_plan
from gigawatt.cli.work.proofs import show_proof, show_reconciliation
from gigawatt.cli.work.replays import show_replay
from gigawatt.cli.work.views import cannot_write, evidence_lines, save_files
from gigawatt.cli.work.watch import watch
from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, FabricId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.units import TIB

MARKER = "made-by-gw-demo"
"""A file that says that a folder's content may be thrown away."""

REQUESTS = (
    ClusterRequest(TenantId("ten_ada"), "train", 4_000, storage_bytes=50 * TIB, spare_count=2),
    ClusterRequest(TenantId("ten_bo"), "tune", 512),
)
SHOWN_FILES = ("nccl.env", "topology.conf", "ssh_config")
LINES_SHOWN = 5


def fresh_home(path: Path) -> Home:
    """A home with nothing in it; an old demo's state is thrown away, nothing else ever is.

    Raises:
        InputError: the folder holds something that no demo made.
    """
    home = Home(path, database_url=None)  # whatever is set: a demo has a store of its own
    home.make()
    marker = path / MARKER
    if any(path.iterdir()) and not marker.exists():
        raise InputError(
            f"{path} is not empty and was not made by 'gw demo'",
            next_step="Name an empty folder: gw demo --home FOLDER.",
        )
    try:
        marker.touch()
        for kept in (home.store_path, home.devices_path, home.fleet_path, home.log_path):
            for suffix in ("", "-wal", "-shm"):
                kept.with_name(kept.name + suffix).unlink(missing_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    return home


def _chapter(number: int, title: str, text: str) -> None:
    console.print()
    console.print(Rule(Text(f" {number}. {title} ", style="bold"), align="left"))
    paragraph(text)
    console.print()


def _launch(control: Control, home: Home, request: ClusterRequest) -> ClusterTarget:
    plan = control.plan_create(request)
    show_plan(plan)
    console.print()
    operation = watch(control, home, control.commit(plan))
    took_s = (operation.finished_s or operation.started_s) - operation.started_s
    console.print(f"  {request.name} is active after {span(took_s)}.")
    target = control.around.store.cluster(plan.cluster_id).target
    assert target is not None, "an active cluster has a target"
    return target


def _names(control: Control) -> dict[ClusterId, str]:
    return {c.cluster_id: f"{c.name} of {c.tenant_id}" for c in control.around.store.clusters()}


def _prove(control: Control) -> None:
    proof, seen = asyncio.run(control.prove_devices())
    for sentence in show_proof(proof, seen, _names(control), frozenset()):
        paragraph(f"  {sentence}")


def _show_files(control: Control, targets: list[ClusterTarget], out: Path) -> None:
    for target in targets:
        rendered = render_artefacts(control.around.fleet, target)
        save_files(rendered, out / target.name)
        console.print(f"{count_of(len(rendered), 'file')} in {out / target.name}:")
        paragraph(f"  {', '.join(rendered)}")
    rendered = render_artefacts(control.around.fleet, targets[0])
    for name in SHOWN_FILES:
        lines = [line for line in rendered[name].splitlines() if line and line[0] != "#"]
        console.print(Text(f"\n{targets[0].name}/{name}", style="bold"))
        for line in lines[:LINES_SHOWN]:
            console.print(f"  {line[:90]}{'…' if len(line) > 90 else ''}")
        if len(lines) > LINES_SHOWN:
            console.print(f"  … and {len(lines) - LINES_SHOWN:,} lines more")


def _intruder(control: Control, victim: ClusterTarget, other: ClusterTarget) -> PartitionMember:
    """A NIC of one cluster as a full member of another's partition."""
    fleet = control.around.fleet
    node = fleet.node_index(other.active_members[0].node_id)
    p_key = victim.keys.p_key
    assert p_key is not None, "the demo fleet has an InfiniBand fabric"
    return PartitionMember(
        fabric_id=FabricId(victim.fabric_id),
        p_key=p_key,
        guid=int(fleet.nics.guid[fleet.first_nic_of_node[node]]),
        membership="full",
    )


def _fault(control: Control, home: Home, victim: ClusterTarget, other: ClusterTarget) -> None:
    intruder = _intruder(control, victim, other)
    with open_world(home, control.around.fleet) as world:
        world.plant(intruder)
    console.print(
        f"Planted on {intruder.device}: NIC {intruder.guid:#018x} of {other.tenant_id} "
        f"in P_Key {intruder.p_key:#06x} of {victim.tenant_id}.\n"
    )
    _prove(control)
    console.print("\nReconcile:")
    show_reconciliation(asyncio.run(control.reconcile(worker_name())))
    console.print()
    _prove(control)


@contextmanager
def _own_home(home: Home) -> Iterator[None]:
    """Commands that are named on the way are about the demo's own state."""
    before = os.environ.get("GIGAWATT_HOME")
    os.environ["GIGAWATT_HOME"] = str(home.path)
    try:
        yield
    finally:
        os.environ.pop("GIGAWATT_HOME", None)
        if before is not None:
            os.environ["GIGAWATT_HOME"] = before


def _try_next(home: Home) -> None:
    console.print(Text("\nTry next", style="bold"))
    console.print(f"  export GIGAWATT_HOME={home.path.resolve()}")
    for line in (
        "gw cluster list",
        "gw plan more --gpus 6000              # why it does not fit, and what would",
        "gw cluster grow tune --tenant ten_bo --gpus 64",
        "gw explain train",
        "gw cluster release train",
        "gw twin --hours 48 --seed 8 --out out/twin",
    ):
        console.print(f"  {line}")


def run(path: Path, out: Path) -> None:
    """Show the whole life of two clusters.

    Raises:
        InputError: a folder cannot be used.
    """
    home = fresh_home(path)
    with _own_home(home), open_control(home) as control:
        console.print(
            Text(
                f"Gigawatt carves clusters out of a fleet of {DEMO_GPU_COUNT:,} GPUs (made up, "
                "like its devices).",
                style="bold",
            )
        )
        _chapter(1, "Ada asks for 4,000 GPUs, 50 TiB and two spare nodes", _PLAN)
        train = _launch(control, home, REQUESTS[0])
        _chapter(2, "Bo, another tenant, asks for 512 GPUs", _SECOND)
        tune = _launch(control, home, REQUESTS[1])
        _chapter(3, "What was checked before Bo got his cluster", _EVIDENCE)
        document = control.around.store.evidence(tune.cluster_id)[0]
        pairs("", evidence_lines(document))
        console.print()
        _prove(control)
        _chapter(4, "What Ada and Bo get", _FILES)
        _show_files(control, [train, tune], out)
        _chapter(5, "Who holds what", _MAP)
        draw_with(control, out / "fleet.svg", out / "fleet.png")
        _chapter(6, "Somebody tampers with the fabric", _FAULT)
        _fault(control, home, train, tune)
        _chapter(7, "Half a day of many tenants, in virtual time", _TWIN)
        show_replay(out)
    _try_next(home)


_PLAN = (
    "Everything is decided before anything happens: which nodes, which keys, every step. The plan "
    "is checked by code that did not make it, and then carried out wholly or not at all."
)
_SECOND = "The same again; the keys differ, the nodes are others, and nothing of Ada's is touched."
_EVIDENCE = (
    "All devices of the cluster were read back and compared with the plan; a proof decided every "
    "pair of clusters; probes tried what must work and what must not. This was kept, and below it "
    "is the same proof over both clusters, from what all devices hold now:"
)
_FILES = "Files that make the cluster usable from the first minute, all in one rank order:"
_TWIN = (
    "The digital twin replays a trace of jobs on 10,000 GPUs through the very same planner, store "
    "and executor, while devices and nodes fail by a seed. Judges check isolation and books all "
    "the way; one violation ends it. This is the longest part."
)
_MAP = "The floor as 'gw fleet map' draws it:"
_FAULT = (
    "A NIC of Bo's is put into Ada's partition behind Gigawatt's back. The proof asks the devices, "
    "not the records, so it must notice, and reconcile must take it out again."
)
