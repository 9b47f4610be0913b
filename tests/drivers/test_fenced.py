"""FencedDriver: what is the same for every component, once.

Goal: whatever component is behind it, the contract holds; and crashes, lost answers, full disks,
damaged or lost notes and other processes never give a key to the wrong cluster.
Method: the contract suite over a component that only holds what it is told, on all planes; random
calls with random troubles (hypothesis), compared with the fake devices and with a model.
"""

import asyncio
import errno
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from contract import DriverContract, Subject
from hypothesis import given, settings
from hypothesis import strategies as st
from plain_component import PlainComponent

from gigawatt.app.clock import ManualClock, SystemClock
from gigawatt.boundary.entries import BmcAccount, Entry, Export, FileSystem
from gigawatt.boundary.plane import Plane
from gigawatt.drivers import ledger as ledger_module
from gigawatt.drivers.fake import DeviceWorld
from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.files import try_lock
from gigawatt.drivers.ledger import Ledger
from gigawatt.errors import (
    DriverError,
    DriverPermanentError,
    DriverRetryableError,
    GigawattError,
    StaleGenerationError,
)
from gigawatt.fleet.builder import BlockSpec, build_fleet
from gigawatt.fleet.demo import HGX_H100
from gigawatt.fleet.model import FabricKind
from gigawatt.ids import ClusterId, DeviceId
from gigawatt.interfaces.driver import OPERATOR, Fence
from gigawatt.units import TIB

BLOCK = BlockSpec(
    site_id="site-a",
    country="US",
    hall_id="hall-1",
    node_type=HGX_H100,
    node_count=8,
    node_prefix="h",
    fabric_id="ib0",
    storage_bytes=100 * TIB,
    nodes_per_leaf_group=4,
)
ROCE = replace(
    BLOCK,
    site_id="site-b",
    hall_id="hall-2",
    node_prefix="r",
    fabric_id="eth0",
    fabric_kind=FabricKind.ROCE,
)
FLEET = build_fleet("contract", [BLOCK, ROCE])
A, B = ClusterId("clu_a"), ClusterId("clu_b")
BMC = DeviceId("bmc/" + FLEET.nodes.ids[0])
POOL = FLEET.storage_pools.ids[0]


class TestContract(DriverContract):
    @pytest.fixture
    def subject(self, tmp_path) -> Subject:
        drivers = {
            plane: FencedDriver(
                PlainComponent(plane, FLEET), Ledger(tmp_path / plane, ManualClock(), 1e9)
            )
            for plane in Plane
        }
        return Subject(FLEET, drivers, probed=())


def account(name: str, ref: str = "made/s") -> BmcAccount:
    return BmcAccount(FLEET.nodes.ids[0], name, ref)


class Forgetful(PlainComponent):
    """A BMC: it cannot tell which secret an account was made with."""

    async def look(self, device, noted):
        found = await super().look(device, noted)
        return tuple(
            replace(entry, secret_ref=noted[entry.key].secret_ref if entry.key in noted else "")
            for entry in found
        )


def bmc(folder: Path, *, is_forgetful: bool = False) -> tuple[PlainComponent, FencedDriver]:
    component = (Forgetful if is_forgetful else PlainComponent)(Plane.OUT_OF_BAND, FLEET)
    return component, FencedDriver(component, Ledger(folder, ManualClock(), 1e9))


def held(driver: FencedDriver, device: DeviceId = BMC) -> frozenset[Entry] | None:
    return asyncio.run(driver.observe([device])).entries.get(device)


# --- the same as the fake devices ---------------------------------------------------------------

ENTRIES: list[Entry] = [
    FileSystem(POOL, 1, "/a", TIB),
    FileSystem(POOL, 1, "/a", 2 * TIB),
    FileSystem(POOL, 2, "/b", 60 * TIB),
    FileSystem(POOL, 3, "/c", 60 * TIB),
    Export(POOL, 1, 7),
    Export(POOL, 2, 7),
    Export(POOL, 2, 8),
]
CALLS = st.tuples(
    st.sampled_from(["ensure", "remove"]),
    st.lists(st.sampled_from(ENTRIES), max_size=3),
    st.sampled_from([A, B, OPERATOR]),
    st.integers(1, 3),
).filter(lambda call: not (call[0] == "ensure" and call[2] == OPERATOR))


