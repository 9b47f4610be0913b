"""A process that reads one InfiniBand subnet: JSON lines in, JSON lines out.

It stands alone (no import of the package), because it runs with the environment that the subnet
needs: nothing on real hardware, ``LD_PRELOAD`` and ``SIM_HOST`` on a simulator. It only ever sends
Get: of NodeInfo, PortInfo, SwitchInfo and P_KeyTable by directed route, which needs no subnet
manager, and of PathRecord to the subnet manager, whose LID is resolved anew for every request.

| request | answer |
|---|---|
| {"do": "scan"} | {"ports": [[guid, switch guid, switch port, host table, switch table], ...]} |
| {"do": "tables", "guids": [g, ...]} | {"ports": rows as above of those that are where they were} |
| {"do": "health"} | {"links": [[guid, port, PortInfo, PortInfo of the other end, counters], ...]} |
| {"do": "present", "guids": [g, ...]} | {"guids": those of them that are where they were} |
| {"do": "paths", "pairs": [[a, b], ...]} | {"paths": [true or false, ...]} |

A table is the sorted list of its 16-bit P_Keys other than 0. {"error": sentence} answers what went
wrong. Every block of a table is read: OpenSM goes on behind the place of the last P_Key that a port
ever had, so its only one may be in the second block, and what is left in one is seen nowhere else.
Source of offsets and attributes: InfiniBand Architecture vol. 1, section 14.2.5.
"""

import ctypes
import errno
import json
import os
import sys
from collections import deque
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

Row = list[object]
Path = tuple[int, ...]
"""Switch ports to go out by, from this process's own port on."""


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
        classes = (ctypes.c_int * 4)(1, 0x81, 3, PERFORMANCE_CLASS)
        opened = self._mad.mad_rpc_open_port(adapter.encode(), adapter_port, classes, 4)
        if not opened:
            raise FabricError(f"port {adapter_port} of {adapter!r} cannot be opened")
        self._opened = ctypes.c_void_p(opened)
        self._mad.mad_rpc_set_timeout(self._opened, TIMEOUT_MS)
        self._mad.mad_rpc_set_retries(self._opened, TRY_COUNT)
        self._places: dict[int, _Place] = {}
        m_key = os.environ.get(M_KEY_VARIABLE)
        if m_key:
            self._mad.smp_mkey_set(self._opened, ctypes.c_uint64(int(m_key, 0)))

    def scan(self) -> list[Row]:
        """Every host port of the subnet with both its tables, found by walking over all links.

        Raises:
            FabricError: this process's own node does not answer.
        """
        self._find()
        rows = [self._row(guid, place) for guid, place in self._places.items()]
        return [row for row in rows if row is not None]

    def present(self, guids: list[int]) -> list[int]:
        """Those host ports that are still where the last scan found them."""
        return [g for g in guids if g in self._places and self._is_there(g, self._places[g])]

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
        about = self._get(route, SWITCH_INFO)
        block_count = _blocks(about[14:16]) if about else 0
        further: list[Path] = []
        for switch_port in range(1, port_count + 1):
            state = self._get(route, PORT_INFO, switch_port)
            if state is None or state[32] & 0xF < INITIALIZED:
                continue
            beyond = (*route, switch_port)
            info = self._get(beyond, NODE_INFO)
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
        rows = [self._row(guid, place) for guid, place in places]
        return [row for row in rows if row is not None]

    def _is_there(self, guid: int, place: _Place) -> bool:
        info = self._get(place.to_host, NODE_INFO)
        return info is not None and int.from_bytes(info[20:28], "big") == guid

    def _row(self, guid: int, place: _Place) -> Row | None:
        if not self._is_there(guid, place):
            return None
        host = self._p_keys(place.to_host, 0, place.host_block_count)
        leaf = self._p_keys(place.to_switch, place.switch_port, place.switch_block_count)
        if host is None or leaf is None:
            return None
        return [guid, place.switch_guid, place.switch_port, host, leaf]

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
        if FULL_DEFAULT not in (self._p_keys((), 0, 1) or ()):
            raise FabricError("it hides paths: the own port is limited in the default partition")
        prefix = own[8:16] if any(own[8:16]) else bytes.fromhex("fe80000000000000")
        answers = [self._is_path(manager, prefix, a, b) for a, b in pairs]
        about = self._query(manager, SM_INFO)
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

    def _p_keys(self, route: Path, switch_port: int, block_count: int) -> list[int] | None:
        found: set[int] = set()
        for block in range(block_count):
            data = self._get(route, P_KEY_TABLE, block | switch_port << 16)
            if data is None:
                return None
            found |= {data[i] << 8 | data[i + 1] for i in range(0, 64, 2)}
        return sorted(found - {0})

    def _get(self, route: Path, attribute: int, modifier: int = 0) -> bytes | None:
        target = _PortId()
        target.drpath.cnt = len(route)
        for i, switch_port in enumerate(route, start=1):
            target.drpath.p[i] = switch_port
        return self._query(target, attribute, modifier)

    def _query(self, target: _PortId, attribute: int, modifier: int = 0) -> bytes | None:
        data = (ctypes.c_uint8 * 64)()
        is_answered = self._mad.smp_query_via(
            data, ctypes.byref(target), attribute, modifier, 0, self._opened
        )
        return bytes(data) if is_answered else None


def _blocks(capacity: bytes) -> int:
    return -(-int.from_bytes(capacity, "big") // P_KEYS_PER_BLOCK)


def _answer(reader: MadReader, request: dict[str, object]) -> dict[str, object]:
    guids, pairs = request.get("guids"), request.get("pairs")
    if request["do"] == "scan":
        return {"ports": reader.scan()}
    if request["do"] == "tables" and isinstance(guids, list):
        return {"ports": reader.tables(guids)}
    if request["do"] == "health":
        return {"links": reader.health()}
    if request["do"] == "present" and isinstance(guids, list):
        return {"guids": reader.present(guids)}
    if request["do"] == "paths" and isinstance(pairs, list):
        return {"paths": reader.paths(pairs)}
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
