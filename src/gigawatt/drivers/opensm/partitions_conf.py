"""The one value behind OpenSM's ``partitions.conf``, its text, and the reader of that text.

The text is ours alone and has one form: what does not render to itself is refused. It carries its
own fences and checksum as comments, so one atomic rename changes all:

    # gigawatt partitions 1 of fabric ib0
    # fence clu_a 3
    Default=0x7fff : ALL=limited, SELF=full ;
    clu_a=0x0010 :
     0x0002c90300100000=full, 0x0002c90300100008=full,
     0x0002c90300100010=limited ;
    # sha256 <64 hexadecimal digits> of all lines above

Why so strict: one malformed line, an empty or a missing file makes OpenSM drop every partition and
open the whole fabric; a line beyond 4,095 bytes is cut, perhaps within a GUID.
Source: OpenSM 3.3.23 ``osm_prtn.c`` and ``osm_prtn_config.c``; the cut measured on ibsim.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

from gigawatt.boundary.entries import DEFAULT_P_KEY, Membership, PartitionMember
from gigawatt.errors import DataError
from gigawatt.ids import ClusterId, FabricId

GUIDS_PER_LINE = 8
LINE_BYTES_MAX = 400
"""OpenSM reads lines into 4,096 bytes; a line of eight GUIDs takes 211, names come on top."""

_DEFAULT = f"Default={DEFAULT_P_KEY:#06x} : ALL=limited, SELF=full"
MANAGERS_MAX = 8
_DEFAULT_LINE = re.compile(re.escape(_DEFAULT) + r"((?:, 0x[0-9a-f]{16}=full){0,8}) ;\Z")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,99}\Z")
"""What a cluster's id must look like to be OpenSM's name of a partition."""
GENERATION_MAX = 10**19
"""Generations have at most 19 digits."""
_MEMBER = re.compile(r"(0x[0-9a-f]{16})=(full|limited)\Z")
_FENCE = re.compile(r"# fence (\S+) (0|[1-9][0-9]{0,18})\Z")
_OPENING = re.compile(r"(\S+)=(0x[0-9a-f]{4}) :\Z")


@dataclass(frozen=True, slots=True)
class IbPartition:
    """Who holds one P_Key, and which ports are in it: membership by port GUID, never empty."""

    owner: ClusterId
    members: Mapping[int, Membership]


@dataclass(frozen=True, slots=True)
class IbPartitions:
    """Every partition of a fabric but the default one, and every fence that was seen.

    Fields:
        by_p_key: partitions by P_Key, 0x0001 to 0x7ffe.
        generations: newest generation seen, by cluster.
        managers: port GUIDs, at most eight, that are full members of the default partition: those
            of the machines on which managers and this driver run.
    """

    fabric_id: FabricId
    by_p_key: Mapping[int, IbPartition] = field(default_factory=lambda: MappingProxyType({}))
    generations: Mapping[ClusterId, int] = field(default_factory=lambda: MappingProxyType({}))
    managers: frozenset[int] = frozenset()

    def entry(self, p_key: int, guid: int) -> PartitionMember | None:
        """The entry of one port in one partition, or None."""
        partition = self.by_p_key.get(p_key)
        membership = partition.members.get(guid) if partition else None
        return PartitionMember(self.fabric_id, p_key, guid, membership) if membership else None

    def tables(self) -> dict[int, frozenset[int]]:
        """The P_Key table by port GUID that follows: 16 bits each, 0x8000 for full members.

        Ports in no partition but the default one are left out; see ``DEFAULT_TABLE``.
        """
        found: dict[int, set[int]] = {}
        for p_key, partition in self.by_p_key.items():
            for guid, membership in partition.members.items():
                table = found.setdefault(guid, {DEFAULT_P_KEY})
                table.add(p_key | 0x8000 if membership == "full" else p_key)
        return {guid: frozenset(table) for guid, table in found.items()}


DEFAULT_TABLE = frozenset({DEFAULT_P_KEY})
"""What a port in no tenant's partition holds: limited membership of the default partition."""


def render_partitions(ib_partitions: IbPartitions) -> str:
    """The text of ``partitions.conf``; each line has at most ``LINE_BYTES_MAX`` bytes."""
    lines = [_title(ib_partitions.fabric_id)]
    lines += [
        f"# fence {name} {number}" for name, number in sorted(ib_partitions.generations.items())
    ]
    assert len(ib_partitions.managers) <= MANAGERS_MAX, "a line has room for so many"
    full = "".join(f", {guid:#018x}=full" for guid in sorted(ib_partitions.managers))
    lines.append(f"{_DEFAULT}{full} ;")
    for p_key, partition in sorted(ib_partitions.by_p_key.items()):
        lines.append(f"{partition.owner}={p_key:#06x} :")
        members = [f"{guid:#018x}={how}" for guid, how in sorted(partition.members.items())]
        rows = [members[i : i + GUIDS_PER_LINE] for i in range(0, len(members), GUIDS_PER_LINE)]
        lines += [f" {', '.join(row)}{',' if row is not rows[-1] else ' ;'}" for row in rows]
    body = "".join(f"{line}\n" for line in lines)
    longest = max(len(line) for line in lines)
    assert longest <= LINE_BYTES_MAX, f"a line of {longest} bytes was rendered"
    return f"{body}{_seal(body)}"


