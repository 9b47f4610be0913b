"""A process that reads one InfiniBand subnet: JSON lines in, JSON lines out.

It stands alone (no import of the package), because it runs with the environment that the subnet
needs: nothing on real hardware, ``LD_PRELOAD`` and ``SIM_HOST`` on a simulator. It only ever sends
Get: of NodeInfo, PortInfo, SwitchInfo and P_KeyTable by directed route, which needs no subnet
manager, and of PathRecord to the subnet manager, whose LID is resolved anew for every request.
Those by directed route are sent some at a time, for it is the waiting for each that takes long.

| request | answer |
|---|---|
| {"do": "scan"} | {"ports": [[guid, switch guid, switch port, host table, switch table], ...]} |
| {"do": "tables", "guids": [g, ...]} | {"ports": rows as above of those that are where they were} |
| {"do": "follow", "guids": [g, ...], "table": [P_Key, ...], "is_told": bool, "wait_s": s} | below |
| {"do": "health"} | {"links": [[guid, port, PortInfo, PortInfo of the other end, counters], ...]} |
| {"do": "present", "guids": [g, ...]} | {"guids": those of them that are where they were} |
| {"do": "paths", "pairs": [[a, b], ...]} | {"paths": [true or false, ...]} |

``follow`` waits for the last of its ports, see there: {"is_right": true or false, "ports": rows}.
A table is the sorted list of its 16-bit P_Keys other than 0. {"error": sentence} answers what went
wrong. Every block of a table is read: OpenSM goes on behind the place of the last P_Key that a port
ever had, so its only one may be in the second block, and what is left in one is seen nowhere else.
Source of offsets and attributes: InfiniBand Architecture vol. 1, section 14.2.5.
"""

import ctypes
import errno
import json
import os
import struct
import sys
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

NODE_INFO, SWITCH_INFO, PORT_INFO, P_KEY_TABLE, SM_INFO = 0x11, 0x12, 0x15, 0x16, 0x20
PORT_COUNTERS, PERFORMANCE_CLASS = 0x12, 4
QP1_Q_KEY = 0x80010000
SWITCH_NODE = 2
INITIALIZED = 2
"""Port state from which on a port answers."""
P_KEYS_PER_BLOCK = 32
FULL_DEFAULT = 0xFFFF
"""What a full member of the default partition holds, in the first block: OpenSM puts it there."""
M_KEY_VARIABLE = "GIGAWATT_M_KEY"
"""In the environment, so that no list of processes shows it; needed at protection level 2."""
TIMEOUT_MS, TRY_COUNT = 500, 3
WINDOW = 8
"""Requests that are on their way at once. A socket of the simulator holds ten; OpenSM has four on
their way unless told otherwise, NVIDIA's more (``max_wire_smps``)."""
EARLY, PAUSE, PAUSE_S_MIN, PAUSE_S_MAX = 0.9, 0.1, 0.001, 0.05
"""When a manager's sweep is first looked at, as a share of the least time that one of the last
``LATELY`` took to come to its last port, and the pause between two looks, as a share of the time
since. Each look takes time from the manager; what is right sooner is found sooner the next time,
and one slow sweep makes nobody wait at the next. Ours."""
LATELY = 4

Row = list[object]
Path = tuple[int, ...]
"""Switch ports to go out by, from this process's own port on."""
Ask = tuple[Path, int, int]
"""Route to a node, attribute, attribute modifier."""


class FabricError(Exception):
    """The subnet did not answer what it must."""


class _DirectedRoute(ctypes.Structure):
    _fields_ = [  # type: ignore[mutable-override]
        ("cnt", ctypes.c_int),
        ("p", ctypes.c_uint8 * 64),
        ("drslid", ctypes.c_uint16),
        ("drdlid", ctypes.c_uint16),
    ]


class _PortId(ctypes.Structure):
    """``ib_portid_t`` of ``infiniband/mad.h``."""

    _fields_ = [  # type: ignore[mutable-override]
        ("lid", ctypes.c_int),
        ("drpath", _DirectedRoute),
        ("grh_present", ctypes.c_int),
        ("gid", ctypes.c_uint8 * 16),
        ("qp", ctypes.c_uint32),
        ("qkey", ctypes.c_uint32),
        ("sl", ctypes.c_uint8),
        ("pkey_idx", ctypes.c_uint),
    ]


