"""Goal: the reader of a subnet finds every port by the shortest way, however large the fabric is.

Method: the walk over links runs on a made-up fabric whose switches are one long chain with a short
cut, without any hardware: what NodeInfo and PortInfo say is computed. Depth first, its routes would
be longer than a directed route can be.
"""

from gigawatt.drivers.opensm import mad_reader
from gigawatt.drivers.opensm.mad_reader import NODE_INFO, PORT_INFO, SWITCH_NODE, MadReader

RING = 100


class Ring(MadReader):
    """Switches in a ring: port 1 to the next, port 2 to the one before, port 3 to a host."""

    def __init__(self) -> None:
        self._places = {}

    def _get(self, route, attribute, modifier=0):
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
