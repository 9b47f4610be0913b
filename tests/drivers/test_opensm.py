"""Goal: on a real OpenSM, tenants are apart whatever befalls the file, the driver or the manager.

Method: ibsim simulates 128 ports in two subnets, and two OpenSM read one partitions.conf. The
oracle is the subnet managers' own PathRecord, asked for pairs of ports, and the P_Key tables of
hosts and leaves. The executor carves two clusters; the file is broken in every way that opens an
OpenSM; the driver is killed at its worst moments; managers are stopped and killed.
"""

import asyncio
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import combinations, permutations
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gigawatt.app.clock import SystemClock
from gigawatt.app.control import Control
from gigawatt.app.ids import CountingIds
from gigawatt.boundary.entries import DEFAULT_P_KEY, PartitionMember
from gigawatt.boundary.plane import Plane
from gigawatt.drivers.fake import DeviceWorld, Faults, fake_drivers
from gigawatt.drivers.fake.probe import _share
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.driver import OpensmDriver, Patience
from gigawatt.drivers.opensm.fabric_reader import FabricReader
from gigawatt.errors import DriverPermanentError, DriverRetryableError
from gigawatt.executor.executor import Surroundings
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.ids import ClusterId, TenantId
from gigawatt.intent.request import ClusterRequest
from gigawatt.interfaces.driver import OPERATOR, Endpoint, Fence
from gigawatt.lab.fabric import TOOL_PATH, client_environment, missing_tools
from gigawatt.store.sqlite import open_store
from gigawatt.units import PIB
from running_fabric import RunningFabric

pytestmark = [
    pytest.mark.ibsim,
    pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed"),
]

FLEET = build_fleet(
    "lab",
    [
        BlockSpec(
            site_id="s",
            country="US",
            hall_id="h",
            node_type=HGX_H100,
            node_count=16,
            node_prefix="h",
            fabric_id="ib0",
            storage_bytes=PIB,
            nodes_per_leaf_group=8,
            leaf_groups_per_pod=1,
        )
    ],
)
A, B = ClusterId("clu_a"), ClusterId("clu_b")
PORT_PAIR_COUNT = 128 * 63
"""Ordered pairs of ports of one subnet."""


@pytest.fixture(scope="module")
def started() -> Iterator[RunningFabric]:
    running = RunningFabric(FLEET)
    try:
        running.emptied()
        yield running
    finally:
        running.close()


@pytest.fixture
def fabric(started: RunningFabric) -> RunningFabric:
    started.emptied()
    return started


def guid(node: int, rail: int) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])


def whole(p_key: int, nodes: range) -> list[PartitionMember]:
    return [PartitionMember("ib0", p_key, guid(n, r), "full") for n in nodes for r in range(8)]


def ensure(fabric: RunningFabric, entries, fence: Fence) -> None:
    asyncio.run(fabric.driver.ensure(fabric.device, entries, fence))


def remove(fabric: RunningFabric, entries, fence: Fence) -> None:
    asyncio.run(fabric.driver.remove(fabric.device, entries, fence))


def two_tenants(fabric: RunningFabric) -> None:
    ensure(fabric, whole(0x10, range(2)), Fence(A, 1))
    ensure(fabric, whole(0x11, range(2, 4)), Fence(B, 1))


ACROSS = [(guid(a, r), guid(b, r)) for a in range(2) for b in range(2, 4) for r in range(8)]
WITHIN = [(guid(n, r), guid(n + 1, r)) for n in (0, 2) for r in range(8)]


def assert_apart(fabric: RunningFabric) -> None:
    assert all(fabric.paths(WITHIN))
    assert not any(fabric.paths(ACROSS))