@dataclass(frozen=True)
class _Place:
    """Where a host's port was found: routes to its leaf and to itself, blocks of their tables."""

    switch_guid: int
    switch_port: int
    to_switch: Path
    to_host: Path
    switch_block_count: int
    host_block_count: int

    def asks(self) -> list[Ask]:
        """What to ask for its row: who it is, each block of its table, of that of its leaf."""
        own = [(self.to_host, P_KEY_TABLE, block) for block in range(self.host_block_count)]
        of_leaf = [
            (self.to_switch, P_KEY_TABLE, block | self.switch_port << 16)
            for block in range(self.switch_block_count)
        ]
        return [(self.to_host, NODE_INFO, 0), *own, *of_leaf]


class _Smps:
    """Sends Gets by directed route through an open port, ``WINDOW`` at a time.

    Source: InfiniBand Architecture vol. 1, section 14.2.1.2; ``libibmad`` sends the same, singly.
    """

    _CLASS, _PERMISSIVE_LID, _STATUS_MASK = 0x81, 0xFFFF, 0x7FFF
    _HEAD = struct.Struct(">BBBBHBBQHHIQHH")
    """Version, class, its version, method, status, hop pointer and count, transaction, attribute,
    reserved, modifier, M_Key, LIDs at either end of the route."""
    _DATA_AT, _DATA_BYTES, _ROUTE_AT, _MAD_BYTES = 64, 64, 128, 256

    def __init__(self, mad: ctypes.CDLL, opened: ctypes.c_void_p, m_key: int) -> None:
        self._umad = ctypes.CDLL("libibumad.so.3", use_errno=True)
        self._port = mad.mad_rpc_portid(opened)
        self._agent = mad.mad_rpc_class_agent(opened, self._CLASS)
        self._m_key = m_key
        self._at = self._umad.umad_size()
        self._sent = ctypes.create_string_buffer(self._at + self._MAD_BYTES)
        self._got = ctypes.create_string_buffer(self._at + self._MAD_BYTES)
        self._out, self._in = (memoryview(x).cast("B") for x in (self._sent, self._got))
        self._umad.umad_set_addr(self._sent, self._PERMISSIVE_LID, 0, 0, 0)
        self._number = int.from_bytes(os.urandom(4), "big")

    def get(self, asks: Sequence[Ask]) -> list[bytes | None]:
        """The 64 bytes of each answer, in the order of ``asks``; None where none came."""
        answers: list[bytes | None] = [None] * len(asks)
        left = [(row, TRY_COUNT) for row in reversed(range(len(asks)))]
        under_way: dict[int, tuple[int, int]] = {}
        while left or under_way:
            while left and len(under_way) < WINDOW:
                row, tries = left.pop()
                if self._send(asks[row]):
                    under_way[self._number] = row, tries - 1
            if not under_way:
                continue
            number, is_lost = self._receive()
            # Nothing at all for so long: all that is under way is lost.
            for each in [number] if number is not None else list(under_way):
                row, tries = under_way.pop(each, (-1, 0))
                if row >= 0 and not is_lost:
                    answers[row] = self._data()
                elif tries:
                    left.append((row, tries))
        return answers

    def _send(self, ask: Ask) -> bool:
        """Send one under the next number; whether it went out."""
        route, attribute, modifier = ask
        self._number = (self._number + 1) & 0xFFFFFFFF
        lid = self._PERMISSIVE_LID
        head = (1, self._CLASS, 1, 1, 0, 0, len(route), self._number, attribute, 0, modifier)
        self._HEAD.pack_into(self._out, self._at, *head, self._m_key, lid, lid)
        # The first place of a route is the own port's and is not read.
        begin = self._at + self._ROUTE_AT + 1
        self._out[begin : begin + len(route)] = bytes(route)
        size, tries_of_kernel = self._MAD_BYTES, 0
        sent = self._umad.umad_send(
            self._port, self._agent, self._sent, size, TIMEOUT_MS, tries_of_kernel
        )
        return int(sent) >= 0

    def _receive(self) -> tuple[int | None, bool]:
        """Number of the request of what comes next, None if nothing came; and whether it is lost.

        What is not answered in time is given back by the kernel, with a status.
        """
        size = ctypes.byref(ctypes.c_int(self._MAD_BYTES))
        if self._umad.umad_recv(self._port, self._got, size, 2 * TIMEOUT_MS) < 0:
            return None, True
        number = int.from_bytes(self._in[self._at + 12 : self._at + 16], "big")
        return number, bool(self._umad.umad_status(self._got))

    def _data(self) -> bytes | None:
        """What the answer says; None if that it has no such attribute."""
        status = int.from_bytes(self._in[self._at + 4 : self._at + 6], "big") & self._STATUS_MASK
        begin = self._at + self._DATA_AT
        return None if status else bytes(self._in[begin : begin + self._DATA_BYTES])


