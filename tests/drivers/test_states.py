"""Where device states live: in memory or in a file shared by processes.

Goal: the device model is only worth something if it loses nothing, mixes nothing up and is the
same in memory and in a file.
Method: random calls against a dictionary that is the whole specification, on both kinds at once;
processes that write one file at the same time or are killed while writing; damaged files.
"""

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import gigawatt
from gigawatt.boundary.entries import BmcAccount, HostSlice, NetworkPort, PartitionMember
from gigawatt.drivers.fake import DeviceWorld, FileStates
from gigawatt.drivers.fake.states import HISTORY_MAX
from gigawatt.errors import (
    DataError,
    DriverPermanentError,
    DriverRetryableError,
    StaleGenerationError,
)
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.interfaces.driver import Fence

FLEET = hgx_fleet(64)
NODE = FLEET.nodes.ids[0]
GUIDS = [int(g) for g in FLEET.nics.guid]
DEVICES = ["fabric/ib0", f"bmc/{NODE}"]
POOL_OF_ENTRIES = {
    DEVICES[0]: [
        PartitionMember("ib0", k, g, m)
        for k in (0x10, 0x11)
        for g in GUIDS[:2]
        for m in ("full", "limited")
    ],
    DEVICES[1]: [BmcAccount(NODE, name, ref) for name in ("x", "y", "z") for ref in ("1", "2")],
}
CLUSTERS = ["clu_a", "clu_b"]


def open_file(folder):
    return DeviceWorld(FLEET, FileStates(Path(folder) / "devices.sqlite"))


class DevicesAgainstADictionary(RuleBasedStateMachine):
    """The dictionary: (device, key) -> (entry, owner), and the newest generation seen."""

    def __init__(self):
        super().__init__()
        self.folder = TemporaryDirectory()
        self.memory = DeviceWorld(FLEET)
        self.file = open_file(self.folder.name)
        self.other = open_file(self.folder.name)
        self.held = {}
        self.newest = {}
        self.history = {device: [] for device in DEVICES}

    def teardown(self):
        self.file.close()
        self.other.close()
        self.folder.cleanup()

    def expect(self, device, action, entries, fence):
        """What the dictionary says: an error class, or None and it changes."""
        cluster, generation = fence.cluster_id, fence.generation
        if generation < self.newest.get((device, cluster), 0):
            return StaleGenerationError
        old = {e.key: self.held.get((device, e.key)) for e in entries}
        is_foreign = any(item and item[1] not in {None, cluster} for item in old.values())
        is_torn = len({e.key for e in entries}) < len(set(entries))
        seen = self.newest.get((device, cluster))
        self.newest[device, cluster] = generation
        if action == "ensure" and (is_foreign or is_torn):
            return DriverPermanentError
        undo = {}
        for entry in entries:
            at, item = (device, entry.key), (entry, cluster)
            mine = old[entry.key] is None or old[entry.key][1] in {None, cluster}
            if action == "ensure" and old[entry.key] != item:
                undo[at] = old[entry.key]
                self.held[at] = item
            elif action == "remove" and mine and old[entry.key] is not None:
                undo[at] = old[entry.key]
                self.held.pop(at, None)
        if undo:
            self.history[device].append((undo, cluster, seen))
        return None

    @rule(
        data=st.data(),
        device=st.sampled_from(DEVICES),
        action=st.sampled_from(["ensure", "remove"]),
        cluster=st.sampled_from(CLUSTERS),
        generation=st.integers(1, 4),
    )
    def call(self, data, device, action, cluster, generation):
        entries = data.draw(st.lists(st.sampled_from(POOL_OF_ENTRIES[device]), max_size=3))
        fence = Fence(cluster, generation)
        expected = self.expect(device, action, entries, fence)
        file = data.draw(st.sampled_from([self.file, self.other]))
        for world in (self.memory, file):
            found = None
            try:
                getattr(world, action)(device, entries, fence)
            except (StaleGenerationError, DriverPermanentError) as error:
                found = type(error)
            assert found is expected

    @rule(entry=st.sampled_from([e for some in POOL_OF_ENTRIES.values() for e in some]))
    def plant(self, entry):
        for world in (self.memory, self.file):
            world.plant(entry)
        at = (entry.device, entry.key)
        self.history[entry.device].append(({at: self.held.get(at)}, None, None))
        self.held[at] = (entry, None)

    @precondition(lambda self: any(self.history.values()))
    @rule(device=st.sampled_from(DEVICES), write_count=st.integers(1, 3))
    def rewind(self, device, write_count):
        for world in (self.memory, self.other):
            world.rewind(device, write_count)
        del self.history[device][:-HISTORY_MAX]
        for _ in range(min(write_count, len(self.history[device]))):
            undo, cluster, was = self.history[device].pop()
            for at, item in undo.items():
                self.held[at] = item
                if item is None:
                    del self.held[at]
            if cluster is not None:
                self.newest[device, cluster] = was or 0

    @invariant()
    def all_hold_the_same(self):
        for device in DEVICES:
            expected = {item[0] for (at, _), item in self.held.items() if at == device}
            for world in (self.memory, self.file, self.other):
                assert world.entries(device) == expected


