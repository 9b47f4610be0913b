"""Imports a real InfiniBand fabric from the text that ``ibnetdiscover`` prints.

The text lists every device (switch, HCA) and, under it, its cabled ports:

    switchguid=0x2c90200000001(2c90200000001)
    Switch 64 "S-0002c90200000001"  # "leaf0" base port 0 lid 2 lmc 0
    [1] "H-0002c90300100000"[1](2c90300100001)   # "node0003 hca2" lid 5 4xNDR

Link speeds, LIDs and system-image GUIDs are accepted and not used. Several captures may be put
one after the other, as a fleet whose rails are separate subnets needs one capture per rail.

Source: infiniband-diags 44, ``ibnetdiscover.c`` (what is printed) and ibsim 0.10 (what is read).
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from gigawatt.errors import InputError
from gigawatt.fleet.discovery.assemble import Place, assemble, node_type_with_nics
from gigawatt.fleet.discovery.grouping import (
    FoundLink,
    FoundNic,
    FoundSwitch,
    Wiring,
    wiring_of,
)
from gigawatt.fleet.model import Fleet, NodeType

_NEXT_STEP = "Take the capture again with 'ibnetdiscover > FILE' and import the whole file."
_DEVICE = re.compile(r'^(Switch|Ca|Rt)\s+(\d+)\s+"([^"]+)"\s*(?:#\s*"([^"]*)".*|#.*)?$')
_CABLE = re.compile(
    r"^\[(\d+)\](?:\[ext [^\]]*\])?(?:\(([0-9a-fA-F]+)\))?"
    r'\s+"([^"]+)"\[(\d+)\](?:\[ext [^\]]*\])?(?:\(([0-9a-fA-F]+)\))?\s*(?:#.*)?$'
)
_KEY = re.compile(
    r"^(vendid|devid|sysimgguid|switchguid|caguid|rtguid)=0x([0-9a-fA-F]+)(?:\(([0-9a-fA-F]+)\))?$"
)
_NUMBERED_HCA = re.compile(r"^(.+?)[-_.](?:hca|mlx\d+_|ib|ibp|nic)\d+$", re.IGNORECASE)


class DeviceKind(StrEnum):
    """What a device of an InfiniBand subnet is, as ibnetdiscover spells it."""

    SWITCH = "Switch"
    HCA = "Ca"
    ROUTER = "Rt"


@dataclass(frozen=True, slots=True)
class DiscoveredDevice:
    """One switch, HCA or router.

    Fields:
        kind: see ``DeviceKind``.
        name: the name inside the capture, e.g. "S-0002c90200000001".
        guid: node GUID, 64 bit.
        description: node description, what an administrator calls the device; may be empty.
        device_port_count: ports the device has, cabled or not.
        line_number: where it stands in the text, 1-based.
    """

    kind: DeviceKind
    name: str
    guid: int
    description: str
    device_port_count: int
    line_number: int


@dataclass(frozen=True, slots=True)
class DiscoveredEnd:
    """One end of a cable; a cable has two ends, each listed under its own device.

    Fields:
        device, far_device: indices into ``Discovered.devices``.
        device_port, far_device_port: port numbers, 1-based.
        guid: port GUID, 64 bit; 0 at a switch, whose ports have none.
        line_number: where it stands in the text, 1-based.
    """

    device: int
    device_port: int
    guid: int
    far_device: int
    far_device_port: int
    line_number: int


@dataclass(frozen=True, slots=True)
class Discovered:
    """A subnet as it was found: devices in the order of the text, ends of cables likewise."""

    devices: tuple[DiscoveredDevice, ...]
    ends: tuple[DiscoveredEnd, ...]


@dataclass(frozen=True, slots=True)
class _RawEnd:
    """An end whose far device is still a name."""

    device: int
    device_port: int
    guid: int
    far_name: str
    far_device_port: int
    line_number: int


def _is_inside_switch(description: str) -> bool:
    return "aggregation node" in description.lower()


def host_of_description(description: str) -> str | None:
    """Host that an HCA belongs to, by its node description; None when it is not a host's HCA.

    The host is the first word. A first word that ends in an HCA's own number ("node0003-hca2",
    "node0003_mlx5_2") loses that ending. Aggregation nodes (SHARP), which sit inside switches, are
    no hosts.

    Example:
        >>> [host_of_description(d) for d in ("n3 hca2", "n3-hca2", "n3 mlx5_2", "su00-n3-mlx5_2")]
        ['n3', 'n3', 'n3', 'su00-n3']
    """
    words = description.split()
    if not words or _is_inside_switch(description):
        return None
    numbered = _NUMBERED_HCA.match(words[0])
    return numbered.group(1) if numbered else words[0]


def _wrong(line_number: int, sentence: str) -> InputError:
    return InputError(f"ibnetdiscover line {line_number}: {sentence}", next_step=_NEXT_STEP)


class _Reader:
    """State while the lines are read in order."""

    def __init__(self) -> None:
        self.devices: list[DiscoveredDevice] = []
        self.ends: list[_RawEnd] = []
        self.pending_guid: int | None = None
        self.guid_lines: dict[int, int] = {}

    def line(self, number: int, text: str) -> None:
        """Take one line.

        Raises:
            InputError: the line is none of the kinds known, or repeats a GUID.
        """
        if not text.strip() or text.startswith(("#", "Chassis ")):
            return
        text = text.rstrip()
        if key := _KEY.match(text):
            if key[1] in ("switchguid", "caguid", "rtguid"):
                self.pending_guid = int(key[2], 16)
        elif device := _DEVICE.match(text):
            self._device(number, device)
        elif cable := _CABLE.match(text):
            self._end(number, cable)
        else:
            raise _wrong(number, f"got {text[:60]!r}, wanted a device, a cable or KEY=0xVALUE")

    def _device(self, number: int, found: re.Match[str]) -> None:
        kind, count, name, description = found.groups()
        guid = self.pending_guid
        if guid is None:
            try:
                guid = int(name.partition("-")[2], 16)
            except ValueError:
                raise _wrong(number, f"device {name!r} has no GUID before it or in it") from None
        self.pending_guid = None
        if first := self.guid_lines.get(guid):
            raise _wrong(number, f"duplicate GUID {guid:#018x}: line {first} has it already")
        self.guid_lines[guid] = number
        self.devices.append(
            DiscoveredDevice(DeviceKind(kind), name, guid, description or "", int(count), number)
        )

    def _end(self, number: int, found: re.Match[str]) -> None:
        if not self.devices:
            raise _wrong(number, "a cable stands before the first device")
        device = self.devices[-1]
        near, guid, far_name, far, _ = found.groups()
        if not 1 <= int(near) <= device.device_port_count:
            raise _wrong(
                number, f"{device.name!r} has {device.device_port_count} ports, got [{near}]"
            )
        own_guid = 0
        if device.kind is not DeviceKind.SWITCH:
            own_guid = int(guid, 16) if guid else device.guid + int(near)
        self.ends.append(
            _RawEnd(len(self.devices) - 1, int(near), own_guid, far_name, int(far), number)
        )


def _resolve(devices: list[DiscoveredDevice], raw: list[_RawEnd]) -> tuple[DiscoveredEnd, ...]:
    """Ends with far devices as indices; every end must be told by both sides alike."""
    index_of = {device.name: index for index, device in enumerate(devices)}
    near: dict[tuple[int, int], _RawEnd] = {}
    guids: dict[int, int] = {}
    for end in raw:
        where = f"{devices[end.device].name!r}[{end.device_port}]"
        if other := near.get((end.device, end.device_port)):
            raise _wrong(end.line_number, f"{where} is cabled in line {other.line_number} already")
        near[end.device, end.device_port] = end
        if end.guid and (first := guids.get(end.guid)):
            raise _wrong(
                end.line_number, f"duplicate GUID {end.guid:#018x}: line {first} has it already"
            )
        guids[end.guid] = end.line_number
    resolved = []
    for end in raw:
        far = index_of.get(end.far_name)
        if far is None:
            raise _wrong(end.line_number, f"far end {end.far_name!r} does not exist in the text")
        back = near.get((far, end.far_device_port))
        here = (devices[end.device].name, end.device_port)
        if back is None or (back.far_name, back.far_device_port) != here:
            got = f"{back.far_name!r}[{back.far_device_port}]" if back else "no cable"
            raise _wrong(
                end.line_number,
                f"{here[0]!r}[{here[1]}] is cabled to {end.far_name!r}[{end.far_device_port}], "
                f"which has {got}",
            )
        resolved.append(
            DiscoveredEnd(
                end.device, end.device_port, end.guid, far, end.far_device_port, end.line_number
            )
        )
    return tuple(resolved)


def parse_ibnetdiscover(text: str) -> Discovered:
    """Devices and cables of ``text``, the output of one or several runs of ibnetdiscover.

    Raises:
        InputError: the text is empty, a line is malformed, a GUID or a name appears twice, or the
            two ends of a cable do not agree. The message names the line.
    """
    reader = _Reader()
    for number, line in enumerate(text.splitlines(), start=1):
        reader.line(number, line)
    if not reader.devices:
        raise InputError("ibnetdiscover text is empty: it names no device", next_step=_NEXT_STEP)
    first_line: dict[str, int] = {}
    for device in reader.devices:
        first = first_line.setdefault(device.name, device.line_number)
        if first != device.line_number:
            raise _wrong(device.line_number, f"device {device.name!r} stands in line {first} too")
    return Discovered(tuple(reader.devices), _resolve(reader.devices, reader.ends))


def wiring_of_discovered(
    discovered: Discovered,
    *,
    node_name_of: Callable[[str], str | None] = host_of_description,
    is_node: Callable[[str], bool] = lambda _host: True,
) -> Wiring:
    """Hosts, rails, leaf groups and pods of a subnet; see ``grouping``. Its notes name odd cables.

    Args:
        discovered: what was read.
        node_name_of: node that an HCA belongs to, by its description; None leaves the HCA out.
        is_node: False leaves a node out (a subnet manager's host, a storage server).

    Raises:
        InputError: no node is left, or the switches are not wired in at most three tiers.
    """
    devices = discovered.devices
    at_switches = [i for i, d in enumerate(devices) if d.kind is DeviceKind.SWITCH]
    row_of = {device: row for row, device in enumerate(at_switches)}
    nics: list[FoundNic] = []
    links: list[FoundLink] = []
    foreign: set[int] = set()
    for end in discovered.ends:
        device, far = devices[end.device], row_of.get(end.far_device)
        if device.kind is DeviceKind.SWITCH:
            if far is not None and (end.device, end.device_port) < (
                end.far_device,
                end.far_device_port,
            ):
                links.append(
                    FoundLink(row_of[end.device], end.device_port, far, end.far_device_port)
                )
            continue
        node = node_name_of(device.description) if device.kind is DeviceKind.HCA else None
        if far is None:
            raise _wrong(end.line_number, f"{device.name!r} is cabled to no switch")
        if node is not None and is_node(node):
            nics.append(FoundNic(node, device.description, end.guid, far, end.far_device_port))
        elif not _is_inside_switch(device.description):
            foreign.add(far)
    return wiring_of(_found_switches(devices, at_switches), links, nics, foreign=foreign)


def _found_switches(
    devices: Sequence[DiscoveredDevice], at_switches: Sequence[int]
) -> list[FoundSwitch]:
    """Switches, called by their descriptions where all differ, else by their GUIDs."""
    descriptions = [devices[i].description for i in at_switches]
    are_unique = all(descriptions) and len(set(descriptions)) == len(descriptions)
    return [
        FoundSwitch(
            devices[i].description if are_unique else devices[i].name,
            devices[i].guid,
            devices[i].device_port_count,
        )
        for i in at_switches
    ]


def fleet_from_ibnetdiscover(
    text: str,
    *,
    name: str,
    site_id: str,
    country: str,
    node_type_of: Callable[[str, int], NodeType | None],
    node_name_of: Callable[[str], str | None] = host_of_description,
) -> Fleet:
    """The fleet whose InfiniBand fabric ``text`` shows; NIC counts are those found.

    Racks, hall, feed and BMC addresses are assumed, see ``assemble``; every node is an NVLink
    domain of its own. A node with a dead NIC keeps its leaf group and the rails of its other NICs,
    which ``check_fleet`` notes; leave it out by its NIC count if that is not wanted.

    Args:
        text: output of ibnetdiscover, one run or several.
        name: name of the fleet.
        site_id: the site it stands at.
        country: of the site, ISO 3166-1 alpha-2.
        node_type_of: type of a node, from its name and its count of cabled NICs; None leaves the
            machine out. If the count differs from the type's, the type is varied to the count.
        node_name_of: node that an HCA belongs to, by its node description; None leaves it out.

    Raises:
        InputError: the text is malformed (the line is named), holds no node, or is no fat tree.
    """
    discovered = parse_ibnetdiscover(text)
    nic_count: Counter[str] = Counter()
    for end in discovered.ends:
        device = discovered.devices[end.device]
        if device.kind is DeviceKind.HCA and (node := node_name_of(device.description)):
            nic_count[node] += 1
    types = {node: node_type_of(node, count) for node, count in nic_count.items()}
    kept = {
        node: node_type_with_nics(node_type, nic_count[node])
        for node, node_type in types.items()
        if node_type is not None
    }
    wiring = wiring_of_discovered(discovered, node_name_of=node_name_of, is_node=kept.__contains__)
    return assemble(Place(name, site_id, country), wiring, [kept[node] for node in wiring.node_ids])