class MadReader:
    """One open port of one adapter; not safe to use from two threads."""

    def __init__(self, adapter: str, adapter_port: int) -> None:
        """Open a port of an adapter, e.g. port 1 of ``mlx5_0``.

        Raises:
            FabricError: there is no such port, or it may not be used.
        """
        self._mad = ctypes.CDLL("libibmad.so.5", use_errno=True)
        self._mad.mad_rpc_open_port.restype = ctypes.c_void_p
        self._mad.smp_query_via.restype = ctypes.c_void_p
        self._mad.pma_query_via.restype = ctypes.c_void_p
        self._mad.mad_rpc_portid.argtypes = [ctypes.c_void_p]
        self._mad.mad_rpc_class_agent.argtypes = [ctypes.c_void_p, ctypes.c_int]
        classes = (ctypes.c_int * 4)(1, 0x81, 3, PERFORMANCE_CLASS)
        opened = self._mad.mad_rpc_open_port(adapter.encode(), adapter_port, classes, 4)
        if not opened:
            raise FabricError(f"port {adapter_port} of {adapter!r} cannot be opened")
        self._opened = ctypes.c_void_p(opened)
        self._mad.mad_rpc_set_timeout(self._opened, TIMEOUT_MS)
        self._mad.mad_rpc_set_retries(self._opened, TRY_COUNT)
        self._places: dict[int, _Place] = {}
        m_key = int(os.environ.get(M_KEY_VARIABLE) or "0", 0)
        if m_key:
            self._mad.smp_mkey_set(self._opened, ctypes.c_uint64(m_key))
        self._smps = _Smps(self._mad, self._opened, m_key)
        self._told_s = 0.0
        self._lately_s: deque[float] = deque(maxlen=LATELY)

    def scan(self) -> list[Row]:
        """Every host port of the subnet with both its tables, found by walking over all links.

        Raises:
            FabricError: this process's own node does not answer.
        """
        self._find()
        return self.tables(list(self._places))

    def present(self, guids: list[int]) -> list[int]:
        """Those host ports that are still where the last scan found them."""
        known = [guid for guid in guids if guid in self._places]
        infos = self._get_all([(self._places[guid].to_host, NODE_INFO, 0) for guid in known])
        return [guid for guid, info in zip(known, infos, strict=True) if _is_port(info, guid)]

    def health(self) -> list[Row]:
        """Every port at either end of a link: its PortInfo, the other end's, its counters.

        Raises:
            FabricError: this process's own node does not answer.
        """
        rows: list[Row] = []
        for guid, (route, port_count) in self._find().items():
            own = self._get(route, PORT_INFO)
            for switch_port in range(1, port_count + 1):
                here = self._get(route, PORT_INFO, switch_port)
                if own is None or here is None or here[32] & 0xF < INITIALIZED:
                    continue
                beyond = (*route, switch_port)
                info = self._get(beyond, NODE_INFO)
                there = None if info is None else self._get(beyond, PORT_INFO, info[36])
                if info is None or there is None:
                    continue
                counters = self._counters(own[16:18], switch_port)
                rows.append([guid, switch_port, list(here), list(there), counters])
                if info[2] != SWITCH_NODE:
                    counters = self._counters(there[16:18], info[36])
                    host = int.from_bytes(info[20:28], "big")
                    rows.append([host, info[36], list(there), list(here), counters])
        return rows

    def _counters(self, lid: bytes, port: int) -> list[int] | None:
        """The 64 bytes of PortCounters, None where it does not answer."""
        target = _PortId()
        target.lid, target.qp, target.qkey = int.from_bytes(lid, "big"), 1, QP1_Q_KEY
        data = (ctypes.c_uint8 * 1024)()
        is_answered = self._mad.pma_query_via(
            data, ctypes.byref(target), port, 0, PORT_COUNTERS, self._opened
        )
        return list(data[:64]) if is_answered else None

    def _find(self) -> dict[int, tuple[Path, int]]:
        """Walk over all links; route and number of ports of every switch, by its GUID.

        Raises:
            FabricError: this process's own node does not answer.
        """
        own = self._get((), NODE_INFO)
        if own is None:
            raise FabricError("the own port does not answer: no fabric")
        # An adapter has one way out; a switch that hosts the manager has all its ports.
        start: Path = () if own[2] == SWITCH_NODE else (own[36],)
        # The nearest first: routes are short then, and one of more than 63 hops cannot be told.
        fresh = deque([start])
        seen: dict[int, tuple[Path, int]] = {}
        self._places = {}
        while fresh:
            route = fresh.popleft()
            info = self._get(route, NODE_INFO)
            if info is not None and info[2] == SWITCH_NODE:
                guid = int.from_bytes(info[12:20], "big")
                if guid not in seen:
                    seen[guid] = route, info[3]
                    fresh += self._walk(route, guid, info[3])
        return seen

    def _walk(self, route: Path, switch_guid: int, port_count: int) -> list[Path]:
        """Note the hosts at a switch; routes to the switches beside it."""
        about, *states = self._get_all(
            [
                (route, SWITCH_INFO, 0),
                *((route, PORT_INFO, port) for port in range(1, port_count + 1)),
            ]
        )
        block_count = _blocks(about[14:16]) if about else 0
        live = [
            switch_port
            for switch_port, state in enumerate(states, start=1)
            if state is not None and state[32] & 0xF >= INITIALIZED
        ]
        infos = self._get_all([((*route, port), NODE_INFO, 0) for port in live])
        further: list[Path] = []
        for switch_port, info in zip(live, infos, strict=True):
            beyond = (*route, switch_port)
            if info is None:
                continue
            if info[2] == SWITCH_NODE:
                further.append(beyond)
                continue
            self._places[int.from_bytes(info[20:28], "big")] = _Place(
                switch_guid, switch_port, route, beyond, block_count, _blocks(info[28:30])
            )
        return further

    def tables(self, guids: list[int]) -> list[Row]:
        """Rows of those host ports that are still where the last scan found them."""
        places = [(guid, self._places[guid]) for guid in guids if guid in self._places]
        asks = [place.asks() for _, place in places]
        answers = iter(self._get_all([ask for some in asks for ask in some]))
        rows: list[Row] = []
        for (guid, place), some in zip(places, asks, strict=True):
            info, *blocks = [next(answers) for _ in some]
            host = _p_keys(blocks[: place.host_block_count])
            leaf = _p_keys(blocks[place.host_block_count :])
            if _is_port(info, guid) and host is not None and leaf is not None:
                rows.append([guid, place.switch_guid, place.switch_port, host, leaf])
        return rows

    def follow(self, guids: list[int], table: list[int], wait_s: float) -> tuple[bool, list[Row]]:
        """Whether the last of ``guids`` came to hold ``table`` in time; then the rows of all.

        Else, that is after ``wait_s`` or when it is not where it was, its own row at most.
        """
        began_s = now_s = time.monotonic()
        pause_s = self._told_s + EARLY * min(self._lately_s, default=0.0) - now_s
        while True:
            time.sleep(min(max(pause_s, PAUSE_S_MIN), wait_s))
            last = self.tables(guids[-1:])
            now_s = time.monotonic()
            if not last or now_s >= began_s + wait_s or last[0][3:] == [table, table]:
                break
            pause_s = min(PAUSE * (now_s - self._told_s), PAUSE_S_MAX)
        if not last or last[0][3:] != [table, table]:
            return False, last
        self._lately_s.append(now_s - self._told_s)
        return True, [*self.tables(guids[:-1]), *last]

    def told(self) -> None:
        """Note that the manager was told to sweep just now."""
        self._told_s = time.monotonic()

    def paths(self, pairs: list[list[int]]) -> list[bool]:
        """For each pair of port GUIDs whether the subnet manager gives a path.

        A no is worth something only from a manager that would have said yes. One that has not swept
        yet knows no path, so it is asked for one that there always is, from its own port to itself;
        and a manager hides the paths of ports that share no partition with who asks, so the own
        port must be a full member of the default partition, as that of the master is (SELF=full).

        Raises:
            FabricError: the subnet manager does not answer, or has not swept yet.
        """
        manager = _PortId()
        if self._mad.ib_resolve_smlid_via(ctypes.byref(manager), TIMEOUT_MS, self._opened) < 0:
            raise FabricError("the subnet manager has no address")
        own = self._get((), PORT_INFO)
        if own is None:
            raise FabricError("the own port does not answer")
        if FULL_DEFAULT not in (_p_keys([self._get((), P_KEY_TABLE)]) or ()):
            raise FabricError("it hides paths: the own port is limited in the default partition")
        prefix = own[8:16] if any(own[8:16]) else bytes.fromhex("fe80000000000000")
        answers = [self._is_path(manager, prefix, a, b) for a, b in pairs]
        about = self._about_manager(manager)
        own_guid = int.from_bytes(about[:8], "big") if about else 0
        if not all(answers) and not self._is_path(manager, prefix, own_guid, own_guid):
            raise FabricError("the subnet manager does not know its subnet yet")
        return answers

    def _is_path(self, manager: _PortId, prefix: bytes, a: int, b: int) -> bool:
        gids = [(ctypes.c_uint8 * 16)(*prefix, *guid.to_bytes(8, "big")) for guid in (a, b)]
        answer = (ctypes.c_uint8 * 256)()
        ctypes.set_errno(0)
        target = ctypes.byref(manager)
        lid = self._mad.ib_path_query_via(self._opened, gids[0], gids[1], target, answer)
        if lid < 0 and ctypes.get_errno() == errno.ETIMEDOUT:
            raise FabricError("the subnet manager does not answer")
        return bool(lid > 0)

    def _get(self, route: Path, attribute: int, modifier: int = 0) -> bytes | None:
        return self._get_all([(route, attribute, modifier)])[0]

    def _get_all(self, asks: Sequence[Ask]) -> list[bytes | None]:
        return self._smps.get(asks)

    def _about_manager(self, manager: _PortId) -> bytes | None:
        """SMInfo of a manager."""
        data = (ctypes.c_uint8 * 64)()
        is_answered = self._mad.smp_query_via(
            data, ctypes.byref(manager), SM_INFO, 0, 0, self._opened
        )
        return bytes(data) if is_answered else None