DevicesAgainstADictionary.TestCase.settings = settings(
    max_examples=30, stateful_step_count=20, deadline=None
)
TestDevicesAgainstADictionary = DevicesAgainstADictionary.TestCase


def test_a_file_keeps_everything_for_the_next_process(tmp_path):
    running = HostSlice(NODE, 0xFF, False, "h0", "debian-12-gpu", ("ssh-ed25519 A",), "on")
    world = open_file(tmp_path)
    world.ensure(running.device, [running], Fence("clu_a", 7))
    world.stuck_dirty(NODE)
    world.move_nic(GUIDS[0], "leaf-x", 9)
    world.plant(NetworkPort(NODE, 0, 900, "10.0.0.2/20"), owner="clu_b")
    world.close()
    again = open_file(tmp_path)
    assert again.everything() == {
        running.device: {running},
        f"port/{NODE}": {NetworkPort(NODE, 0, 900, "10.0.0.2/20")},
    }
    assert again.dirty_gpu_mask(NODE) == 0xFF
    assert again.port_locations("ib0")[0].switch_port == 9
    with pytest.raises(StaleGenerationError):
        again.remove(running.device, [running], Fence("clu_a", 6))
    again.rewind(running.device, 1)
    assert again.entries(running.device) == frozenset()
    again.close()


ACCOUNTS = """
import sys
from pathlib import Path
from gigawatt.boundary.entries import BmcAccount
from gigawatt.drivers.fake import DeviceWorld, FileStates
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.interfaces.driver import Fence
path, prefix, node = sys.argv[1:]
world = DeviceWorld(hgx_fleet(64), FileStates(Path(path)))
for i in range(60):
    account = BmcAccount(node, f"{prefix}{i}", "s")
    world.ensure(account.device, [account], Fence(f"clu_{prefix}", 1))
    if i % 3 == 0:
        world.remove(account.device, [account], Fence(f"clu_{prefix}", 1))
world.close()
"""


def test_processes_on_one_file_do_not_lose_each_others_writes(tmp_path):
    path = tmp_path / "devices.sqlite"
    environment = {**os.environ, "PYTHONPATH": str(Path(gigawatt.__file__).parents[1])}
    writers = [
        subprocess.Popen([sys.executable, "-c", ACCOUNTS, str(path), prefix, NODE], env=environment)
        for prefix in "xyz"
    ]
    assert [writer.wait() for writer in writers] == [0, 0, 0]
    with closing(DeviceWorld(FLEET, FileStates(path))) as world:
        left = {f"{p}{i}" for p in "xyz" for i in range(60) if i % 3}
        assert {entry.username for entry in world.entries(f"bmc/{NODE}")} == left


WRITER = """
import sys
from pathlib import Path
from gigawatt.boundary.entries import PartitionMember
from gigawatt.drivers.fake import DeviceWorld, FileStates
from gigawatt.fleet.demo import hgx_fleet
from gigawatt.interfaces.driver import Fence
fleet = hgx_fleet(64)
world = DeviceWorld(fleet, FileStates(Path(sys.argv[1])))
for round in range(1, 10_000):
    members = [PartitionMember("ib0", 1 + round % 9, int(g), "full") for g in fleet.nics.guid]
    world.ensure("fabric/ib0", members, Fence("clu_a", round))
    print(round, flush=True)
    if round % 9 == 0:
        held = world.entries("fabric/ib0")
        world.remove("fabric/ib0", sorted(held, key=repr), Fence("clu_a", round))
"""