def parse_partitions(text: str, fabric_id: FabricId) -> IbPartitions:
    """Read back what ``render_partitions`` wrote for a fabric, and nothing else.

    Raises:
        DataError: it is empty, cut, edited, of another fabric or not of our form; says which.
    """
    if not text:
        raise DataError("partitions.conf is empty")
    body, separator, _ = text.rpartition("# sha256 ")
    if not separator or not text.endswith("\n"):
        raise DataError("partitions.conf has no checksum at its end: it is cut or was edited")
    if text != f"{body}{_seal(body)}":
        raise DataError("partitions.conf does not have the checksum at its end: it was edited")
    lines = body.splitlines()
    if not lines or lines[0] != _title(fabric_id):
        raise DataError(f"partitions.conf does not begin with {_title(fabric_id)!r}")
    found = _Reader(lines, fabric_id).read()
    if render_partitions(found) != text:
        raise DataError("partitions.conf is not in the form that we write: it was edited")
    return found


def _title(fabric_id: FabricId) -> str:
    return f"# gigawatt partitions 1 of fabric {fabric_id}"


def _seal(body: str) -> str:
    return f"# sha256 {hashlib.sha256(body.encode()).hexdigest()} of all lines above\n"


class _Reader:
    """Reads line after line; the checksum held, so what is wrong here was sealed by others."""

    def __init__(self, lines: list[str], fabric_id: FabricId) -> None:
        self._lines = lines
        self._fabric_id = fabric_id
        self._row = 1

    def read(self) -> IbPartitions:
        generations = self._fences()
        default = _DEFAULT_LINE.match(self._line())
        if default is None:
            raise self._wrong(f"wanted '{_DEFAULT} ;'")
        managers = frozenset(int(g, 16) for g in re.findall("0x[0-9a-f]{16}", default[1]))
        self._row += 1
        by_p_key: dict[int, IbPartition] = {}
        while self._row < len(self._lines):
            p_key, partition = self._partition()
            if by_p_key and p_key <= max(by_p_key):
                raise self._wrong(f"P_Key {p_key:#06x} does not rise")
            by_p_key[p_key] = partition
        return IbPartitions(self._fabric_id, by_p_key, generations, managers)

    def _line(self) -> str:
        return self._lines[self._row] if self._row < len(self._lines) else ""

    def _wrong(self, reason: str) -> DataError:
        return DataError(f"partitions.conf line {self._row + 1}: {reason}")

    def _fences(self) -> dict[ClusterId, int]:
        found: dict[ClusterId, int] = {}
        while match := _FENCE.match(self._line()):
            found[ClusterId(match[1])] = int(match[2])
            self._row += 1
        names = list(found)
        if self._row - 1 != len(names) or names != sorted(names):
            raise self._wrong("fences are doubled or out of order")
        return found

    def _partition(self) -> tuple[int, IbPartition]:
        match = _OPENING.match(self._line())
        if match is None or not NAME.match(match[1]):
            raise self._wrong("wanted 'CLUSTER=0xPKEY :'")
        p_key = int(match[2], 16)
        if not 1 <= p_key < DEFAULT_P_KEY:
            raise self._wrong(f"P_Key is {p_key:#06x}, wanted 0x0001 to 0x7ffe")
        self._row += 1
        members: list[tuple[int, Membership]] = []
        is_open = True
        while is_open:
            more, is_open = self._members()
            members += more
        if any(a >= b for (a, _), (b, _) in pairwise(members)):
            raise self._wrong("GUIDs are doubled or out of order")
        return p_key, IbPartition(ClusterId(match[1]), dict(members))

    def _members(self) -> tuple[list[tuple[int, Membership]], bool]:
        """Members of one line, and whether more lines follow."""
        line = self._line()
        is_open = line.endswith(",")
        words = line[1 : -1 if is_open else -2].split(", ")
        matches = [match for word in words if (match := _MEMBER.match(word))]
        is_whole = len(matches) == len(words) and line[:1] == " " and (is_open or line[-2:] == " ;")
        if (
            not is_whole
            or (is_open and len(words) != GUIDS_PER_LINE)
            or len(words) > GUIDS_PER_LINE
        ):
            raise self._wrong("wanted up to eight 'GUID=full' or 'GUID=limited'")
        self._row += 1
        return [
            (int(match[1], 16), "full" if match[2] == "full" else "limited") for match in matches
        ], is_open
