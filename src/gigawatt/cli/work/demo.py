"""``gw demo``: the main job from beginning to end on a server, told to who sees it first."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from rich.rule import Rule
from rich.text import Text

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.home import DEMO_GPU_COUNT, Home
from gigawatt.app.server import APPLICATION, load_application
from gigawatt.app.service import make_first_key
from gigawatt.app.serving import Serving, serving, wait_for_ctrl_c
from gigawatt.app.wiring import open_world
from gigawatt.boundary.entries import PartitionMember
from gigawatt.boundary.target import ClusterTarget
from gigawatt.cli.output import console, count_of, pairs, paragraph, remarks, span
from gigawatt.cli.work.clusters import request_document
from gigawatt.cli.work.connect import Connection
from gigawatt.cli.work.floor import draw_with
from gigawatt.cli.work.planview import show_plan
from gigawatt.cli.work.proofs import (
    proof_of,
    reconciliation_of,
    show_proof,
    show_reconciliation,
)
from gigawatt.cli.work.rates import demo_rows
from gigawatt.cli.work.replays import show_replay
from gigawatt.cli.work.views import cannot_write, evidence_lines, files_of, save_files
from gigawatt.cli.work.watch import watch
from gigawatt.errors import InputError
from gigawatt.ids import ClusterId, FabricId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.market.demo_card import PRODUCT_PRICES
from gigawatt.sdk import Client
from gigawatt.sdk import documents as doc
from gigawatt.units import TIB

MARKER = "made-by-gw-demo"
"""A file that says that a folder's content may be thrown away."""