def outcome(call, *args) -> type[GigawattError] | None:
    """The error with which a call ends; None for none."""
    try:
        done = call(*args)
        if done is not None:
            asyncio.run(done)
    except GigawattError as error:
        return type(error)
    return None


@settings(max_examples=150, deadline=None)
@given(st.lists(CALLS, max_size=12))
def test_calls_end_as_on_the_fake_devices_and_leave_the_same(calls):
    device = ENTRIES[0].device
    world = DeviceWorld(FLEET)
    with TemporaryDirectory() as folder:
        component = PlainComponent(Plane.STORAGE, FLEET)
        driver = FencedDriver(component, Ledger(Path(folder), ManualClock(), 1e9))
        for word, entries, cluster_id, generation in calls:
            # The operator's is one: what a late hand leaves behind of its own fence may differ.
            fence = Fence(cluster_id, 2 if cluster_id == OPERATOR else generation)
            ours = outcome(getattr(driver, word), device, entries, fence)
            assert ours is outcome(getattr(world, word), device, entries, fence)
            assert held(driver, device) == world.entries(device)


# --- troubles -----------------------------------------------------------------------------------

NAMES = ("x", "y", "z")
TROUBLES = st.sampled_from(["none", "lost answer", "not done", "refused", "disk", "crash"])
TROUBLED_CALLS = st.tuples(
    st.sampled_from(["ensure", "remove"]),
    st.sets(st.sampled_from(NAMES), min_size=1, max_size=2),
    st.sampled_from(["s1", "s2"]),
    st.sampled_from([A, B]),
    TROUBLES,
    st.integers(0, 3),
)


class Killed(BaseException):
    """The process ends here."""


def is_disk_full(monkeypatch: pytest.MonkeyPatch, after_writes: int) -> None:
    real, left = ledger_module.replace_files, [after_writes]

    def replace_files(paths, text):
        if not left[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        left[0] -= 1
        real(paths, text)

    monkeypatch.setattr(ledger_module, "replace_files", replace_files)


@settings(max_examples=200, deadline=None)
@given(st.lists(TROUBLED_CALLS, max_size=12))
def test_no_trouble_gives_a_key_to_another_or_hides_what_is_there(calls):
    """Owner by key, kept beside: who first had it done, until that cluster had it taken away."""
    owners: dict[str, ClusterId] = {}
    with TemporaryDirectory() as folder:
        component, driver = bmc(Path(folder), is_forgetful=True)
        for word, names, secret, cluster_id, trouble, writes in calls:
            entries = [account(name, secret) for name in sorted(names)]
            before = dict(component.content.get(BMC, {}))
            call = partial(getattr(driver, word), BMC, entries, Fence(cluster_id, 1))
            error = _troubled(component, call, trouble, writes)
            after = component.content.get(BMC, {})
            if isinstance(error, DriverPermanentError):
                assert after == before
            for key in before.keys() | after.keys():
                is_changed = before.get(key) != after.get(key)
                assert not is_changed or owners.get(key, cluster_id) == cluster_id
                if key not in after:
                    owners.pop(key, None)
                elif is_changed:
                    owners[key] = cluster_id
            seen = {entry.key: entry for entry in held(driver) or ()}
            assert seen.keys() == after.keys()
            # What is said to be there is there; what is not known is said to be unknown.
            assert all(
                seen[key] in {after[key], replace(after[key], secret_ref="")} for key in seen
            )
            if error is None and word == "ensure":
                assert all(seen[entry.key] == entry for entry in entries)
            if error is None and word == "remove":
                assert all(owners.get(entry.key) != cluster_id for entry in entries)
        _everybody_gets_there(component, driver, owners)


def _troubled(component, call, trouble: str, writes: int) -> BaseException | None:
    component.trouble.is_done_first = trouble == "lost answer"
    component.trouble.errors = {
        "lost answer": [DriverRetryableError("no answer")],
        "not done": [DriverRetryableError("no connection")],
        "refused": [DriverPermanentError("no")],
        "crash": [Killed()],
    }.get(trouble, [])
    with pytest.MonkeyPatch.context() as patch:
        if trouble == "disk":
            is_disk_full(patch, writes)
        try:
            asyncio.run(call())
        except (DriverError, Killed) as error:
            return error
        finally:
            component.trouble.errors = []
    return None


def _everybody_gets_there(component, driver, owners) -> None:
    """Whatever happened: each owner can set its keys right and take them away."""
    for key, owner in owners.items():
        entry = account(key.partition("/")[2], "new")
        asyncio.run(driver.ensure(BMC, [entry], Fence(owner, 1)))
        assert component.content[BMC][key] == entry
        asyncio.run(driver.remove(BMC, [entry], Fence(owner, 1)))
    assert held(driver) == frozenset()


def test_a_lost_answer_does_not_make_a_secret_look_changed(tmp_path):
    component, driver = bmc(tmp_path, is_forgetful=True)
    asyncio.run(driver.ensure(BMC, [account("x", "old")], Fence(A, 1)))
    component.trouble.errors = [DriverRetryableError("no connection")]
    with pytest.raises(DriverRetryableError):
        asyncio.run(driver.ensure(BMC, [account("x", "new")], Fence(A, 1)))
    assert held(driver) == {account("x", "")}
    asyncio.run(driver.ensure(BMC, [account("x", "new")], Fence(A, 1)))
    assert component.content[BMC] == {"account/x": account("x", "new")}
    assert held(driver) == {account("x", "new")}


def test_a_full_disk_changes_no_device(tmp_path, monkeypatch):
    component, driver = bmc(tmp_path)
    is_disk_full(monkeypatch, after_writes=1)
    with pytest.raises(DriverRetryableError, match="No space left") as caught:
        asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 1)))
    assert "Make room" in str(caught.value.next_step)
    assert component.changes == []


