"""Goal: the reader of a subnet finds every port by the shortest way, and no answer is mixed up.

Method: the walk over links runs on a made-up fabric whose switches are one long chain with a short
cut, without any hardware: what NodeInfo and PortInfo say is computed. Depth first, its routes would
be longer than a directed route can be. The sender of requests meets a fabric that loses, delays and
doubles answers as hypothesis likes; waiting for a manager meets a table that turns right after some
looks; readers that fail stand beside one that does not.
"""

import subprocess
import sys
from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gigawatt.drivers.opensm import mad_reader, questions
from gigawatt.drivers.opensm.fabric_reader import FabricReader, side_by_side
from gigawatt.drivers.opensm.mad_reader import (
    NODE_INFO,
    PORT_INFO,
    SWITCH_NODE,
    TRY_COUNT,
    WINDOW,
    MadReader,
)
from gigawatt.drivers.opensm.subnet import Subnet
from gigawatt.errors import DriverRetryableError

RING = 100


class Ring(MadReader):
    """Switches in a ring: port 1 to the next, port 2 to the one before, port 3 to a host."""

    def __init__(self) -> None:
        self._places = {}

    def _get_all(self, asks):
        return [self._answer(route, attribute) for route, attribute, _ in asks]

    def _answer(self, route, attribute):
        at, is_host = 0, False
        for port in route:
            assert not is_host, "a host does not forward"
            is_host = port == 3
            at = (at + {1: 1, 2: -1, 3: 0}[port]) % RING
        data = bytearray(64)
        if attribute == NODE_INFO:
            data[2], data[3] = (1, 1) if is_host else (SWITCH_NODE, 3)
            data[12:20] = (1000 + at).to_bytes(8, "big")
            data[20:28] = (2000 + at).to_bytes(8, "big")
        if attribute == PORT_INFO:
            data[32] = 4
        return bytes(data)


def test_every_port_is_found_by_the_shortest_way():
    ring = Ring()
    rows = ring.scan()
    assert sorted(row[0] for row in rows) == [2000 + n for n in range(RING)]
    hops = {guid - 2000: len(place.to_host) for guid, place in ring._places.items()}
    assert hops == {n: min(n, RING - n) + 1 for n in range(RING)}
    assert max(hops.values()) < 64
    assert mad_reader.P_KEYS_PER_BLOCK == 32


class Wire(mad_reader._Smps):
    """A wire that does to each request what the next of ``fates`` says."""

    def __init__(self, fates: list[str]) -> None:
        self._fates = iter(fates)
        self._number = 2**32 - 3
        self._on_wire: list[tuple[int, str, bytes]] = []
        self._came = b""
        self.sent: Counter = Counter()
        self.most_under_way = 0

    def _send(self, ask):
        route, _, _ = ask
        self._number = (self._number + 1) & 0xFFFFFFFF
        self.sent[ask] += 1
        fate = next(self._fates, "answered")
        if fate == "unsent":
            return False
        answer = bytes(route)
        arrivals = {"late": 1, "doubled": 2}.get(fate, 0)
        self._on_wire += [(self._number, fate, answer)] * max(arrivals, 1)
        self.most_under_way = max(self.most_under_way, len({n for n, _, _ in self._on_wire}))
        return True

    def _receive(self):
        if not self._on_wire:
            return None, True
        late = [each for each in self._on_wire if each[1] == "late"]
        number, fate, self._came = each = self._on_wire[0] if not late else late[-1]
        self._on_wire.remove(each)
        if fate == "silent":
            self._on_wire = [(n, f, a) for n, f, a in self._on_wire if f != "silent"]
            return (None, True) if not self._on_wire else self._receive()
        return number, fate == "timed_out"

    def _data(self):
        return None if self._came[0] == 255 else self._came


FATES = st.sampled_from(["answered", "late", "doubled", "timed_out", "silent", "unsent"])


@given(fates=st.lists(FATES, max_size=60), count=st.integers(0, 40))
def test_every_answer_is_that_of_its_own_request(fates, count):
    wire = Wire(fates)
    asks = [((n,), NODE_INFO, 0) for n in range(count)]
    answers = wire.get(asks)
    assert len(answers) == count
    assert all(answer in (None, bytes([n])) for n, answer in enumerate(answers))
    assert all(1 <= wire.sent[ask] <= TRY_COUNT for ask in asks)
    if not set(fates) - {"answered", "late", "doubled"}:
        assert answers == [bytes([n]) for n in range(count)]
        assert set(wire.sent.values()) <= {1}


def test_no_more_than_a_window_is_under_way_and_a_refused_attribute_is_not_asked_again():
    wire = Wire([])
    asks = [((n % 256,), NODE_INFO, 0) for n in range(300)]
    answers = wire.get(asks)
    assert wire.most_under_way == WINDOW
    assert [n for n, answer in enumerate(answers) if answer is None] == [255]
    assert wire.sent[((255,), NODE_INFO, 0)] == 1


class Turning(MadReader):
    """Three ports; the last one holds what it shall from the n-th look on, the others before it."""

    def __init__(self, looks: int) -> None:
        self._told_s, self._lately_s = 0.0, deque(maxlen=mad_reader.LATELY)
        self._looks = looks
        self.read: list[list[int]] = []

    def tables(self, guids):
        self.read.append(guids)
        held = [0x7FFF, 0x8010] if len(self.read) >= self._looks else [0x7FFF]
        return [[guid, 1, 1, held, held] for guid in guids]


def test_ports_are_read_behind_the_last_one_and_not_before_it_is_right():
    reader = Turning(looks=4)
    reader.told()
    is_right, rows = reader.follow([1, 2, 3], [0x7FFF, 0x8010], 60.0)
    assert is_right
    assert [row[0] for row in rows] == [1, 2, 3]
    assert reader.read == [[3], [3], [3], [3], [1, 2]]
    assert 0 < min(reader._lately_s) < 60


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_manager_that_does_nothing_is_not_waited_for_longer_than_told(is_gone):
    reader = Turning(looks=10**9)
    if is_gone:
        reader.tables = lambda guids: []
    is_right, rows = reader.follow([1, 2, 3], [0x7FFF, 0x8010], 0.01)
    assert not is_right
    assert [row[0] for row in rows] == ([] if is_gone else [3])
    assert not reader._lately_s


SCRIPTS = {
    "sound": "for n, _ in enumerate(sys.stdin): print('{\"guids\": [%d]}' % n, flush=True)",
    "erring": 'for _ in sys.stdin: print(\'{"error": "no fabric"}\', flush=True)',
    "babbling": "for _ in sys.stdin: print('what?', flush=True)",
    "dead": "",
}


class Scripted(FabricReader):
    def __init__(self, kind: str) -> None:
        super().__init__(Subnet(kind, (), "mlx5_0", 1, frozenset({1})))
        self._script = f"import sys\n{SCRIPTS[kind]}"

    def _start(self):
        return subprocess.Popen(
            [sys.executable, "-c", self._script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )


@pytest.mark.parametrize("kind", ["erring", "babbling", "dead"])
def test_a_reader_that_fails_leaves_no_answer_behind_for_the_next_question(kind):
    first, failing, last = readers = [Scripted("sound"), Scripted(kind), Scripted("sound")]
    try:
        with pytest.raises(DriverRetryableError, match=f"subnet {kind} cannot be read"):
            side_by_side([(reader, questions.present([0])) for reader in readers])
        found = side_by_side([(reader, questions.present([1])) for reader in (last, first)])
        assert found == [{1}, {1}], "the second answer, not what was left of the first"
    finally:
        for reader in readers:
            reader.close()
    assert failing.lock.acquire(blocking=False)