def test_two_clusters_are_carved_by_the_executor_and_leave_nothing(fabric, tmp_path):
    clock = SystemClock()
    store = open_store(tmp_path / "store.sqlite")
    drivers = fake_drivers(DeviceWorld(FLEET), Faults(), clock)
    drivers[Plane.FABRIC] = fabric.driver
    control = Control(Surroundings(FLEET, store, drivers, clock), CountingIds())
    clusters = []
    for name in ("one", "two"):
        request = ClusterRequest(TenantId(f"ten_{name}"), name, 24)
        operation = control.commit(control.plan_create(request, with_alternatives=False))
        done = asyncio.run(control.run(operation.operation_id, "worker"))
        assert done.state == "done", done.error
        clusters.append(store.cluster(done.cluster_id))
    owner = {
        int(g): cluster.target.keys.p_key
        for cluster in clusters
        for member in cluster.target.members
        for g in FLEET.nics.guid[FLEET.nics.node == FLEET.nodes.index_of[member.node_id]]
    }
    assert len(owner) == 48
    pairs = [p for s in fabric.lab.fabric.subnets for p in permutations(sorted(s.guids), 2)]
    assert len(pairs) == PORT_PAIR_COUNT
    expected = [owner.get(a, -1) == owner.get(b, -2) for a, b in pairs]
    assert fabric.paths(pairs) == expected
    for port in fabric.ports():
        wanted = {0x7FFF} | ({owner[port.guid] | 0x8000} if port.guid in owner else set())
        assert port.host == port.leaf == wanted
    proof, _ = asyncio.run(control.prove_devices())
    assert proof.is_isolated, proof.violations
    asked_by_saquery(fabric, [pairs[expected.index(True)], pairs[expected.index(False)]])
    for cluster in clusters:
        operation = control.commit(control.plan_release(cluster.cluster_id))
        assert asyncio.run(control.run(operation.operation_id, "worker")).state == "done"
    assert fabric.tables() == {frozenset({0x7FFF})}
    assert not any(fabric.paths(pairs))
    assert fabric.file.read().by_p_key == {}
    store.close()


def asked_by_saquery(fabric: RunningFabric, pairs: list[tuple[int, int]]) -> None:
    """The same question by a tool that is not ours: the first pair has a path, the second none."""
    for (a, b), words in zip(pairs, ("dlid", ""), strict=True):
        subnet = next(s for s in fabric.lab.subnets if a in s.subnet.guids)
        gids = [
            f"fe80::{g >> 48:x}:{g >> 32 & 0xFFFF:x}:{g >> 16 & 0xFFFF:x}:{g & 0xFFFF:x}"
            for g in (a, b)
        ]
        said = subprocess.run(
            ["saquery", "-C", "ibsim0", "PR", "--sgid", gids[0], "--dgid", gids[1]],
            env={"PATH": TOOL_PATH, **subnet.subnet.environment},
            cwd=subnet.folder,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        ).stdout
        assert ("dlid" in said) == bool(words), said


def test_a_partial_change_keeps_the_others_and_a_repeat_sends_nothing(fabric):
    two_tenants(fabric)
    before = fabric.file.path.stat().st_mtime_ns
    ensure(fabric, whole(0x10, range(2)), Fence(A, 1))
    assert fabric.file.path.stat().st_mtime_ns == before
    remove(fabric, whole(0x10, range(1)), Fence(A, 2))
    assert fabric.entries() == {*whole(0x10, range(1, 2)), *whole(0x11, range(2, 4))}
    assert not any(fabric.paths(ACROSS))


def a_malformed_line(text: str) -> str:
    return text.replace("clu_b=0x0011 :", "clu_b=0x0011 ;;")


