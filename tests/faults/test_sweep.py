"""Goal: whatever step fails, however it fails, the operation ends well or is wholly undone.

Method: every kind of operation runs once for every (step, kind of fault), on a real store, through
the real planner, checker, store, executor and the shipped device model. Afterwards an auditor that
shares no code with them looks at every device and every table. After Omicron's
``action_failure_can_unwind`` and its siblings: refused alone would bless a leak, so replies are
lost too; steps run twice and are undone twice; the process dies before and after each effect and
a second worker goes on.
"""

import os
import sqlite3
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from gigawatt.app.audit import Auditor
from gigawatt.app.control import Control
from gigawatt.app.ids import RandomIds
from gigawatt.boundary.entries import Entry
from gigawatt.boundary.plane import Plane
from gigawatt.boundary.render import render
from gigawatt.drivers.fake.driver import fake_drivers
from gigawatt.drivers.fake.faults import Faults
from gigawatt.drivers.fake.states import MemoryStates
from gigawatt.drivers.fake.world import DeviceWorld
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.executor.executor import Surroundings
from gigawatt.executor.policy import ExecutorPolicy
from gigawatt.fleet.demo import hgx_fleet, nvl72_fleet
from gigawatt.fleet.model import Fleet
from gigawatt.ids import DeviceId, FileSystemId, OperationId, TenantId
from gigawatt.intent.file_system import FileSystemRequest, MountWish
from gigawatt.intent.firewall import InboundRule
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.driver import Driver, Endpoint, Fence, Observation
from gigawatt.planner.configure import Configuration
from gigawatt.planner.plan import Plan
from gigawatt.store.audit import audit_database
from gigawatt.store.open import open_store_at
from gigawatt.store.raw import read_facts
from gigawatt.store.sqlite import open_store
from gigawatt.store.store import SqlStore
from gigawatt.twin.virtual_time import VirtualClock, VirtualLoop, run_virtual
from postgres_server import Server, name_in, private_server

LEASE_OVER_S = 60.0


class Crash(BaseException):
    """The process is gone."""


@dataclass
class Fault:
    """One fault: at the ``ordinal``-th driver write of the run, do ``kind``."""

    ordinal: int
    kind: str
    is_doubling_removals: bool = False
    then: tuple[int, str] | None = None
    count: int = 0
    struck: tuple[str, DeviceId, frozenset[str]] | None = None
    dead: str | None = None
    at: tuple[int, str] | None = None

    def is_dead(self, device: DeviceId) -> bool:
        """Whether the device is the dead one, or another of the dead node."""
        return self.dead is not None and device.endswith(self.dead)