REQUESTS = (
    ClusterRequest(TenantId("ada"), "train", 4_000, storage_bytes=50 * TIB, spare_count=2),
    ClusterRequest(TenantId("bo"), "tune", 512),
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


def _launch(connection: Connection, request: ClusterRequest) -> doc.Cluster:
    plan = connection.client.create_plan(request_document(connection, request))
    show_plan(plan, connection.project_name(plan.project_id))
    console.print()
    started = connection.client.apply_plan(plan.id)
    assert started.operation_id is not None, "an applied plan has an operation"
    operation = watch(connection, started.operation_id, f"gw cluster watch {started.id}")
    ended = operation.finished_at or operation.started_at
    took_s = (ended - operation.started_at).total_seconds()
    console.print(f"  {request.name} is active after {span(took_s)}.")
    return connection.client.get_cluster(started.id)


def _prove(operator: Connection) -> None:
    for sentence in show_proof(operator, "read_back", proof_of(operator, "read_back")):
        paragraph(f"  {sentence}")


def _show_files(owners: Sequence[tuple[Connection, doc.Cluster]], out: Path) -> None:
    found = {}
    for connection, cluster in owners:
        found[cluster.name] = files_of(connection, cluster.id)
        save_files(found[cluster.name], out / cluster.name)
        console.print(f"{count_of(len(found[cluster.name]), 'file')} in {out / cluster.name}:")
        paragraph(f"  {', '.join(found[cluster.name])}")
    first = owners[0][1].name
    for name in SHOWN_FILES:
        lines = [line for line in found[first][name].splitlines() if line and line[0] != "#"]
        console.print(Text(f"\n{first}/{name}", style="bold"))
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


def _fault(
    served: Serving, home: Home, operator: Connection, victim_id: str, other_id: str
) -> None:
    control = served.service.control
    targets = control.snapshot().targets
    victim, other = targets[ClusterId(victim_id)], targets[ClusterId(other_id)]
    intruder = _intruder(control, victim, other)
    with open_world(home, control.around.fleet) as world:
        world.plant(intruder)
    console.print(
        f"Planted on {intruder.device}: NIC {intruder.guid:#018x} of {other.name} "
        f"in P_Key {intruder.p_key:#06x} of {victim.name}.\n"
    )
    _prove(operator)
    console.print("\nReconcile:")
    show_reconciliation(reconciliation_of(operator))
    console.print()
    _prove(operator)


def _tenant(operator: Client, url: str, name: str) -> Client:
    """A client for the one member of a new organisation that has one project."""
    owner = operator.create_organisation(name)
    project = operator.create_project(owner.id, name)
    operator.set_quota(project.id, DEMO_GPU_COUNT)
    account = operator.create_account(owner.id, doc.CreateAccount(name=name))
    key = operator.create_api_key(account.id, doc.CreateApiKey(name="demo")).key
    assert key is not None, "a new key is shown once"
    return Client(url, key)


def _set_prices(operator: Connection) -> None:
    """The illustrative rate card, so that everything has a price from the first minute on."""
    client = operator.client
    client.set_rates(doc.SetRates(rates=demo_rows(operator)))
    now = datetime.fromtimestamp(SystemClock().now_s(), UTC)
    for product, price_micro_usd in PRODUCT_PRICES.items():
        wanted = doc.CreateProductPrice(
            product=product, price_micro_usd=price_micro_usd, from_month=f"{now:%Y-%m}"
        )
        client.create_product_price(wanted)
    console.print("\nPrices are made up: an illustrative rate card, see 'gw rate list'.")


def _opening(url: str, key: str) -> None:
    console.print(
        Text(
            f"Gigawatt carves clusters out of a fleet of {DEMO_GPU_COUNT:,} GPUs (made up, "
            "like its devices).",
            style="bold",
        )
    )
    console.print(
        f"\nOpen {url} in a browser and sign in with the key below (it is the operator's)."
    )
    console.print(f"\n  {key}\n", soft_wrap=True)
    console.print(
        "There, 'Fleet map' fills as the story below goes on, and 'Launch' plans a cluster of "
        "your own.\nOr talk to the server from another terminal:\n"
    )
    console.print(f"  export GIGAWATT_SERVER={url} GIGAWATT_API_KEY={key}", soft_wrap=True)
    for line in (
        "gw cluster list",
        "gw plan more --project default --gpus 512",
        "gw price --project default --gpus 512 --for 72h",
        "gw events --limit 5",
    ):
        console.print(f"  {line}")


def _try_next(home: Home, *, is_kept: bool) -> None:
    console.print(Text("\nTry next", style="bold"))
    if not is_kept:
        console.print(f"  export GIGAWATT_HOME={home.path.resolve()}", soft_wrap=True)
    for line in (
        "gw cluster list",
        "gw plan more --project bo --gpus 6000  # why it does not fit, and what would",
        "gw cluster grow tune --gpus 64",
        "gw explain train",
        "gw cluster release train",
        "gw twin --hours 48 --seed 8 --out out/twin",
    ):
        console.print(f"  {line}")


def _story(served: Serving, home: Home, key: str, out: Path) -> None:
    """The whole life of two clusters, told as it happens."""
    with ExitStack() as stack:
        client = stack.enter_context(Client(served.url, key))
        operator = Connection(client, served.url, "")
        _set_prices(operator)
        ada, bo = (
            Connection(stack.enter_context(_tenant(client, served.url, name)), served.url, name)
            for name in ("ada", "bo")
        )
        _chapter(1, "Ada asks for 4,000 GPUs, 50 TiB and two spare nodes", _PLAN)
        train = _launch(ada, REQUESTS[0])
        _chapter(2, "Bo, another tenant, asks for 512 GPUs", _SECOND)
        tune = _launch(bo, REQUESTS[1])
        _chapter(3, "What was checked before Bo got his cluster", _EVIDENCE)
        pairs("", evidence_lines(bo.client.list_evidence(tune.id).items[0].document))
        console.print()
        _prove(operator)
        _chapter(4, "What Ada and Bo get", _FILES)
        _show_files([(ada, train), (bo, tune)], out)
        _chapter(5, "Who holds what", _MAP)
        draw_with(operator, out / "fleet.svg", out / "fleet.png")
        _chapter(6, "Somebody tampers with the fabric", _FAULT)
        _fault(served, home, operator, train.id, tune.id)
        _chapter(7, "Half a day of many tenants, in virtual time", _TWIN)
        show_replay(out)


def run(path: Path, out: Path, *, keep: bool | None) -> None:
    """Show the whole life of two clusters on a server; ``keep`` it up, or if somebody sits there.

    Raises:
        InputError: a folder cannot be used.
    """
    home = fresh_home(path)
    is_kept = sys.stdin.isatty() and sys.stdout.isatty() if keep is None else keep
    with serving(home, load_application(APPLICATION)) as served:
        key = make_first_key(served.service, "operator")
        _opening(served.url, key)
        try:
            _story(served, home, key, out)
            _try_next(home, is_kept=is_kept)
            if is_kept:
                console.print(f"\nThe server and its pages stay at {served.url}. Ctrl-C stops it.")
                wait_for_ctrl_c()
        except KeyboardInterrupt:
            remarks.print("\nStopped. What was made is still there:")
            remarks.print(f"  GIGAWATT_HOME={home.path.resolve()} gw cluster list", soft_wrap=True)


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
