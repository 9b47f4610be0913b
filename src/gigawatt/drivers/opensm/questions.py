"""What a subnet is asked, and what its reader's answers mean.

A question is a generator: it yields requests to the reader's process (see ``mad_reader``) and is
sent its answers, so that many subnets can be asked side by side by ``fabric_reader``.
"""

from collections.abc import Collection, Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gigawatt.boundary.entries import DEFAULT_P_KEY
from gigawatt.drivers.opensm.port_info import port_reading
from gigawatt.fleet.discovery.port_health import PortReading

Request = dict[str, object]
Answer = dict[str, Any]
_Found = TypeVar("_Found")
Question = Generator[Request, Answer, _Found]


@dataclass(frozen=True, slots=True)
class PortTables:
    """A host's port as its subnet sees it: where it is, and the P_Keys (16 bits) it may use.

    Fields: ``host`` is the port's own table, ``leaf`` that of the switch port it is cabled to.
    """

    guid: int
    switch_guid: int
    switch_port: int
    host: frozenset[int]
    leaf: frozenset[int]

    @property
    def is_open(self) -> bool:
        """Whether it is a full member of the default partition and so reaches every port."""
        return DEFAULT_P_KEY | 0x8000 in self.host | self.leaf


@dataclass(frozen=True, slots=True)
class Wake:
    """Which ports to read in the wake of a manager's sweep.

    Fields:
        guids: all of them; the last one is waited for, and the others are read behind it.
        table: what both tables of the last one shall be.
        is_told: whether the manager was told to sweep just now.
        wait_s_max: how long to wait for the last one.
    """

    guids: Sequence[int]
    table: frozenset[int]
    is_told: bool
    wait_s_max: float


def scan() -> Question[list[PortTables]]:
    """Every host port of the subnet, found anew."""
    return _rows((yield {"do": "scan"}))


def tables(guids: Collection[int]) -> Question[list[PortTables]]:
    """Those of ``guids`` that are on the subnet; looks for them when one is not where it was."""
    rows = _rows((yield {"do": "tables", "guids": list(guids)}))
    return rows if len(rows) == len(guids) else (yield from _found_anew(guids))


def follow(wake: Wake) -> Question[list[PortTables]]:
    """All ports of ``wake``, once the last one is right; else the last one alone.

    Ports that are not on the subnet are left out.
    """
    request: Request = {
        "do": "follow",
        "guids": list(wake.guids),
        "table": sorted(wake.table),
        "is_told": wake.is_told,
        "wait_s": wake.wait_s_max,
    }
    answer = yield request
    rows = _rows(answer)
    wanted_count = len(wake.guids) if answer["is_right"] else 1
    return rows if len(rows) == wanted_count else (yield from _found_anew(wake.guids))


def present(guids: Collection[int]) -> Question[set[int]]:
    """Those of ``guids`` that are on the subnet; looks for them when one is not where it was."""
    answer = yield {"do": "present", "guids": list(guids)}
    found = set[int](answer["guids"])
    if len(found) < len(guids):
        found = {row.guid for row in (yield from _found_anew(guids))}
    return found


def paths(pairs: Sequence[tuple[int, int]]) -> Question[list[bool]]:
    """For each pair of port GUIDs whether the subnet manager gives a path."""
    answer = yield {"do": "paths", "pairs": pairs}
    return [bool(is_path) for is_path in answer["paths"]]


def health() -> Question[list[PortReading]]:
    """Link and counters of every port at either end of a link."""
    answer = yield {"do": "health"}
    return [port_reading(*row) for row in answer["links"]]


def _found_anew(guids: Iterable[int]) -> Question[list[PortTables]]:
    wanted = frozenset(guids)
    return [row for row in (yield from scan()) if row.guid in wanted]


def _rows(answer: Answer) -> list[PortTables]:
    return [
        PortTables(guid, switch_guid, switch_port, frozenset(host), frozenset(leaf))
        for guid, switch_guid, switch_port, host, leaf in answer["ports"]
    ]