@dataclass
class FaultyDriver:
    """A driver that does what a fault says and otherwise what the inner one does."""

    inner: Driver
    fault: Fault

    @property
    def plane(self) -> Plane:
        return self.inner.plane

    async def ensure(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        await self._write("ensure", self.inner.ensure, device, entries, fence)

    async def remove(self, device: DeviceId, entries: Sequence[Entry], fence: Fence) -> None:
        await self._write("remove", self.inner.remove, device, entries, fence)

    async def observe(self, devices: Collection[DeviceId]) -> Observation:
        alive = [device for device in devices if not self.fault.is_dead(device)]
        return await self.inner.observe(alive)

    async def probe(self, pairs: Sequence[tuple[Endpoint, Endpoint]]) -> tuple[bool, ...]:
        return await self.inner.probe(pairs)

    async def _write(self, name, call, device, entries, fence) -> None:
        fault = self.fault
        if fault.is_dead(device):
            raise DriverPermanentError("dead")
        fault.count += 1
        if fault.at is not None and fault.count == fault.at[0]:
            fault.dead = fault.at[1]
        if fault.then is not None and fault.count == fault.then[0]:
            fault.ordinal, fault.kind, fault.struck = fault.count, fault.then[1], None
        identity = (name, device, frozenset(repr(entry) for entry in entries))
        if fault.count == fault.ordinal:
            fault.struck = identity
        if fault.struck != identity:
            await call(device, entries, fence)
            if fault.is_doubling_removals and name == "remove":
                await call(device, entries, fence)
            return
        await getattr(self, f"_{fault.kind}")(lambda: call(device, entries, fence), fault)

    async def _refused(self, _call, _fault):
        raise DriverPermanentError("refused")

    async def _done_then_refused(self, call, _fault):
        await call()
        raise DriverPermanentError("done, then refused")

    async def _lost_reply(self, call, fault):
        await call()
        fault.struck, fault.ordinal = None, -1
        raise DriverRetryableError("reply lost")

    async def _lost_for_good(self, call, _fault):
        await call()
        raise DriverRetryableError("reply lost, again and again")

    async def _busy(self, _call, fault):
        fault.struck, fault.ordinal = None, -1
        raise DriverRetryableError("busy")

    async def _timeout(self, _call, _fault):
        raise DriverRetryableError("no answer, ever")

    async def _twice(self, call, _fault):
        await call()
        await call()

    async def _dies(self, call, fault):
        """The device answers once more; then it is dead, and with it all of its node."""
        await call()
        device = fault.struck[1]
        owner, _, name = device.partition("/")
        fault.dead = f"/{name}" if owner in {"port", "bmc", "host"} else device
        raise DriverRetryableError("dying")

    async def _crash_before(self, _call, fault):
        fault.struck, fault.ordinal = None, -1
        raise Crash

    async def _crash_after(self, call, fault):
        await call()
        fault.struck, fault.ordinal = None, -1
        raise Crash


FAULTS = (
    "refused",
    "done_then_refused",
    "lost_reply",
    "lost_for_good",
    "busy",
    "timeout",
    "twice",
    "dies",
    "crash_before",
    "crash_after",
)


@dataclass
class Place:
    """One site: a store, a device world that outlives every worker, virtual time."""

    store_place: str | Path
    store: SqlStore
    fleet: Fleet
    states: MemoryStates
    start_s: float = 1_000_000.0

    def __post_init__(self) -> None:
        self.loop = VirtualLoop()
        self.clock = VirtualClock(self.loop, self.start_s)
        self.world = DeviceWorld(self.fleet, self.states)

    def close(self) -> None:
        self.loop.close()

    def control(self, fault: Fault | None = None) -> Control:
        drivers = fake_drivers(self.world, Faults(), self.clock)
        if fault is not None:
            drivers = {plane: FaultyDriver(driver, fault) for plane, driver in drivers.items()}
        around = Surroundings(self.fleet, self.store, drivers, self.clock)
        ids = RandomIds()
        policy = ExecutorPolicy(attempt_count_max=3, lease_renewal_s=None)
        return Control(around, ids, policy)

    def entries(self) -> list[Entry]:
        return [entry for held in self.world.everything().values() for entry in held]

    def audit(self) -> tuple[str, ...]:
        facts = read_facts(self.store_place)
        return (
            *audit_database(self.store_place),
            *Auditor(self.fleet, facts).leaks(self.entries()),
        )


def run(place: Place, plan_of: Callable[[Control], Plan], control: Control) -> str:
    operation = control.commit(plan_of(control))
    return run_virtual(place.loop, control.run(operation.operation_id, "worker-1")).state


def request(name: str, gpu_count: int, **more) -> ClusterRequest:
    return ClusterRequest(TenantId(f"ten_{name}"), name, gpu_count, **more)


def launch(place: Place, name: str, gpu_count: int, **more) -> None:
    control = place.control()
    assert run(place, lambda c: c.plan_create(request(name, gpu_count, **more)), control) == "done"


def cluster_id(control: Control, name: str):
    return control.around.store.find_cluster(None, name).cluster_id


OTHER_WAYS = Configuration(
    ("192.0.2.0/24",), (), (InboundRule("tcp", (22, 22), "198.51.100.0/24"),)
)


def files(name: str) -> FileSystemRequest:
    return FileSystemRequest(TenantId("ten_files"), name, 1 << 40)


def file_system_id(control: Control, name: str) -> FileSystemId:
    found = control.snapshot().targets.values()
    return next(FileSystemId(t.cluster_id) for t in found if t.is_file_system and t.name == name)


SAGAS: dict[str, Callable[[Control], Plan]] = {
    "launch": lambda c: c.plan_create(request("new", 24, storage_bytes=1 << 40)),
    "launch_with_spare": lambda c: c.plan_create(request("new", 16, spare_count=1)),
    "launch_guest": lambda c: c.plan_create(request("new", 2, storage_bytes=1 << 30)),
    "grow": lambda c: c.plan_grow(cluster_id(c, "old"), 16),
    "shrink": lambda c: c.plan_shrink(cluster_id(c, "old"), 8),
    "replace": lambda c: c.plan_replace(
        cluster_id(c, "old"), [c.snapshot().targets[cluster_id(c, "old")].members[0].node_id]
    ),
    "release": lambda c: c.plan_release(cluster_id(c, "old")),
    "configure": lambda c: c.plan_configure(cluster_id(c, "old"), OTHER_WAYS),
    "create_files": lambda c: c.plan_create_file_system(files("more")),
    "resize_files": lambda c: c.plan_resize_file_system(file_system_id(c, "kept"), 1 << 41, None),
    "delete_files": lambda c: c.plan_delete_file_system(file_system_id(c, "kept")),
    "launch_mounting": lambda c: c.plan_create(
        ClusterRequest(
            TenantId("ten_files"), "reader", 8, mounts=(MountWish(file_system_id(c, "kept")),)
        )
    ),
    "release_mounting": lambda c: c.plan_release(cluster_id(c, "mounter")),
    "launch_roce": lambda c: c.plan_create(request("new", 8, storage_bytes=1 << 40)),
    "grow_roce": lambda c: c.plan_grow(cluster_id(c, "old"), 4),
    "release_roce": lambda c: c.plan_release(cluster_id(c, "old")),
}


def copy_states(states: MemoryStates) -> MemoryStates:
    """The same devices; what happens to the one does not happen to the other."""
    copied = MemoryStates()
    copied._states.update({device: state.copy() for device, state in states._states.items()})
    copied._history.update({device: history.copy() for device, history in states._history.items()})
    return copied


@dataclass
class Origin:
    """A place in which two tenants and a guest already live, to be copied again and again.

    One store serves all copies: opening one costs more than a whole case. Its file is set back
    with SQLite's own backup, so every worker finds the same books, and nothing but the books.
    """

    place: Place
    books: sqlite3.Connection

    @contextmanager
    def copy(self) -> Iterator[Place]:
        old = self.place
        with closing(sqlite3.connect(old.store_place)) as file:
            self.books.backup(file)
        start_s = old.start_s + old.loop.time()
        place = Place(old.store_place, old.store, old.fleet, copy_states(old.states), start_s)
        try:
            yield place
        finally:
            place.close()


OLD_NODE_COUNT = {"demo": 4, "nvl72": 2}
"""Nodes of the cluster that is there before, by fleet."""


@pytest.fixture(scope="module")
def origins() -> Iterator[dict[str, Origin]]:
    """An InfiniBand and a RoCE site, by name of the fleet."""
    with an_origin(hgx_fleet(96)) as infiniband, an_origin(nvl72_fleet(1)) as roce:
        yield {"demo": infiniband, "nvl72": roce}


@pytest.fixture
def origin(origins: dict[str, Origin], request: pytest.FixtureRequest) -> Origin:
    """The site that the saga of a test belongs to."""
    saga = getattr(request.node, "callspec", None) and request.node.callspec.params.get("saga", "")
    return origins["nvl72" if saga and saga.endswith("_roce") else "demo"]


@contextmanager
def an_origin(fleet: Fleet) -> Iterator[Origin]:
    """In memory-backed storage where there is some: every transaction syncs to disk."""
    memory = Path("/dev/shm")  # noqa: S108 - a scratch folder with an unpredictable name
    where = memory if os.access(memory, os.W_OK) else None
    with TemporaryDirectory(dir=where) as name, closing(sqlite3.connect(":memory:")) as books:
        path = Path(name) / "store.sqlite"
        place = Place(path, open_store(path), fleet, MemoryStates())
        settle(place)
        with closing(sqlite3.connect(path)) as file:
            file.backup(books)
        yield Origin(place, books)
        place.store.close()
        place.close()


def settle(place: Place) -> None:
    """Let tenants, a guest, and file systems with and without a cluster that mounts them live."""
    gpus_per_node = place.fleet.node_type(0).gpu_count
    old_count = OLD_NODE_COUNT[place.fleet.name]
    launch(place, "old", old_count * gpus_per_node, storage_bytes=1 << 40, spare_count=1)
    launch(place, "bystander", gpus_per_node, storage_bytes=1 << 40)
    launch(place, "guest", 1)
    for name in ("kept", "shared"):
        control = place.control()
        assert run(place, lambda c, name=name: c.plan_create_file_system(files(name)), control)
    mounts = (MountWish(file_system_id(place.control(), "shared")),)
    wish = ClusterRequest(TenantId("ten_files"), "mounter", gpus_per_node, mounts=mounts)
    assert run(place, lambda c: c.plan_create(wish), place.control()) == "done"


@dataclass
class PostgresOrigin:
    """The same on PostgreSQL: every copy is a clone of one database, with a store of its own."""

    place: Place
    server: Server

    @contextmanager
    def copy(self) -> Iterator[Place]:
        old = self.place
        start_s = old.start_s + old.loop.time()
        with (
            self.server.database(name_in(str(old.store_place))) as url,
            closing(open_store_at(url)) as store,
        ):
            place = Place(url, store, old.fleet, copy_states(old.states), start_s)
            try:
                yield place
            finally:
                place.close()


@pytest.fixture(scope="module")
def postgres_origins() -> Iterator[dict[str, PostgresOrigin]]:
    """The same sites on a private server; a database that is in use cannot be cloned."""
    with private_server() as server:
        made = {}
        for fleet in (hgx_fleet(96), nvl72_fleet(1)):
            url = server.new()
            with closing(open_store_at(url)) as store:
                place = Place(url, store, fleet, MemoryStates())
                settle(place)
            made[fleet.name] = PostgresOrigin(place, server)
        yield made
        for origin in made.values():
            origin.place.close()


@pytest.fixture
def postgres_origin(postgres_origins: dict[str, PostgresOrigin], saga: str) -> PostgresOrigin:
    """The site that a saga belongs to."""
    return postgres_origins["nvl72" if saga.endswith("_roce") else "demo"]


def strike(place: Place, saga: str, fault: Fault) -> str:
    """Run a saga with a fault, then let the reconciler have its turn; how it ended."""
    control = place.control(fault)
    operation = control.commit(SAGAS[saga](control))
    with suppress(BaseExceptionGroup, Crash):
        run_virtual(place.loop, control.run(operation.operation_id, "worker-1"))
    return carry_on(place, operation.operation_id)


def carry_on(place: Place, operation_id: OperationId) -> str:
    """A second worker, after the first one's lease: the reconciler resumes what was left open."""
    place.clock.start_s += LEASE_OVER_S
    control = place.control()
    run_virtual(place.loop, control.reconcile("worker-2"))
    return place.store.operation(operation_id).state


def count_writes(origin: Origin | PostgresOrigin, saga: str) -> int:
    fault = Fault(ordinal=-1, kind="none")
    with origin.copy() as place:
        assert strike(place, saga, fault) == "done"
        judge(place, f"{saga} without a fault")
    return fault.count


def clusters_complete(place: Place) -> None:
    """Everybody active has all entries, and the bystanders are active."""
    records = place.store.snapshot(place.clock.now_s()).clusters.values()
    held = {(entry.device, entry.key): entry for entry in place.entries()}
    active = {record.name for record in records if record.phase == "active"}
    assert {"bystander", "guest", "shared"} <= active
    for record in records:
        if record.phase == "active" and record.target is not None:
            for entry in render(place.fleet, record.target):
                assert held.get((entry.device, entry.key)) == entry


def judge(place: Place, case: str) -> None:
    """Nothing leaked, nobody else was touched, and who is active is whole."""
    assert place.audit() == (), case
    left = place.store.snapshot(place.clock.now_s())
    assert left.tombstones == (), case
    assert place.store.open_operations() == (), case
    clusters_complete(place)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("saga", SAGAS)
def test_every_step_with_every_fault(origin, saga, kind, record_property):
    ends: Counter[str] = Counter()
    for ordinal in range(1, count_writes(origin, saga) + 1):
        with origin.copy() as place:
            case = f"{saga}: {kind} at write {ordinal}"
            end = strike(place, saga, Fault(ordinal, kind))
            assert end in {"done", "unwound"}, case
            judge(place, case)
            ends[end] += 1
    record_property("cases", sum(ends.values()))
    record_property("ends", dict(ends))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("saga", ["launch", "launch_guest", "launch_mounting", "grow"])
def test_every_undo_runs_twice(origin, saga, record_property):
    writes = count_writes(origin, saga)
    record_property("cases", writes)
    for ordinal in range(1, writes + 1):
        with origin.copy() as place:
            fault = Fault(ordinal, "done_then_refused", is_doubling_removals=True)
            assert strike(place, saga, fault) in {"done", "unwound"}
            judge(place, f"{saga}: undone twice after write {ordinal}")


@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["crash_before", "crash_after", "lost_reply"])
def test_every_undo_step_with_a_second_fault(origin, kind, record_property):
    """The last step of a launch fails for good; then each write of its undo goes wrong too."""
    last = count_writes(origin, "launch")
    with origin.copy() as place:
        first = Fault(last, "done_then_refused")
        assert strike(place, "launch", first) == "unwound"
    record_property("cases", first.count - last)
    for ordinal in range(last + 1, first.count + 1):
        with origin.copy() as place:
            fault = Fault(last, "done_then_refused", then=(ordinal, kind))
            assert strike(place, "launch", fault) == "unwound"
            judge(place, f"launch: {kind} at undo write {ordinal}")


