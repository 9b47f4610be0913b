"""Looks all the time whether tenant B reaches anything of tenant A in a lab, on every plane.

It asks no driver and no record: packet sockets in the namespaces of the hosts, TCP connects from
the addresses that proxies have, PathRecords and port tables of the running subnet managers, and
what the hosts' own mounts show. Beside every look across stands the same look within A, so that
silence is told from blindness. A thread for each, since each waits for other things.
"""

import fcntl
import re
import socket
import struct
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from errno import EINPROGRESS
from functools import partial
from pathlib import Path
from select import select
from threading import Event, Thread
from time import monotonic
from typing import Self

from fault_lab import A_NODES, B_NODES, SPARE, FaultLab

from gigawatt.drivers.opensm.fabric_reader import FabricReader
from gigawatt.errors import DriverRetryableError
from gigawatt.lab.network.cables import guest_side
from gigawatt.lab.redfish.namespace import enter

RAILS = (0, 4, 7)
OTHERS = (*B_NODES, SPARE)
TICK_S, CONNECT_S_MAX = 0.1, 0.5
MAGIC = b"gigawatt-beacon:"
ETH_P_ALL, ETH_P_ARP, ETH_P_IP = 0x0003, 0x0806, 0x0800
LOCAL_EXPERIMENT = 0x88B5
"""IEEE 802, for whoever likes."""
BROADCAST = b"\xff" * 6
IP_FREEBIND = 15
PROXY = re.compile(r"\|-- (100\.127\.(?:1[0-5]|[0-9])\.\d+)")
"""A leaf of the kernel's tree of addresses, of the network that proxies have theirs from."""
MARK = "of-tenant-a"
DEFAULT, FULL = 0x7FFF, 0x8000
SIOCGIFADDR = 0x8915


@dataclass(frozen=True)
class Sample:
    """One look. Fields: verdict is ``apart``, ``leak``, ``inside`` (A reaches A) or ``silent``."""

    at_s: float
    plane: str
    verdict: str
    what: str = ""


