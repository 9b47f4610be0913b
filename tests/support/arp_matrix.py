"""Who hears whom: frames between very many interfaces at once, caught where they come out.

Each interface says a broadcast and, to every other one, a frame to its MAC; each listens for what
is for it. What is said is an ARP question with the interface's own addresses for an address that
nobody has, so that no host answers or remembers it. Frames and ears are ours, so that thousands of
pairs take a second where a process each would take minutes; all that is between is not.
"""

import ctypes
import os
import select
import socket
import struct
import time
from collections.abc import Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address

CLONE_NEWNET = 0x40000000
ETH_P_ARP, REQUEST = 0x0806, 1
NOBODY = "169.254.255.254"
FOR_NOBODY = int(IPv4Address(NOBODY))
LOAD_WORD, LOAD_KIND, EQUAL, RETURN = 0x20, 0xFFFFF004, 0x15, 0x06
"""Classic BPF; the kind of a frame is where the kernel has it (SKF_AD_OFF + SKF_AD_PKTTYPE)."""
OURS_ONLY = (
    (LOAD_WORD, 0, 0, 38),
    (EQUAL, 0, 3, FOR_NOBODY),
    (0x28, 0, 0, LOAD_KIND),
    (0x25, 1, 0, 1),
    (RETURN, 0, 0, 128),
    (RETURN, 0, 0, 0),
)
"""Let in a question for nobody (target at byte 38) to this host (0) or to all (1), nothing else."""
SO_ATTACH_FILTER, SO_RCVBUFFORCE, RECEIVE_BYTES = 26, 33, 1 << 22
BURST = 64
ALL = b"\xff" * 6
QUIET_S = 0.3
"""After the last frame, how long is listened for one more."""


@dataclass(frozen=True)
class Nic:
    """One interface of a host. Fields: space is its network namespace."""

    space: str
    device: str
    mac: str


Pairs = set[tuple[Nic, Nic]]


class ArpMatrix:
    """Open sockets on interfaces."""

    def __init__(self, nics: Iterable[Nic]) -> None:
        self.nics = tuple(nics)
        with ThreadPoolExecutor(1) as worker:
            # A thread of its own goes from namespace to namespace; this one stays where it is.
            self._sockets = dict(zip(self.nics, worker.map(_opened, self.nics), strict=True))
        self._nic_of = {one.fileno(): nic for nic, one in self._sockets.items()}
        self._by_mac = {_packed(nic.mac): nic for nic in self.nics}

    def close(self) -> None:
        for one in self._sockets.values():
            one.close()

    def heard(
        self, address: Mapping[Nic, str], sure: Collection[tuple[Nic, Nic]], wait_s: float
    ) -> Pairs:
        """Ordered pairs of which the second hears the first, by a broadcast or by its own MAC.

        A pair that is ``sure`` counts only if it hears both, and is tried for ``wait_s`` at most;
        afterwards all that was not heard is tried once more.
        """
        every = {(a, b) for a in address for b in address if a != b}
        called, told = Pairs(), Pairs()
        self._say({a: [ALL] for a in address}, address, called, told)
        self._tell(every, address, called, told)
        until_s = time.monotonic() + wait_s
        while time.monotonic() < until_s:
            deaf = set(sure) - called
            unheard = set(sure) - told
            if not deaf and not unheard:
                break
            self._say({a: [ALL] for a, _ in deaf}, address, called, told)
            self._tell(unheard, address, called, told)
        self._say({a: [ALL] for a in address}, address, called, told)
        self._tell(every - told, address, called, told)
        return (called | told) - (set(sure) - (called & told))

    def _tell(self, pairs: Pairs, address: Mapping[Nic, str], called: Pairs, told: Pairs) -> None:
        to: dict[Nic, list[bytes]] = {}
        for a, b in pairs:
            to.setdefault(a, []).append(_packed(b.mac))
        self._say(to, address, called, told)

    def _say(
        self,
        to: Mapping[Nic, list[bytes]],
        address: Mapping[Nic, str],
        called: Pairs,
        told: Pairs,
    ) -> None:
        for nic, macs in to.items():
            for row, mac in enumerate(macs):
                with suppress(OSError):  # the interface is switched off
                    self._sockets[nic].send(_frame(mac, nic.mac, address[nic]))
                if row % BURST == BURST - 1:
                    self._listen(0.0, called, told)
        self._listen(QUIET_S, called, told)

    def _listen(self, quiet_s: float, called: Pairs, told: Pairs) -> None:
        """Take in all that there is, and all that comes until it was quiet for so long."""
        poll = select.poll()
        for number in self._nic_of:
            poll.register(number, select.POLLIN)
        while ready := poll.poll(int(quiet_s * 1_000)):
            for number, _ in ready:
                one = self._nic_of[number]
                with suppress(OSError):
                    while True:
                        frame = self._sockets[one].recv(128, socket.MSG_DONTWAIT)
                        other = self._by_mac.get(frame[6:12])
                        if other is not None:
                            (called if frame[:6] == ALL else told).add((other, one))


def _packed(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _frame(to: bytes, mac: str, own: str) -> bytes:
    """An ARP request (RFC 826) in its Ethernet frame."""
    return (
        to
        + _packed(mac)
        + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, REQUEST)
        + _packed(mac)
        + IPv4Address(own).packed
        + bytes(6)
        + IPv4Address(NOBODY).packed
    )


def _opened(nic: Nic) -> socket.socket:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/run/netns/{nic.space}") as space:  # noqa: PTH123 - its descriptor is wanted
        if libc.setns(space.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    rows = b"".join(struct.pack("HBBI", *row) for row in OURS_ONLY)
    words = ctypes.create_string_buffer(rows)
    program = struct.pack("HL", len(OURS_ONLY), ctypes.addressof(words))
    one.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)
    one.bind((nic.device, ETH_P_ARP))
    return one