def test_the_death_of_a_bmc_leaves_a_tombstone_until_it_is_seen_without(origin, record_property):
    """At every moment of a release: it ends, the node is out of service, nothing is forgotten."""
    with origin.copy() as place:
        node_id = place.store.find_cluster(None, "old").target.members[0].node_id
    cases = 0
    for ordinal in range(1, count_writes(origin, "release") + 1):
        with origin.copy() as place:
            fault = Fault(-1, "none", dead=f"bmc/{node_id}" if ordinal == 1 else None)
            if ordinal > 1:
                fault.at = (ordinal, f"bmc/{node_id}")
            control = place.control(fault)
            operation = control.commit(SAGAS["release"](control))
            run_virtual(place.loop, control.run(operation.operation_id, "worker-1"))
            snapshot = place.store.snapshot(place.clock.now_s())
            assert place.audit() == ()
            if snapshot.tombstones:
                cases += 1
                assert {t.entry.device for t in snapshot.tombstones} == {f"bmc/{node_id}"}
                assert snapshot.node_states[node_id][0] == "quarantined"
            assert carry_on(place, operation.operation_id) == "done"
            judge(place, f"release: the BMC dies at write {ordinal}")
    assert cases > 0
    record_property("cases", cases)


def test_a_node_that_dies_for_good_is_replaced_by_the_spare(origin, record_property):
    """At every write of a launch to a device of its own; the launch ends at once and well."""
    writes = count_writes(origin, "launch_with_spare")
    replaced = 0
    for ordinal in range(1, writes + 1):
        with origin.copy() as place:
            fault = Fault(ordinal, "dies")
            control = place.control(fault)
            operation = control.commit(SAGAS["launch_with_spare"](control))
            ended = run_virtual(place.loop, control.run(operation.operation_id, "worker-1"))
            assert place.audit() == ()
            if fault.dead is not None and fault.dead.startswith("/"):
                replaced += 1
                assert ended.state == "done"
                target = place.store.cluster(operation.cluster_id).target
                assert fault.dead[1:] not in {m.node_id for m in target.members}
            carry_on(place, operation.operation_id)
            judge(place, f"launch_with_spare: node dies at write {ordinal}")
    assert replaced > writes // 2
    record_property("cases", writes)


