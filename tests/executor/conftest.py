"""One site in virtual time for the tests of the executor: a store on a file, a fake world."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gigawatt.app.audit import Auditor
from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.boundary.entries import Entry
from gigawatt.boundary.proof import prove
from gigawatt.boundary.render import render
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.latency import NO_LATENCY, Latency
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.executor.reconcile import Reconciliation
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import ClusterId, NodeId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.store import ClusterRecord, OperationRecord
from gigawatt.planner.plan import Plan
from gigawatt.store.audit import audit_database
from gigawatt.store.raw import read_facts
from gigawatt.store.sqlite import open_store
from gigawatt.twin.virtual_time import VirtualClock, VirtualLoop, run_virtual

POLICY = ExecutorPolicy(attempt_count_max=3)


@dataclass
class Site:
    """A fleet, its store, its devices, and a control plane over them."""

    folder: Path
    fleet: Fleet
    latency: Latency = NO_LATENCY
    policy: ExecutorPolicy = POLICY
    faults: Faults = field(default_factory=Faults)

    def __post_init__(self) -> None:
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, 1_000_000.0)
        self.world = DeviceWorld(self.fleet)
        self.store = open_store(self.folder / "store.sqlite")
        drivers = fake_drivers(self.world, self.faults, self.clock, self.latency)
        around = Surroundings(self.fleet, self.store, drivers, self.clock)
        self.control = Control(around, CountingIds(), self.policy)

    def close(self) -> None:
        self.store.close()
        self.loop.close()

    def run(self, work):
        """The result of a coroutine, in virtual time."""
        return run_virtual(self.loop, work)

    def carry_out(self, plan: Plan, worker: str = "worker-1") -> OperationRecord:
        operation = self.control.commit(plan)
        return self.run(self.control.run(operation.operation_id, worker))

    def plan(self, name: str, gpu_count: int, **more) -> Plan:
        request = ClusterRequest(TenantId(f"ten_{name}"), name, gpu_count, **more)
        return self.control.plan_create(request, with_alternatives=False)

    def launch(self, name: str, gpu_count: int, **more) -> ClusterId:
        operation = self.carry_out(self.plan(name, gpu_count, **more))
        assert operation.state == "done", operation.error
        return operation.cluster_id

    def release(self, cluster_id: ClusterId) -> OperationRecord:
        return self.carry_out(self.control.plan_release(cluster_id))

    def reconcile(self, after_s: float = 60.0) -> Reconciliation:
        self.clock.start_s += after_s
        return self.run(self.control.reconcile("reconciler"))

    def cluster(self, cluster_id: ClusterId) -> ClusterRecord:
        return self.store.cluster(cluster_id)

    def nodes(self, cluster_id: ClusterId) -> list[NodeId]:
        target = self.cluster(cluster_id).target
        assert target is not None
        return [member.node_id for member in target.members]

    def quarantined(self) -> set[NodeId]:
        return set(self.store.snapshot(self.clock.now_s()).node_states)

    def entries(self) -> list[Entry]:
        return [entry for held in self.world.everything().values() for entry in held]

    def leaks(self) -> tuple[str, ...]:
        """What independent auditors say of store and devices."""
        path = self.folder / "store.sqlite"
        auditor = Auditor(self.fleet, read_facts(path))
        return (*audit_database(path), *auditor.leaks(self.entries()))

    def wanting(self, cluster_id: ClusterId, but: Collection[NodeId] = ()) -> list[str]:
        """Entries of a cluster that are not on their devices, those of some nodes left out."""
        target = self.cluster(cluster_id).target
        assert target is not None
        held = {(entry.device, entry.key): entry for entry in self.entries()}
        return [
            f"{entry.device} {entry.key}"
            for entry in render(self.fleet, target)
            if held.get((entry.device, entry.key)) != entry
            and not any(node in entry.device or node in entry.key for node in but)
        ]

    def assert_sound(self) -> None:
        """Nothing leaked; every active cluster is whole; all that is on devices is proven."""
        assert self.leaks() == ()
        snapshot = self.store.snapshot(self.clock.now_s())
        for cluster_id, record in snapshot.clusters.items():
            if record.phase == "active":
                assert self.wanting(cluster_id) == []
        targets = [c.target for c in snapshot.clusters.values() if c.target is not None]
        buried = [(t.entry.device, t.entry.key) for t in snapshot.tombstones]
        proof = prove(self.fleet, targets, self.entries(), buried=buried, scope="read_back")
        assert proof.is_isolated, proof.violations


@pytest.fixture
def make_site(tmp_path: Path) -> Iterator[Callable[..., Site]]:
    """Makes sites; all are closed in the end."""
    sites: list[Site] = []

    def make(fleet: Fleet | None = None, **more) -> Site:
        folder = tmp_path / f"site-{len(sites)}"
        folder.mkdir()
        sites.append(Site(folder, fleet or hgx_fleet(128), **more))
        return sites[-1]

    yield make
    for site in sites:
        site.close()


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site of 16 nodes."""
    return make_site()