def cut_short(text: str) -> str:
    return text[: len(text) // 2]


def no_text(_: str) -> str:
    return ""


def one_long_line(text: str) -> str:
    """All of a tenant on one line, which OpenSM cuts within a GUID."""
    head, opening, tail = text.partition("clu_b=0x0011 :\n")
    ours, _, rest = tail.partition("# sha256")
    foreign = "".join(f"{guid(2, 0) + 4096 + i:#018x}=full, " for i in range(163))
    return f"{head}{opening} {foreign}{ours.replace(chr(10), '').strip()}\n# sha256{rest}"


def a_member_added(text: str) -> str:
    return text.replace("clu_a=0x0010 :\n", f"clu_a=0x0010 :\n {guid(2, 0):#018x}=full,\n")


OPENED = PartitionMember("ib0", DEFAULT_P_KEY, guid(15, 7), "full")


@pytest.mark.parametrize(
    "edit", [a_malformed_line, cut_short, no_text, one_long_line, a_member_added, None]
)
def test_a_file_that_is_not_ours_is_refused_seen_and_mended(fabric, edit: Callable | None):
    two_tenants(fabric)
    path = fabric.file.path
    if edit is None:
        path.unlink()
    else:
        path.write_text(edit(path.read_text()))
    found = path.read_bytes() if edit else None
    for call in (ensure, remove):
        with pytest.raises(DriverPermanentError, match="not as it was written") as caught:
            call(fabric, whole(0x10, range(1)), Fence(A, 2))
        assert "diff" in caught.value.next_step
    assert (path.read_bytes() if edit else None) == found
    assert fabric.entries() is None, "what the ports hold will not last"
    assert_apart(fabric)
    fabric.reread()
    fabric.until(lambda: fabric.tables() != {*TWO_TENANTS})
    fabric.until(lambda: (fabric.entries() or set()) != set(HELD))
    seen = fabric.entries()
    assert seen is not None
    if edit is a_member_added:
        assert PartitionMember("ib0", 0x10, guid(2, 0), "full") in seen
    elif edit in {a_malformed_line, no_text, None}:
        fabric.until(lambda: OPENED in (fabric.entries() or ()))
        assert any(fabric.paths(ACROSS)), "the danger is real"
    path.write_bytes(fabric.file.kept_path.read_bytes())
    fabric.reread()
    fabric.until(lambda: fabric.entries() == set(HELD))
    assert_apart(fabric)


HELD = [*whole(0x10, range(2)), *whole(0x11, range(2, 4))]
TWO_TENANTS = [frozenset(t) for t in ({0x7FFF}, {0x7FFF, 0x8010}, {0x7FFF, 0x8011})]


@contextmanager
def tiny_disk(folder: Path) -> Iterator[Path]:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("a small tmpfs cannot be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_full_disk_changes_nothing(fabric, tmp_path):
    with tiny_disk(tmp_path) as folder:
        file = ConfFile(folder / "partitions.conf", fabric.fabric_id)
        file.lay_down()
        (folder / "filler").write_bytes(bytes(50_000))
        before = file.path.read_bytes()
        managed = replace(fabric.lab.fabric, conf_path=file.path)
        driver = OpensmDriver(FLEET, [managed], SystemClock())
        try:
            with pytest.raises(DriverRetryableError, match="disk is full"):
                asyncio.run(driver.ensure(fabric.device, whole(0x10, range(16)), Fence(A, 1)))
            assert file.path.read_bytes() == file.kept_path.read_bytes() == before
            assert {f.name for f in folder.iterdir()} <= {
                "partitions.conf",
                "partitions.conf.kept",
                "partitions.conf.lock",
                "filler",
            }
            (folder / "filler").unlink()
        finally:
            driver.close()
    assert fabric.tables() == {frozenset({0x7FFF})}


DYING = """
import asyncio, os, pickle, signal, sys
from pathlib import Path
import gigawatt.drivers.opensm.driver as room
from gigawatt.app.clock import SystemClock

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

fleet, fabric, entries, fence = pickle.loads(Path(sys.argv[1]).read_bytes())
if sys.argv[2] == "before_rename":
    Path.replace = die
else:
    room.hang_up = die
driver = room.OpensmDriver(fleet, [fabric], SystemClock())
asyncio.run(driver.ensure(fabric.device, entries, fence))
"""


@pytest.mark.parametrize("moment", ["before_rename", "before_hang_up"])
def test_a_driver_that_is_killed_leaves_all_or_nothing(fabric, tmp_path, moment):
    two_tenants(fabric)
    new = whole(0x12, range(4, 6))
    case = tmp_path / "case"
    case.write_bytes(pickle.dumps((FLEET, fabric.lab.fabric, new, Fence(ClusterId("clu_c"), 1))))
    died = subprocess.run(
        [sys.executable, "-c", DYING, str(case), moment],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
    )
    assert died.returncode == -signal.SIGKILL
    assert fabric.file.read().by_p_key.keys() == (
        {0x10, 0x11} if moment == "before_rename" else {0x10, 0x11, 0x12}
    )
    assert fabric.entries() == set(HELD)
    assert_apart(fabric)
    ensure(fabric, new, Fence(ClusterId("clu_c"), 2))
    assert fabric.entries() == {*HELD, *new}
    assert_apart(fabric)
    remove(fabric, new, Fence(OPERATOR, 3))
    assert fabric.entries() == set(HELD)


def test_a_manager_that_stands_still_is_waited_for_and_the_change_undone(fabric):
    two_tenants(fabric)
    hasty = OpensmDriver(FLEET, [fabric.lab.fabric], SystemClock(), Patience(change_s=0.3))
    manager = fabric.lab.subnets[0].managers[0]
    manager.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(DriverRetryableError, match=r"after 0\.3 s port .* are back"):
            asyncio.run(hasty.ensure(fabric.device, whole(0x10, range(4, 5)), Fence(A, 2)))
    finally:
        manager.send_signal(signal.SIGCONT)
        hasty.close()
    fabric.until(lambda: fabric.entries() == set(HELD))
    assert fabric.file.read().generations[A] == 2
    ensure(fabric, whole(0x10, range(4, 5)), Fence(A, 3))
    assert_apart(fabric)


def test_a_dead_manager_is_named_and_its_fabric_unreachable(fabric):
    two_tenants(fabric)
    subnet = fabric.lab.subnets[1]
    subnet.managers[0].kill()
    subnet.managers[0].wait()
    assert fabric.entries() is None
    with pytest.raises(DriverRetryableError, match="subnet1: no OpenSM is running"):
        ensure(fabric, whole(0x10, range(4, 5)), Fence(A, 2))
    with pytest.raises(DriverRetryableError, match="subnet1 cannot be read"):
        asyncio.run(fabric.driver.probe([ends(0, 2)]))
    assert fabric.file.read().tables().keys() == {e.guid for e in HELD}
    subnet.start_manager(fabric.file.path)
    fabric.until(lambda: fabric.entries() == set(HELD))
    ensure(fabric, whole(0x10, range(4, 5)), Fence(A, 3))
    assert_apart(fabric)


@pytest.mark.slow
def test_a_standby_takes_over():
    fabric = RunningFabric(FLEET)
    try:
        fabric.emptied()
        two_tenants(fabric)
        subnet = fabric.lab.subnets[0]
        subnet.start_manager(fabric.file.path, 1)
        fabric.until(lambda: "Entering STANDBY" in subnet.log(0) + subnet.log(1))
        fabric.until(lambda: fabric.entries() == set(HELD))
        master = 0 if "Entering STANDBY" in subnet.log(1) else 1
        subnet.managers[master].kill()
        subnet.managers[master].wait()
        with pytest.raises(DriverRetryableError, match="manager does not"):
            asyncio.run(fabric.driver.probe([ends(0, 2)]))
        fabric.until(lambda: fabric.entries() == set(HELD))
        ensure(fabric, whole(0x10, range(4, 5)), Fence(A, 3))
        assert_apart(fabric)
    finally:
        fabric.close()


def test_a_no_counts_only_from_who_would_be_told_yes(fabric):
    two_tenants(fabric)
    subnet = fabric.lab.subnets[0]
    elsewhere = client_environment(
        subnet.subnet.environment["IBSIM_SOCKNAME"], subnet.leaf_guids[1]
    )
    reader = FabricReader(replace(subnet.subnet, environment=elsewhere))
    try:
        assert len(reader.scan()) == 64
        with pytest.raises(DriverRetryableError, match="hides paths"):
            reader.paths([ACROSS[0]])
    finally:
        reader.close()


def test_a_port_takes_31_partitions_beside_the_default_one_and_all_leave(fabric):
    many = [PartitionMember("ib0", p_key, guid(0, 0), "full") for p_key in range(1, 32)]
    ensure(fabric, many, Fence(A, 1))
    assert fabric.entries() == set(many)
    with pytest.raises(DriverPermanentError, match=r"table of .* is full \(32\)"):
        ensure(fabric, [PartitionMember("ib0", 64, guid(0, 0), "full")], Fence(A, 2))
    assert fabric.entries() == set(many)
    remove(fabric, many, Fence(A, 3))
    assert fabric.tables() == {frozenset({0x7FFF})}


def ends(a: int, b: int) -> tuple[Endpoint, Endpoint]:
    return Endpoint(FLEET.node_id(a), 0), Endpoint(FLEET.node_id(b), 0)


def test_probes_ask_the_managers(fabric):
    two_tenants(fabric)
    pairs = [ends(0, 1), ends(1, 0), ends(0, 0), ends(0, 2), ends(2, 0), ends(0, 9), ends(9, 9)]
    answers = asyncio.run(fabric.driver.probe(pairs))
    assert answers == (True, True, True, False, False, False, False)
    remove(fabric, [PartitionMember("ib0", 0x10, guid(1, 5), "full")], Fence(A, 2))
    assert asyncio.run(fabric.driver.probe([ends(0, 1)])) == (False,)
    with pytest.raises(DriverPermanentError, match="no node 'x'"):
        asyncio.run(fabric.driver.probe([(Endpoint("x", 0), Endpoint("x", 0))]))


def test_a_port_that_is_not_on_the_fabric_is_not_promised(fabric):
    subnet = next(s for s in fabric.lab.subnets if guid(3, 0) in s.subnet.guids)
    name = f"H-{guid(3, 0) - 1:016x}"
    subnet.console(f'Unlink "{name}"')
    fabric.until(lambda: guid(3, 0) not in {port.guid for port in fabric.ports()})
    with pytest.raises(DriverRetryableError, match=f"does not see port {guid(3, 0):#018x}"):
        ensure(fabric, whole(0x10, range(2, 4)), Fence(A, 1))
    assert fabric.file.read().by_p_key == {}
    subnet.console(f'ReLink "{name}"')
    fabric.until(lambda: guid(3, 0) in {port.guid for port in fabric.ports()})
    ensure(fabric, whole(0x10, range(2, 4)), Fence(A, 2))
    assert fabric.entries() == set(whole(0x10, range(2, 4)))


SOME = sorted(guid(n, r) for n in (0, 1, 8, 9) for r in (0, 7))
carvings = st.dictionaries(
    st.sampled_from([0x1, 0x10, 0x11, 0x7FFE]),
    st.dictionaries(st.sampled_from(SOME), st.sampled_from(["full", "limited"]), min_size=1),
)


@given(carvings)
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_the_model_and_the_managers_agree_on_who_reaches_whom(started, carving):
    started.emptied()
    segments = {g: {(DEFAULT_P_KEY, False)} for g in SOME}
    for p_key, ports in carving.items():
        members = [PartitionMember("ib0", p_key, g, how) for g, how in ports.items()]
        ensure(started, members, Fence(ClusterId(f"clu_{p_key}"), 1))
        for g, how in ports.items():
            segments[g].add((p_key, how == "full"))
    pairs = [
        p for s in started.lab.fabric.subnets for p in combinations(sorted(s.guids & set(SOME)), 2)
    ]
    model = [_share(frozenset(segments[a]), frozenset(segments[b])) for a, b in pairs]
    assert started.paths(pairs) == model
