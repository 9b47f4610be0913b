"""Goal: whatever dies in the middle of a change, no two clusters ever have a path between them.

Method: a driver changes partitions while managers are killed, links and a spine are cut, and the
file is edited; all the while a process of its own asks OpenSM for PathRecords between clusters. A
change ends whole, or undone and named, and a repeat carries on.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Self

import pytest

from gigawatt.app.clock import SystemClock
from gigawatt.boundary.entries import PartitionMember
from gigawatt.drivers.opensm.driver import OpensmDriver, Patience
from gigawatt.drivers.opensm.fabric_reader import FabricReader
from gigawatt.errors import DriverError, DriverPermanentError, DriverRetryableError
from gigawatt.ids import ClusterId
from gigawatt.interfaces.driver import Fence
from gigawatt.lab.fabric import missing_tools
from running_fabric import RunningFabric, one_subnet_fleet

pytestmark = [
    pytest.mark.ibsim,
    pytest.mark.skipif(bool(missing_tools()), reason=missing_tools() or "installed"),
]

FLEET = one_subnet_fleet("outages", 8)
A, B = ClusterId("clu_a"), ClusterId("clu_b")


def guid(node: int, rail: int) -> int:
    return int(FLEET.nics.guid[int(FLEET.first_nic_of_node[node]) + rail])


def whole(p_key: int, nodes: range) -> list[PartitionMember]:
    return [PartitionMember("ib0", p_key, guid(n, r), "full") for n in nodes for r in range(8)]


HELD = [*whole(0x10, range(2)), *whole(0x11, range(2, 4))]
NEW = whole(0x10, range(4, 6))
ACROSS = [(guid(a, r), guid(b, r)) for a in (0, 1, 4, 5) for b in (2, 3, 6, 7) for r in (0, 3, 7)]
WITHIN = [(guid(n, r), guid(n + 1, r)) for n in (0, 2) for r in range(8)]


class Watch:
    """Asks for paths between clusters until told to stop."""

    def __init__(self, fabric: RunningFabric) -> None:
        self._reader = FabricReader(fabric.lab.subnets[0].subnet)
        self._is_over = Event()
        self.leaks: list[tuple[int, int]] = []
        self.answered, self.silent = 0, 0
        self._thread = Thread(target=self._run)

    def _run(self) -> None:
        while not self._is_over.is_set():
            try:
                answers = self._reader.paths(ACROSS)
            except DriverRetryableError:
                self.silent += 1
                continue
            self.answered += 1
            self.leaks += [pair for pair, is_path in zip(ACROSS, answers, strict=True) if is_path]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
        self._reader.close()


@contextmanager
def started() -> Iterator[RunningFabric]:
    running = RunningFabric(FLEET)
    try:
        running.emptied()
        asyncio.run(running.driver.ensure(running.device, whole(0x10, range(2)), Fence(A, 1)))
        asyncio.run(running.driver.ensure(running.device, whole(0x11, range(2, 4)), Fence(B, 1)))
        yield running
    finally:
        running.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[RunningFabric]:
    with started() as running:
        yield running


@pytest.fixture
def fabric(shared: RunningFabric) -> RunningFabric:
    """Two clusters on a fabric that is whole."""
    shared.emptied()
    asyncio.run(shared.driver.ensure(shared.device, whole(0x10, range(2)), Fence(A, 1)))
    asyncio.run(shared.driver.ensure(shared.device, whole(0x11, range(2, 4)), Fence(B, 1)))
    return shared


class Changing:
    """A change under way in a thread, whose write to the file has been seen."""

    def __init__(self, fabric: RunningFabric, is_coming: bool, number: int) -> None:
        self._fabric = fabric
        self._driver = OpensmDriver(
            FLEET, [fabric.lab.fabric], SystemClock(), Patience(change_s=4.0, turn_s=30.0)
        )
        call = self._driver.ensure if is_coming else self._driver.remove
        self.error: DriverError | None = None

        def run() -> None:
            try:
                asyncio.run(call(fabric.device, NEW, Fence(A, number)))
            except DriverError as error:
                self.error = error

        before = fabric.file.path.stat().st_mtime_ns
        self._thread = Thread(target=run)
        self._thread.start()
        path = fabric.file.path
        fabric.until(lambda: path.stat().st_mtime_ns != before or not self._thread.is_alive())

    def ended(self) -> DriverError | None:
        self._thread.join()
        self._driver.close()
        return self.error


def settled(fabric: RunningFabric, is_coming: bool, number: int) -> None:
    """A repeat brings about what was asked for, and clusters are apart."""
    fabric.until(lambda: fabric.entries() is not None)
    call = fabric.driver.ensure if is_coming else fabric.driver.remove
    asyncio.run(call(fabric.device, NEW, Fence(A, number)))
    # A change may end before the managers' sweep does, and they may not know their subnet yet.
    fabric.until(lambda: fabric.entries() is not None)
    assert fabric.entries() == {*HELD, *(NEW if is_coming else [])}
    assert not any(fabric.paths(ACROSS))
    assert all(fabric.paths(WITHIN))


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("is_coming", [True, False], ids=["coming", "leaving"])
def test_a_failover_in_the_middle_of_a_change_opens_nothing(is_coming):
    with started() as fabric:
        subnet = fabric.lab.subnets[0]
        subnet.start_manager(fabric.file.path, 1)
        fabric.until(lambda: "Entering STANDBY" in subnet.log(0) + subnet.log(1))
        fabric.until(lambda: fabric.entries() == set(HELD))
        if not is_coming:
            asyncio.run(fabric.driver.ensure(fabric.device, NEW, Fence(A, 2)))
        master = 0 if "Entering STANDBY" in subnet.log(1) else 1
        with Watch(fabric) as watch:
            changing = Changing(fabric, is_coming, 3)
            subnet.managers[master].kill()
            subnet.managers[master].wait()
            error = changing.ended()
            assert error is None or isinstance(error, DriverRetryableError), error
            settled(fabric, is_coming, 4)
        assert watch.leaks == []
        assert watch.answered > 1
        assert watch.silent > 0, "the manager was gone for a while"


@pytest.mark.parametrize("is_coming", [True, False], ids=["coming", "leaving"])
def test_a_manager_that_dies_alone_in_the_middle_is_named_and_carried_on_from(fabric, is_coming):
    subnet = fabric.lab.subnets[0]
    if not is_coming:
        asyncio.run(fabric.driver.ensure(fabric.device, NEW, Fence(A, 2)))
    with Watch(fabric) as watch:
        changing = Changing(fabric, is_coming, 3)
        subnet.managers[0].kill()
        subnet.managers[0].wait()
        error = changing.ended()
        assert fabric.entries() is None, "its fabric is unreachable"
        assert error is None or "no OpenSM is running" in str(error) or "after 4 s" in str(error)
        assert error is None or isinstance(error, DriverRetryableError)
        with pytest.raises(DriverRetryableError, match="no OpenSM is running"):
            asyncio.run(fabric.driver.ensure(fabric.device, whole(0x12, range(6, 7)), Fence(B, 9)))
        subnet.start_manager(fabric.file.path)
        settled(fabric, is_coming, 4)
    assert watch.leaks == []
    assert watch.answered > 1


def spine() -> str:
    return f"S-{int(FLEET.switches.guid[int(FLEET.links.upper[0])]):016x}"


def leaf_port() -> tuple[str, int]:
    leaf = int(FLEET.links.lower[0])
    at = int(FLEET.links.lower_switch_port[0])
    return f"S-{int(FLEET.switches.guid[leaf]):016x}", at


def cut_lines(what: str) -> tuple[list[str], list[str]]:
    """Console lines that cut, and that mend."""
    if what == "spine":
        return [f'Unlink "{spine()}"'], [f'ReLink "{spine()}"']
    if what == "uplink":
        name, at = leaf_port()
        return [f'Unlink "{name}"[{at}]'], [f'ReLink "{name}"[{at}]']
    name = f"H-{guid(4, 2) - 1:016x}"
    return [f'Unlink "{name}"'], [f'ReLink "{name}"']


@pytest.mark.parametrize("is_coming", [True, False], ids=["coming", "leaving"])
@pytest.mark.parametrize("what", ["spine", "uplink", "host"])
def test_what_is_cut_in_the_middle_of_a_change_opens_nothing(fabric, what, is_coming):
    subnet = fabric.lab.subnets[0]
    cut, mend = cut_lines(what)
    if not is_coming:
        asyncio.run(fabric.driver.ensure(fabric.device, NEW, Fence(A, 2)))
    with Watch(fabric) as watch:
        changing = Changing(fabric, is_coming, 3)
        for line in cut:
            subnet.console(line)
        error = changing.ended()
        assert error is None or isinstance(error, DriverRetryableError), error
        for line in mend:
            subnet.console(line)
        fabric.until(lambda: len(fabric.ports()) == len(FLEET.nics))
        settled(fabric, is_coming, 4)
    assert watch.leaks == []
    assert watch.answered > 1


def malformed(text: str) -> str:
    return text.replace("clu_b=0x0011 :", "clu_b=0x0011 ;;")


def cut_short(text: str) -> str:
    return text[: len(text) // 2]


def stranger(text: str) -> str:
    return text.replace("ALL=limited", "ALL=full")


@pytest.mark.parametrize("edit", [malformed, cut_short, stranger])
@pytest.mark.parametrize("state", ["empty", "held", "released", "changing"])
def test_a_hand_edit_is_refused_and_mended_in_every_state(fabric, state, edit: Callable):
    if state == "empty":
        fabric.emptied()
    if state in {"held", "released"}:
        asyncio.run(fabric.driver.ensure(fabric.device, NEW, Fence(A, 2)))
    if state == "released":
        asyncio.run(fabric.driver.remove(fabric.device, [*NEW, *HELD[:16]], Fence(A, 3)))
    path = fabric.file.path
    changing = Changing(fabric, True, 4) if state == "changing" else None
    edited = edit(path.read_text())
    if edited == path.read_text():
        return
    path.write_text(edited)
    if changing is not None:
        changing.ended()
        if path.read_text() != edited:
            fabric.until(lambda: fabric.entries() is not None)
            assert not any(fabric.paths(ACROSS)), "the change was undone over the edit"
            return
    for call in (fabric.driver.ensure, fabric.driver.remove):
        with pytest.raises(DriverPermanentError, match="not as it was written"):
            asyncio.run(call(fabric.device, whole(0x13, range(7, 8)), Fence(A, 9)))
    assert path.read_text() == edited, "nobody writes over it"
    path.write_bytes(fabric.file.kept_path.read_bytes())
    fabric.reread()
    fabric.until(lambda: fabric.entries() is not None)
    kept = set(fabric.file.read().by_p_key)
    assert kept <= {0x10, 0x11}
    fabric.until(lambda: not any(fabric.paths(ACROSS)))