@dataclass
class LabWatch:
    """Samples of one change; start it with ``with``."""

    lab: FaultLab
    samples: list[Sample] = field(default_factory=list)
    a_proxy: str = ""
    others: tuple[int, ...] = OTHERS
    _is_over: Event = field(default_factory=Event)
    _threads: list[Thread] = field(default_factory=list)
    errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Self:
        rails = [partial(self._fabric, rail) for rail in RAILS]
        for look in (*rails, self._packets, self._storage):
            thread = Thread(target=self._keep, args=(look,))
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _keep(self, look: Callable[[], Iterator[Sample]]) -> None:
        try:
            for sample in look():
                self.samples.append(sample)
                if self._is_over.is_set():
                    return
        except BaseException as error:  # noqa: BLE001 - the test must hear of a blind watch
            self.errors.append(error)

    @property
    def leaks(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.verdict == "leak"]

    def count(self, since_s: float = 0.0) -> Counter[tuple[str, str]]:
        return Counter((s.plane, s.verdict) for s in list(self.samples) if s.at_s >= since_s)

    def unseen(self, since_s: float) -> list[str]:
        """Planes on which A was not seen to reach A since then."""
        seen = self.count(since_s)
        planes = ("fabric", "tables", "in_band", "out_of_band", "storage")
        return [plane for plane in planes if not seen[plane, "inside"]]

    # The compute fabric

    def _fabric(self, rail: int) -> Iterator[Sample]:
        reader = FabricReader(self.lab.subnets[rail].subnet)
        try:
            while True:
                yield from self._paths(rail, reader)
                yield from self._tables(rail, reader)
                select([], [], [], TICK_S)
        finally:
            reader.close()

    def _paths(self, rail: int, reader: FabricReader) -> Iterator[Sample]:
        """What OpenSM answers; both ways."""
        guid = self.lab.guid
        inside = (guid(A_NODES[0], rail), guid(A_NODES[1], rail))
        across = [(guid(a, rail), guid(b, rail)) for a in A_NODES for b in self.others]
        pairs = [inside, *across, *((b, a) for a, b in across)]
        try:
            first, *others = reader.paths(pairs)
        except DriverRetryableError as error:
            yield Sample(monotonic(), "fabric", "silent", str(error))
            return
        leaks = [pair for pair, is_path in zip(pairs[1:], others, strict=True) if is_path]
        now_s = monotonic()
        yield Sample(now_s, "fabric", "leak" if leaks else "apart", str(leaks or ""))
        yield Sample(now_s, "fabric", "inside" if first else "silent", f"rail {rail}")

    def _tables(self, rail: int, reader: FabricReader) -> Iterator[Sample]:
        """What ports hold, which needs no OpenSM: two may speak if they share a P_Key."""
        rows = {row: self.lab.guid(row, rail) for row in (*A_NODES, *self.others)}
        try:
            seen = {port.guid: port for port in reader.tables(list(rows.values()))}
        except DriverRetryableError as error:
            yield Sample(monotonic(), "tables", "silent", str(error))
            return
        keys = {row: seen[guid].host for row, guid in rows.items() if guid in seen}
        leaks = [
            (a, b)
            for a in A_NODES
            for b in self.others
            if a in keys and b in keys and may_speak(keys[a], keys[b])
        ]
        now_s = monotonic()
        yield Sample(now_s, "tables", "leak" if leaks else "apart", f"rail {rail} {leaks or ''}")
        is_inside = set(A_NODES) <= keys.keys() and may_speak(*(keys[a] for a in A_NODES))
        yield Sample(now_s, "tables", "inside" if is_inside else "silent", f"rail {rail}")

    # The in-band and the out-of-band network

    def _packets(self) -> Iterator[Sample]:
        rows = (*A_NODES, *self.others)
        beacons = {row: Beacon(self.lab, row, rows) for row in rows}
        calls = Calls(self)
        try:
            next_s = monotonic()
            while True:
                if monotonic() >= next_s:
                    next_s = monotonic() + TICK_S
                    for beacon in beacons.values():
                        beacon.send()
                    yield from calls.samples()
                    yield Sample(monotonic(), "in_band", "apart")
                by_file = {beacon.socket: beacon for beacon in beacons.values()}
                for ready in select(list(by_file), [], [], TICK_S / 2)[0]:
                    yield from by_file[ready].heard()
        finally:
            for beacon in beacons.values():
                beacon.close()
            calls.close()

    # Storage

    def _storage(self) -> Iterator[Sample]:
        """Whether a host sees the file that A left in its file system."""
        places = {row: Path(f"/run/netns/node{row}") for row in (*A_NODES, *self.others)}
        # A guest's mounts are not seen from outside it.
        inodes = {row: path.stat().st_ino for row, path in places.items() if path.exists()}
        while True:
            running = machines()
            for row, inode in inodes.items():
                yield storage_sample(row, running.get(inode))
            select([], [], [], TICK_S)


def storage_sample(row: int, pid: int | None) -> Sample:
    """What the host ``row`` shows below ``/mnt``, seen through its first process."""
    now_s, is_a = monotonic(), row in A_NODES
    if pid is None:
        return Sample(now_s, "storage", "silent" if is_a else "apart", f"node {row} is off")
    try:
        found = list(mounts_of(pid).glob(f"*/*/{MARK}"))
    except OSError as error:
        return Sample(now_s, "storage", "silent", f"node {row}: {error}")
    if is_a:
        return Sample(now_s, "storage", "inside" if found else "silent", f"node {row}")
    return Sample(now_s, "storage", "leak" if found else "apart", f"node {row}: {found or ''}")


def may_speak(some: frozenset[int], others: frozenset[int]) -> bool:
    """Whether two ports share a P_Key of which one is a full member; IBA vol. 1, 10.9.3."""
    return any((a ^ b) & DEFAULT == 0 and (a | b) & FULL for a in some for b in others)