def _is_port(node_info: bytes | None, guid: int) -> bool:
    return node_info is not None and int.from_bytes(node_info[20:28], "big") == guid


def _p_keys(blocks: Sequence[bytes | None]) -> list[int] | None:
    """The P_Keys of a table other than 0, sorted; None if one of its blocks is not known."""
    found: set[int] = set()
    for data in blocks:
        if data is None:
            return None
        found.update(struct.unpack(f">{P_KEYS_PER_BLOCK}H", data))
    return sorted(found - {0})


def _blocks(capacity: bytes) -> int:
    return -(-int.from_bytes(capacity, "big") // P_KEYS_PER_BLOCK)


def _answer(reader: MadReader, request: dict[str, object]) -> dict[str, object]:
    guids, pairs = request.get("guids"), request.get("pairs")
    if request["do"] == "scan":
        return {"ports": reader.scan()}
    if request["do"] == "health":
        return {"links": reader.health()}
    if request["do"] == "paths" and isinstance(pairs, list):
        return {"paths": reader.paths(pairs)}
    if isinstance(guids, list):
        return _answer_of_ports(reader, guids, request)
    return {"error": "no such request"}


def _answer_of_ports(
    reader: MadReader, guids: list[int], request: dict[str, object]
) -> dict[str, object]:
    if request["do"] == "tables":
        return {"ports": reader.tables(guids)}
    if request["do"] == "present":
        return {"guids": reader.present(guids)}
    table, wait_s = request.get("table"), request.get("wait_s")
    if request["do"] == "follow" and isinstance(table, list) and isinstance(wait_s, float):
        if request.get("is_told"):
            reader.told()
        is_right, rows = reader.follow(guids, table, wait_s)
        return {"is_right": is_right, "ports": rows}
    return {"error": "no such request"}


def main(adapter: str, adapter_port: str) -> None:
    """Answer requests until standard input ends."""
    reader: MadReader | None = None
    for line in sys.stdin:
        try:
            reader = reader or MadReader(adapter, int(adapter_port))
            answer = _answer(reader, json.loads(line))
        except FabricError as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
