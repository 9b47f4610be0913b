"""Goal: whatever breaks while a cluster comes or goes, no other tenant is ever reached by it.

Method: a whole lab with all five planes for real. Tenant A's cluster stands; tenant B's is created
and released, and in the middle of both something breaks: a daemon, a link, a BMC, a disk, a host,
the control plane. All the while ``LabWatch`` looks on every plane, past our drivers, whether B
reaches A. What broke is mended, and the change ends as it should or was refused with the cause
named. In the end the components' own tools show nothing of B, and A as it was.
"""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic

import pytest
from fault_lab import A_NODES, B_NODES, ENDED, GONE, SPARE, FaultLab
from lab_watch import LabWatch, leave_mark, machine_of, proxies

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.opensm.subnet import hang_up
from gigawatt.lab.audit_scene import Leftover
from gigawatt.lab.network.underlay import silent_neighbours, start_daemon
from gigawatt.lab.oob import control_of
from gigawatt.lab.redfish.faults import Faults
from gigawatt.sdk import documents as doc

pytestmark = [pytest.mark.lab, pytest.mark.slow, pytest.mark.timeout(300)]

RAIL = 4
BROKEN_S_MAX = 12.0
"""What is broken is mended after this time, or when the operation has ended."""
TABLE_VARIABLE = "GIGAWATT_FAULTS_TABLE"
"""File to which what was seen is written, a line of JSON for each case."""
HOLD, CLOSE, BOOT, STOP, ISOLATE = (
    "hold the hosts",
    "close the planes",
    "boot the hosts",
    "stop the hosts",
    "isolate on the planes",
)

Act = Callable[[FaultLab], None]


@dataclass(frozen=True)
class Fault:
    """Something that breaks.

    Fields:
        after: stages, of the create and of the release, after whose end it breaks.
        may_lead_to: states of the cluster that a create may end in.
    """

    name: str
    break_it: Act
    mend: Act
    after: tuple[str, str] = (HOLD, STOP)
    may_lead_to: frozenset[str] = frozenset({"active", "failed"})
    nodes: tuple[int, ...] = B_NODES
    spare_count: int = 0


def nothing(_: FaultLab) -> None:
    """Gigawatt itself mends it, or the next pass of its reconciler."""


def console(line: Callable[[FaultLab], str]) -> Act:
    """A line for the simulator of one rail."""
    return lambda lab: lab.subnets[RAIL].console(line(lab))


def nic(lab: FaultLab) -> str:
    return f'"H-{lab.guid(B_NODES[0], RAIL) - 1:016x}"'


def fabric_switch(lab: FaultLab, *, is_spine: bool) -> str:
    fleet, leaf_guid = lab.lab.fleet, lab.subnets[RAIL].leaf_guids[0]
    row = fleet.switches.guid.tolist().index(leaf_guid)
    if is_spine:
        row = int(fleet.links.upper[fleet.links.lower.tolist().index(row)])
    return f'"S-{int(fleet.switches.guid[row]):016x}"'


def kill_manager(lab: FaultLab) -> None:
    manager = lab.subnets[RAIL].managers[0]
    manager.kill()
    manager.wait()


def start_manager(lab: FaultLab) -> None:
    subnet = lab.subnets[RAIL]
    subnet.start_manager(lab.folder.path / "ib0" / "partitions.conf")
    lab.until(lambda: "SUBNET UP" in subnet.log(), "OpenSM")


def links(switch: str, names: tuple[str, ...], state: str) -> Act:
    def act(lab: FaultLab) -> None:
        for name in names:
            lab.run("ip", "link", "set", name, state, where=switch)
        if state == "up" and switch.startswith(("leaf", "spine")):
            lab.until(lambda: not silent_neighbours(lab.lab, switch), "its neighbours")

    return act


def kill_bgpd(lab: FaultLab) -> None:
    lab.kill("leaf0-bgpd")


def start_bgpd(lab: FaultLab) -> None:
    start_daemon(lab.lab, "leaf0", "bgpd")
    lab.until(lambda: not silent_neighbours(lab.lab, "leaf0"), "the neighbours of leaf0")


def bmc(faults: Faults) -> Act:
    return lambda lab: control_of(lab.lab).set_faults(lab.node_id(B_NODES[0]), faults)


def kill_machine(lab: FaultLab) -> None:
    lab.until(lambda: machine_of(B_NODES[0]) is not None, "the machine")
    pid = machine_of(B_NODES[0])
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


def disk(lab: FaultLab) -> Path:
    return lab.folder.path / "storage" / lab.lab.fleet.storage_pools.ids[0]