class Beacon:
    """A packet socket at a host's port: sends frames of every kind to A, and hears all.

    It is of the host's network namespace, so it is as close to the wire as root of the host gets.
    """

    def __init__(self, lab: FaultLab, row: int, rows: tuple[int, ...]) -> None:
        self.row = row
        self.own = mac(lab, row)
        self.targets = [BROADCAST, *(mac(lab, a) for a in A_NODES if a != row)]
        self.owners = {mac(lab, other): other for other in rows if other != row}
        self.guests = {mac(lab, 0, slot) for slot in range(8)}
        if lab.lab.layout.is_hypervisor(row):
            # The room's end of the cable of the guest in slot 0.
            self.socket, self.asking = sockets_in(None, guest_side(row, 0))
        else:
            self.socket, self.asking = sockets_in(f"/run/netns/node{row}", "eth0")

    def send(self) -> None:
        address = self._address()
        for target in self.targets:
            for frame in frames(self.own, target, address, MAGIC + b"%d" % self.row):
                with suppress(OSError):  # its link is down, or the queue is full
                    self.socket.send(frame)

    def close(self) -> None:
        self.socket.close()
        self.asking.close()

    def _address(self) -> bytes:
        """The host's own address; one of nobody's while it has none."""
        with suppress(OSError):
            words = fcntl.ioctl(self.asking, SIOCGIFADDR, struct.pack("256s", b"eth0"))
            return words[20:24]
        return bytes((10, 255, 0, self.row))

    def heard(self) -> Iterator[Sample]:
        for _ in range(256):
            try:
                frame, (_, _, kind, *_) = self.socket.recvfrom(2048)
            except OSError:
                return
            if kind == socket.PACKET_OUTGOING:
                continue
            yield from self._judged(frame)

    def _judged(self, frame: bytes) -> Iterator[Sample]:
        source = frame[6:12]
        sender = self.owners.get(source)
        at = frame.find(MAGIC)
        if at >= 0:
            sender = int(frame[at + len(MAGIC) :].split(b"\0")[0])
        if source in self.guests:
            sender = 0
        if sender is None or sender == self.row:
            return
        is_a, is_from_a = self.row in A_NODES, sender in A_NODES
        if is_a and is_from_a:
            yield Sample(monotonic(), "in_band", "inside", f"{sender} to {self.row}")
        elif is_a or is_from_a:
            what = f"{sender} to {self.row}: {frame[:80].hex()}"
            yield Sample(monotonic(), "in_band", "leak", what)


def mac(lab: FaultLab, row: int, slot: int = 0) -> bytes:
    return bytes.fromhex(lab.lab.layout.mac_of(row, slot).replace(":", ""))


def sockets_in(namespace: str | None, interface: str) -> tuple[socket.socket, socket.socket]:
    """A packet socket at an interface of a namespace, and one to ask for addresses with."""
    opened: list[socket.socket] = []

    def work() -> None:
        if namespace is not None:
            enter(namespace)
        opened.append(socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)))
        opened[0].bind((interface, ETH_P_ALL))
        opened[0].setblocking(False)
        opened.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))

    thread = Thread(target=work)
    thread.start()
    thread.join()
    return opened[0], opened[1]


def frames(own: bytes, target: bytes, address: bytes, words: bytes) -> Iterator[bytes]:
    """A frame of no known kind, ARP, and UDP over IPv4 to everybody."""
    padded = words.ljust(48, b"\0")
    yield target + own + LOCAL_EXPERIMENT.to_bytes(2, "big") + padded
    arp = struct.pack("!HHBBH6s4s6s4s", 1, ETH_P_IP, 6, 4, 1, own, address, bytes(6), address)
    yield target + own + ETH_P_ARP.to_bytes(2, "big") + arp + padded
    length = 28 + len(padded)
    header = [0x45, 0, length, 0, 0, 64, 17, 0, address, b"\xff" * 4]
    packed = struct.pack("!BBHHHBBH4s4s", *header)
    total = sum(struct.unpack("!10H", packed))
    header[7] = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    udp = struct.pack("!HHHH", 9, 9, length - 20, 0)
    yield (
        target
        + own
        + ETH_P_IP.to_bytes(2, "big")
        + struct.pack("!BBHHHBBH4s4s", *header)
        + udp
        + padded
    )