@pytest.mark.parametrize("rounds_before_kill", [1, 4, 13])
def test_a_killed_process_leaves_whole_calls_only(tmp_path, rounds_before_kill):
    path = tmp_path / "devices.sqlite"
    source = Path(gigawatt.__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(source)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as writer:
        for _ in range(rounds_before_kill):
            last = int(writer.stdout.readline())
        writer.send_signal(signal.SIGKILL)
        tail = [int(line) for line in writer.stdout if line.endswith("\n")]
        writer.wait()
    last = tail[-1] if tail else last
    with closing(DeviceWorld(FLEET, FileStates(path))) as world:
        by_p_key = {}
        for entry in world.entries("fabric/ib0"):
            by_p_key.setdefault(entry.p_key, set()).add(entry.guid)
        assert all(guids == set(GUIDS) for guids in by_p_key.values())
        generation = world.states(["fabric/ib0"])["fabric/ib0"].generations["clu_a"]
        assert last <= generation <= last + 1


def test_a_rewound_device_has_the_generation_it_had_then():
    world = DeviceWorld(FLEET)
    first, second = BmcAccount(NODE, "x", "s"), BmcAccount(NODE, "y", "s")
    world.ensure(first.device, [first], Fence("clu_a", 1))
    world.ensure(first.device, [second], Fence("clu_a", 1))
    world.ensure(first.device, [], Fence("clu_a", 5))
    world.rewind(first.device, 1)
    world.ensure(first.device, [second], Fence("clu_a", 1))
    assert world.entries(first.device) == {first, second}


@pytest.mark.parametrize("is_written_before", [True, False])
def test_a_call_that_fails_half_way_is_rolled_back(tmp_path, is_written_before):
    world = open_file(tmp_path)
    first, second = BmcAccount(NODE, "x", "s"), BmcAccount(NODE, "y", "s")
    before = {first} if is_written_before else set()
    if is_written_before:
        world.ensure(first.device, [first], Fence("clu_a", 1))
    with closing(sqlite3.connect(tmp_path / "devices.sqlite")) as db:
        db.execute(
            "CREATE TRIGGER full BEFORE INSERT ON history"
            " BEGIN SELECT RAISE(ROLLBACK, 'disk full'); END"
        )
    with pytest.raises((DriverRetryableError, DataError)):
        world.ensure(first.device, [second], Fence("clu_a", 2))
    assert world.entries(first.device) == before
    with closing(sqlite3.connect(tmp_path / "devices.sqlite")) as db:
        db.execute("DROP TRIGGER full")
    world.ensure(first.device, [second], Fence("clu_a", 1))
    assert world.entries(first.device) == before | {second}
    world.close()


def test_a_file_that_is_locked_for_too_long_is_worth_a_retry(tmp_path, monkeypatch):
    monkeypatch.setattr("gigawatt.drivers.fake.file_states.LOCK_WAIT_S", 0.01)
    world = open_file(tmp_path)
    account = BmcAccount(NODE, "x", "s")
    with closing(sqlite3.connect(tmp_path / "devices.sqlite", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(DriverRetryableError, match="locked"):
            world.ensure(account.device, [account], Fence("clu_a", 1))
    world.ensure(account.device, [account], Fence("clu_a", 1))
    world.close()


def test_a_file_that_is_something_else_is_named_and_left_alone(tmp_path):
    path = tmp_path / "devices.sqlite"
    path.write_text("not a database, but longer than the header of one" * 10)
    with pytest.raises(DataError, match=r"devices\.sqlite"):
        FileStates(path)
    assert path.read_text().startswith("not a database")
    with pytest.raises(DataError, match="nowhere"):
        FileStates(tmp_path / "nowhere" / "devices.sqlite")


def test_a_file_of_another_format_is_refused(tmp_path):
    with closing(sqlite3.connect(tmp_path / "devices.sqlite")) as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(DataError, match="format 99"):
        open_file(tmp_path)