def exports_of_b(lab: FaultLab) -> list[str]:
    """Export processes of any cluster but A."""
    lines = lab.run("ps", "-eo", "pid=,args=").splitlines()
    found = [line.split() for line in lines if "bindfs" in line and "/exports/" in line]
    return [words[0] for words in found if f"/exports/{lab.a_vni}/" not in " ".join(words)]


def kill_exports(lab: FaultLab) -> None:
    lab.until(lambda: exports_of_b(lab) != [], "an export")
    for pid in exports_of_b(lab):
        os.kill(int(pid), signal.SIGKILL)


def fill_storage(lab: FaultLab) -> None:
    filler = disk(lab) / "disk" / "filler"
    lab.run(
        "sh",
        "-c",
        f"fallocate -l 8G {filler} || fallocate -l $(df --output=avail -B1"
        f" {disk(lab) / 'disk'} | tail -1) {filler} || true",
    )


def empty_storage(lab: FaultLab) -> None:
    (disk(lab) / "disk" / "filler").unlink(missing_ok=True)
    lab.run("sync", "-f", str(disk(lab) / "disk"))


def fill_home(lab: FaultLab) -> None:
    lab.run("sh", "-c", f"cat /dev/zero > {lab.folder.home.path}/filler || true")


def empty_home(lab: FaultLab) -> None:
    (lab.folder.home.path / "filler").unlink(missing_ok=True)


def kill_control_plane(lab: FaultLab) -> None:
    lab.kill("control")


BARE = (
    Fault("OpenSM killed, no standby", kill_manager, start_manager),
    Fault(
        "InfiniBand link of a host cut",
        console(lambda lab: f"Unlink {nic(lab)}"),
        console(lambda lab: f"ReLink {nic(lab)}"),
    ),
    Fault(
        "InfiniBand spine cut",
        console(lambda lab: f"Unlink {fabric_switch(lab, is_spine=True)}"),
        console(lambda lab: f"ReLink {fabric_switch(lab, is_spine=True)}"),
    ),
    Fault(
        "InfiniBand leaf cut",
        console(lambda lab: f"Unlink {fabric_switch(lab, is_spine=False)}"),
        console(lambda lab: f"ReLink {fabric_switch(lab, is_spine=False)}"),
    ),
    Fault(
        "leaf cut off",
        links("leaf0", ("fab0", "fab1"), "down"),
        links("leaf0", ("fab0", "fab1"), "up"),
    ),
    Fault(
        "spine cut off",
        links("spine0", ("down0", "down1", "down2"), "down"),
        links("spine0", ("down0", "down1", "down2"), "up"),
    ),
    Fault(
        "link of a host cut",
        links(f"node{B_NODES[0]}", ("eth0",), "down"),
        links(f"node{B_NODES[0]}", ("eth0",), "up"),
    ),
    Fault("bgpd of a leaf killed", kill_bgpd, start_bgpd),
    Fault("BMC hangs", bmc(Faults(hangs="request")), bmc(Faults())),
    Fault("BMC lies", bmc(Faults(lies=True)), bmc(Faults())),
    Fault(
        "BMC hangs, with a spare node",
        bmc(Faults(hangs="request")),
        bmc(Faults()),
        nodes=(*B_NODES, SPARE),
        spare_count=1,
    ),
    Fault("machine killed", kill_machine, nothing, after=(CLOSE, "")),
    Fault("storage server's exports killed", kill_exports, nothing, after=(CLOSE, "")),
    Fault("storage full", fill_storage, empty_storage),
    Fault("disk of the control plane full", fill_home, empty_home),
    Fault(
        "control plane killed",
        kill_control_plane,
        FaultLab.start_control_plane,
        may_lead_to=frozenset({"active"}),
    ),
)


@dataclass
class Seen:
    """What a change came to."""

    fault: str
    change: str
    outcome: str = ""
    cause: str = ""
    broken_s: float = 0.0
    took_s: float = 0.0
    passes: int = 0
    samples: dict[str, int] = field(default_factory=dict)
    leaks: int = 0
    load: float = 0.0


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> Iterator[FaultLab]:
    lab = FaultLab(tmp_path_factory.mktemp("faults") / "lab")
    try:
        made = lab.a.create_cluster(lab.request("a", lab.a_project, A_NODES))
        lab.until(lambda: lab.operation(made.id).state in ENDED, "A's cluster")
        a = lab.a.get_cluster(made.id)
        assert a.state == "active", a.state_reason
        assert a.status is not None
        lab.a_id, lab.a_vni = a.id, a.status.keys.vni
        (lab.a_proxy,) = proxies()
        leave_mark(A_NODES[0])
        lab.a_alone = lab.audit()
        yield lab
    finally:
        lab.close()