def test_a_folder_that_cannot_be_made_changes_no_device(tmp_path):
    (tmp_path / "file").write_text("")
    component, driver = bmc(tmp_path / "file" / "ledger")
    with pytest.raises(DriverRetryableError, match="was not changed"):
        asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 1)))
    assert component.changes == []


@pytest.mark.parametrize("text", ["", "{}", "0000\n{}", "\udc80"])
def test_a_damaged_note_changes_nothing_and_says_what_to_do(tmp_path, text):
    component, driver = bmc(tmp_path)
    asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 1)))
    (note,) = tmp_path.glob("*.json")
    note.write_bytes(text.encode(errors="surrogateescape"))
    before = dict(component.content[BMC])
    for word in ("ensure", "remove"):
        with pytest.raises(DriverRetryableError, match="does not read back") as caught:
            asyncio.run(getattr(driver, word)(BMC, [account("x", "t")], Fence(A, 1)))
        assert str(note) in str(caught.value.next_step)
    assert component.content[BMC] == before
    assert held(driver) is None


def test_every_changed_byte_of_a_note_is_seen(tmp_path):
    _, driver = bmc(tmp_path)
    asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 1)))
    (note,) = tmp_path.glob("*.json")
    good = note.read_bytes()
    for place in range(0, len(good), 7):
        note.write_bytes(good[:place] + bytes([good[place] ^ 1]) + good[place + 1 :])
        assert held(driver) is None, place
    note.write_bytes(good)
    assert held(driver) == {account("x")}


def test_a_lost_ledger_leaves_strangers_that_the_operator_takes_away(tmp_path):
    component, driver = bmc(tmp_path)
    asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 5)))
    (note,) = tmp_path.glob("*.json")
    note.unlink()
    assert held(driver) == {account("x")}
    asyncio.run(driver.remove(BMC, [account("x")], Fence(OPERATOR, 1)))
    assert component.content[BMC] == {}