class Calls:
    """TCP connects to BMCs from the addresses of proxies, a few at a time."""

    def __init__(self, watch: LabWatch) -> None:
        self._watch, self._lab = watch, watch.lab
        self._open: list[tuple[socket.socket, float, str, str]] = []

    def samples(self) -> Iterator[Sample]:
        yield from self._ended()
        if self._open:
            return
        layout, own = self._lab.lab.layout, self._watch.a_proxy
        self._call(own, layout.bmc_address(A_NODES[0]), "inside")
        for address in proxies():
            for a in A_NODES if address != own else ():
                self._call(address, layout.bmc_address(a), "leak")
        for b in self._watch.others:
            self._call(own, layout.bmc_address(b), "leak")

    def _call(self, source: str, target: str, verdict: str) -> None:
        calling = socket.socket()
        calling.setblocking(False)
        try:
            calling.setsockopt(socket.SOL_IP, IP_FREEBIND, 1)
            calling.bind((source, 0))
            code = calling.connect_ex((target, 443))
        except OSError:
            code = -1
        if code not in (0, EINPROGRESS):
            calling.close()
            return
        self._open.append((calling, monotonic(), verdict, f"{source} to {target}"))

    def _ended(self) -> Iterator[Sample]:
        """Who got through, and who did not in time."""
        waiting = []
        for calling, began_s, verdict, what in self._open:
            is_writable = bool(select([], [calling], [], 0)[1])
            is_through = is_writable and not calling.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if not is_writable and monotonic() - began_s < CONNECT_S_MAX:
                waiting.append((calling, began_s, verdict, what))
                continue
            calling.close()
            other = "silent" if verdict == "inside" else "apart"
            yield Sample(monotonic(), "out_of_band", verdict if is_through else other, what)
        self._open = waiting

    def close(self) -> None:
        for calling, *_ in self._open:
            calling.close()


def proxies() -> list[str]:
    """Addresses of proxies on the management node, as the kernel has them."""
    return sorted(set(PROXY.findall(Path("/proc/self/net/fib_trie").read_text())))


def machines() -> dict[int, int]:
    """First process of every machine that is on, by its network namespace."""
    depth = len(status_words("self"))
    found = {}
    for folder in Path("/proc").glob("[0-9]*"):
        words = status_words(folder.name)
        if len(words) == depth + 1 and words[-1] == "1":
            with suppress(OSError):
                found[(folder / "ns/net").stat().st_ino] = int(folder.name)
    return found


def status_words(pid: str) -> list[str]:
    """Numbers of a process in each process namespace that it is in."""
    with suppress(OSError):
        text = Path(f"/proc/{pid}/status").read_text()
        return text.partition("\nNSpid:")[2].partition("\n")[0].split()
    return []


def machine_of(row: int) -> int | None:
    """First process of the machine of a node; None if it is off."""
    return machines().get(Path(f"/run/netns/node{row}").stat().st_ino)


def mounts_of(pid: int) -> Path:
    """Where a machine's file systems are, as its first process sees them."""
    return Path("/proc", str(pid), "root", "mnt")


def leave_mark(row: int) -> None:
    """Leave a file in every file system that a host has mounted."""
    pid = machine_of(row)
    assert pid is not None, f"node {row} is off"
    folders = list(mounts_of(pid).glob("*/*/"))
    assert folders, f"node {row} has nothing mounted"
    for folder in folders:
        (folder / MARK).write_text("of tenant A alone\n")