@pytest.fixture
def lab(started: FaultLab) -> Iterator[FaultLab]:
    """A stands, nothing of B is there (each test ends so), and every node is fit."""
    yield started
    for act in (empty_home, empty_storage, bmc(Faults())):
        act(started)


def leftovers(lab: FaultLab) -> list[Leftover]:
    """Everything of anybody but A that the components' own tools show, and what A has lost."""
    now = lab.audit()
    # Hosts that run write files all the time.
    own = {lab.node_id(row) for row in A_NODES}
    come = {x for x in now - lab.a_alone if not any(name in x.where for name in own)}
    gone = {x for x in lab.a_alone - now if x.plane != Plane.HOST}
    return sorted(come | gone)


class Change:
    """A create or a release of B's cluster that something breaks into."""

    def __init__(self, lab: FaultLab, fault: Fault, watch: LabWatch, change: str) -> None:
        self._lab, self._fault, self._watch = lab, fault, watch
        self.seen = Seen(fault.name, change, load=os.getloadavg()[0])

    def run(self, cluster_id: str, after: str) -> doc.Cluster:
        """Break it after a stage, mend it, and carry the change to its end."""
        lab, began_s = self._lab, monotonic()
        self._until_after(cluster_id, after)
        broken_s = monotonic()
        self._fault.break_it(lab)
        self._wait_broken(cluster_id, broken_s + BROKEN_S_MAX)
        self.seen.broken_s = round(monotonic() - broken_s, 1)
        self._fault.mend(lab)
        cluster = self._carried_on(cluster_id)
        mended_s = monotonic()
        lab.until(lambda: not self._watch.unseen(mended_s), lambda: self._watch.unseen(mended_s))
        self.seen.took_s = round(mended_s - began_s, 1)
        self.seen.outcome = cluster.state
        self.seen.samples = {
            verdict: sum(n for (_, v), n in self._watch.count(began_s).items() if v == verdict)
            for verdict in ("apart", "inside", "silent")
        }
        self.seen.leaks = len(self._watch.leaks)
        note(self.seen)
        assert self._watch.leaks == []
        assert self._watch.errors == []
        return cluster

    def _until_after(self, cluster_id: str, stage: str) -> None:
        """Follow the operation until the stage has ended, or the operation has."""

        def is_past() -> bool:
            operation = self._lab.operation(cluster_id)
            stages = [s for s in operation.stages or [] if s.name == stage]
            return operation.state in ENDED or all(s.done_count == s.step_count for s in stages)

        self._lab.until(is_past, f"the end of '{stage}'")

    def _wait_broken(self, cluster_id: str, until_s: float) -> None:
        """Until the operation has ended, or that long."""

        def is_over() -> bool:
            if self._lab.lab.programs["control"].poll() is not None:
                return True
            is_ended = self._lab.operation(cluster_id).state in ENDED
            return is_ended or monotonic() > until_s

        self._lab.until(is_over, "the operation")

    def _carried_on(self, cluster_id: str) -> doc.Cluster:
        """As an operator would: wait; where it is stuck, let the reconciler pass."""
        lab = self._lab
        for _ in range(6):
            lab.until(lambda: lab.operation(cluster_id).state in ENDED, "the operation to end")
            self._note_cause(lab.operation(cluster_id))
            cluster = lab.operator.get_cluster(cluster_id)
            if cluster.state in {"active", *GONE}:
                return cluster
            self.seen.passes += 1
            lab.reconciled()
        pytest.fail(f"still {cluster.state}: {cluster.state_reason}; {lab.operation(cluster_id)}")

    def _note_cause(self, operation: doc.Operation) -> None:
        failure = operation.failure
        causes = [step.cause for step in failure.steps] if failure else []
        self.seen.cause = self.seen.cause or next(iter(causes), "") or operation.state_reason


def note(seen: Seen) -> None:
    """Keep what was seen, where somebody asked for it."""
    path = os.environ.get(TABLE_VARIABLE)
    if path:
        with Path(path).open("a") as file:
            file.write(json.dumps(asdict(seen)) + "\n")


def fit_again(lab: FaultLab, rows: tuple[int, ...]) -> None:
    """Nodes that were taken out of service come back as an operator brings them back."""
    lab.reconciled()
    for row in rows:
        node = lab.operator.get_node(lab.node_id(row))
        if node.state == "quarantined":
            lab.operator.return_node(node.id, "mended")


def create(lab: FaultLab, fault: Fault) -> str:
    return lab.b.create_cluster(lab.request("b", lab.b_project, fault.nodes, fault.spare_count)).id