def test_a_refused_call_leaves_the_former_owner(tmp_path):
    component, driver = bmc(tmp_path)
    asyncio.run(driver.ensure(BMC, [account("x", "old")], Fence(A, 1)))
    component.trouble.errors = [DriverPermanentError("no")]
    with pytest.raises(DriverPermanentError):
        asyncio.run(driver.ensure(BMC, [account("x", "new"), account("y")], Fence(A, 1)))
    assert held(driver) == {account("x", "old")}
    asyncio.run(driver.ensure(BMC, [account("y")], Fence(B, 1)))
    with pytest.raises(DriverPermanentError, match="clu_a"):
        asyncio.run(driver.ensure(BMC, [account("x")], Fence(B, 1)))


def test_a_device_that_does_not_answer_may_be_tried_again_and_is_not_known(tmp_path):
    component, driver = bmc(tmp_path)
    component.unreachable.add(BMC)
    for word in ("ensure", "remove"):
        with pytest.raises(DriverRetryableError, match="does not answer"):
            asyncio.run(getattr(driver, word)(BMC, [account("x")], Fence(A, 5)))
    assert held(driver) is None
    component.unreachable.clear()
    with pytest.raises(StaleGenerationError):
        asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 4)))


def test_what_cannot_be_told_of_all_makes_none_known(tmp_path, monkeypatch):
    component, driver = bmc(tmp_path)

    async def no_answer(devices):
        raise DriverError(f"none of {len(devices)} answers")

    monkeypatch.setattr(component, "file_usage", no_answer)
    assert asyncio.run(driver.observe([BMC])).unreachable == {BMC}


def test_two_processes_take_turns_and_the_second_sees_the_first(tmp_path):
    """Two drivers with ledgers of the same folder are what two processes have."""
    component = PlainComponent(Plane.OUT_OF_BAND, FLEET)
    one, two = (FencedDriver(component, Ledger(tmp_path, SystemClock())) for _ in range(2))

    async def run():
        calls = (one.ensure(BMC, [account(n)], Fence(A, 1)) for n in NAMES)
        others = (two.ensure(BMC, [account(n)], Fence(B, 1)) for n in NAMES)
        done = await asyncio.gather(*calls, *others, return_exceptions=True)
        assert sum(result is None for result in done) == len(NAMES)
        assert all(r is None or isinstance(r, DriverPermanentError) for r in done)

    asyncio.run(run())
    assert held(two) == {account(n) for n in NAMES}


def test_others_that_keep_a_device_for_long_are_named(tmp_path):
    component, _ = bmc(tmp_path)
    driver = FencedDriver(component, Ledger(tmp_path, ManualClock(), turn_s_max=1.0))
    with try_lock(tmp_path / f"bmc__{FLEET.nodes.ids[0]}.lock") as is_ours:
        assert is_ours
        with pytest.raises(DriverRetryableError, match="others changed it for 1 s"):
            asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 1)))
    assert component.changes == []


def test_a_cancelled_call_keeps_its_turn_until_the_change_has_ended(tmp_path):
    component, driver = bmc(tmp_path)
    began, go_on = asyncio.Event(), asyncio.Event()
    real = component.put

    async def slow(*args):
        began.set()
        await go_on.wait()
        await real(*args)

    component.put = slow

    async def run():
        first = asyncio.create_task(driver.ensure(BMC, [account("x")], Fence(A, 1)))
        await began.wait()
        first.cancel()
        second = asyncio.create_task(driver.ensure(BMC, [account("x")], Fence(B, 1)))
        for _ in range(20):
            await asyncio.sleep(0)
        assert not first.done()
        assert not second.done()
        go_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        with pytest.raises(DriverPermanentError, match="clu_a"):
            await second

    asyncio.run(run())


def test_the_operators_hand_may_name_what_is_gone(tmp_path):
    """A key of a newer fence that the device does not hold is nothing to be late for."""
    component, driver = bmc(tmp_path)
    asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 9)))
    component.content[BMC] = {}
    asyncio.run(driver.remove(BMC, [account("x")], Fence(OPERATOR, 1)))
    asyncio.run(driver.ensure(BMC, [account("x")], Fence(A, 9)))
    with pytest.raises(StaleGenerationError, match="operator"):
        asyncio.run(driver.remove(BMC, [account("x")], Fence(OPERATOR, 2)))