SAMPLE = {
    saga: [FAULTS[(index + offset) % len(FAULTS)] for offset in (0, 4, 8)]
    for index, saga in enumerate(SAGAS)
}
"""Three kinds of fault for each saga, all nine over all sagas."""


@pytest.mark.postgres
@pytest.mark.timeout(600)
@pytest.mark.parametrize("saga", SAGAS)
def test_a_sample_of_steps_and_faults_on_postgresql(postgres_origin, saga):
    """For each saga three kinds of fault, one each at the first, a middle and the last write."""
    last = count_writes(postgres_origin, saga)
    for kind, ordinal in zip(SAMPLE[saga], (1, (1 + last) // 2, last), strict=True):
        strike_and_judge(postgres_origin, saga, Fault(ordinal, kind))


@pytest.mark.postgres
@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("kind", FAULTS)
@pytest.mark.parametrize("saga", SAGAS)
def test_every_step_with_every_fault_on_postgresql(postgres_origin, saga, kind):
    for ordinal in range(1, count_writes(postgres_origin, saga) + 1):
        strike_and_judge(postgres_origin, saga, Fault(ordinal, kind))


def strike_and_judge(origin: PostgresOrigin, saga: str, fault: Fault) -> None:
    case = f"{saga} on PostgreSQL: {fault.kind} at write {fault.ordinal}"
    with origin.copy() as place:
        assert strike(place, saga, fault) in {"done", "unwound"}, case
        judge(place, case)