@pytest.mark.parametrize("fault", BARE, ids=lambda fault: fault.name.replace(" ", "-"))
def test_what_breaks_in_the_middle_opens_nothing(lab: FaultLab, fault: Fault):
    with LabWatch(lab, a_proxy=lab.a_proxy) as watch:
        cluster_id = create(lab, fault)
        change = Change(lab, fault, watch, "create")
        cluster = change.run(cluster_id, fault.after[0])
        assert cluster.state in fault.may_lead_to, cluster.state_reason
        if cluster.state == "failed":
            assert change.seen.cause
            assert leftovers(lab) == []
            fit_again(lab, fault.nodes)
            cluster_id = create(lab, fault)
            lab.until(lambda: lab.operation(cluster_id).state in ENDED, "a create in peace")
            cluster = lab.operator.get_cluster(cluster_id)
        assert cluster.state == "active", cluster.state_reason
        lab.b.release_cluster(cluster_id)
        cluster = Change(lab, fault, watch, "release").run(cluster_id, fault.after[1])
        assert cluster.state == "released"
    fit_again(lab, fault.nodes)
    assert leftovers(lab) == []
    assert lab.operator.get_cluster(lab.a_id).state == "active"


@contextmanager
def planted_partition(lab: FaultLab) -> Iterator[None]:
    """B's port in A's partition, by hand."""
    path = lab.folder.path / "ib0" / "partitions.conf"
    kept = path.read_bytes()
    own, other = (f"{lab.guid(row, RAIL):#018x}".encode() for row in (A_NODES[0], B_NODES[0]))
    edited = kept.replace(own + b"=full", other + b"=full, " + own + b"=full")
    assert edited != kept
    path.write_bytes(edited)
    hang_up(lab.subnets[RAIL].subnet)
    yield
    path.write_bytes(kept)
    hang_up(lab.subnets[RAIL].subnet)


@contextmanager
def planted_switch_port(lab: FaultLab) -> Iterator[None]:
    """B's switch port in A's network."""
    switch_port = lab.lab.layout.leaf_port(B_NODES[0], 0)
    move = ("ip", "link", "set", switch_port, "master")
    lab.run(*move, f"br{lab.a_vni}", where="leaf0")
    yield
    lab.run(*move, f"br{lab.vni('b')}", where="leaf0")


@contextmanager
def planted_route(lab: FaultLab) -> Iterator[None]:
    """B's proxy let through to A's BMC."""
    (proxy,) = set(proxies()) - {lab.a_proxy}
    layout = lab.lab.layout
    name, address = layout.bmc_namespace(A_NODES[0]), layout.bmc_address(A_NODES[0])
    elements = {
        "allow": f'{{ "mgmt" . {proxy} . {address} }}',
        "back": f'{{ "{name}" . {address} . {proxy} }}',
    }
    for action in ("add", "delete"):
        for rules, element in elements.items():
            words = ("nft", action, "element", "bridge", "gigawatt_oob", rules, element)
            lab.run(*words, where="oob")
        if action == "add":
            yield


@contextmanager
def planted_export(lab: FaultLab) -> Iterator[None]:
    """A's file system among B's exports."""
    exports = disk(lab) / "exports"
    (a_export,) = (exports / str(lab.a_vni)).iterdir()
    target = exports / str(lab.vni("b")) / "999"
    target.mkdir()
    lab.run("mount", "--bind", str(a_export), str(target))
    yield
    lab.run("umount", str(target))
    target.rmdir()


def has_leak(watch: LabWatch, plane: str) -> bool:
    return any(leak.plane == plane for leak in watch.leaks)


def test_a_planted_leak_of_every_plane_is_seen(lab: FaultLab):
    cluster_id = create(lab, BARE[0])
    lab.until(lambda: lab.operation(cluster_id).state in ENDED, "B's cluster")
    plants = {
        "fabric": planted_partition,
        "in_band": planted_switch_port,
        "out_of_band": planted_route,
        "storage": planted_export,
    }
    with LabWatch(lab, a_proxy=lab.a_proxy) as watch:
        lab.until(lambda: not watch.unseen(0.0), lambda: watch.unseen(0.0))
        assert watch.leaks == []
        for plane, plant in plants.items():
            before = {leak.plane for leak in watch.leaks}
            assert plane not in before
            with plant(lab):
                lab.until(partial(has_leak, watch, plane), f"the leak: {plane}")
    assert watch.errors == []
    assert {leak.plane for leak in watch.leaks} >= {*plants, "tables"}
    lab.b.release_cluster(cluster_id)
    lab.until(lambda: lab.operation(cluster_id).state in ENDED, "its release")
    fit_again(lab, B_NODES)
    assert leftovers(lab) == []
