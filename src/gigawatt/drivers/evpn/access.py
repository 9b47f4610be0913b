"""What may come in by an access port: frames of its own MAC and address, ARP among them.

One table of the bridge family for each plane on each switch. A frame of a port that is in the set
``managed`` must be in ``held`` (interface, MAC, address) or, where the plane gives no addresses,
in ``known`` (interface, MAC). Frames of other interfaces (VXLAN, the gateway's legs) pass. Nothing
passes between a network and the switch itself: without that, a tenant could speak to the
switch's own address in the underlay, and hand it VXLAN packets for any network.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from gigawatt.drivers.evpn.nft_json import (
    ACCEPT,
    DROP,
    Chain,
    Expression,
    Table,
    concat,
    match,
    meta,
    payload,
)

DHCP_SERVER, DHCP_CLIENT = 67, 68
"""UDP ports (RFC 2131, section 4.1)."""
BEFORE_ALL = -300
"""Before bridging decides or learns anything (NF_BR_PRE_ROUTING, NF_BR_PRI_NAT_DST_BRIDGED)."""

_IN = meta("iifname")
_SOURCE = payload("ether", "saddr")
_NOBODY = "0.0.0.0"  # noqa: S104 - an ARP probe's or DHCP client's source, not a socket


@dataclass(frozen=True, slots=True)
class Leave:
    """Who may speak by one interface. Fields: ipv4 is None where any address may."""

    mac: str
    ipv4: str | None


def table_name(plane: str) -> str:
    """Name of a plane's table."""
    return f"gigawatt_{plane}"


def access_table(plane: str, managed: frozenset[str], leaves: Mapping[str, Leave]) -> Table:
    """The table of one switch.

    Args:
        plane: ``in_band`` or ``fabric``.
        managed: every access port of the plane on the switch, held or not.
        leaves: by interface, for ports that are held.
    """
    known = [
        {"concat": [name, leave.mac]}
        for name, leave in sorted(leaves.items())
        if leave.ipv4 is not None or plane == "fabric"
    ]
    held = [
        {"concat": [name, leave.mac, leave.ipv4]}
        for name, leave in sorted(leaves.items())
        if leave.ipv4 is not None
    ]
    rules = _any_address() if plane == "fabric" else _own_address()
    return Table(
        "bridge",
        table_name(plane),
        {
            "access": Chain("prerouting", BEFORE_ALL, [("", words) for words in rules]),
            "to_switch": Chain("input", 0),
            "from_switch": Chain("output", 0),
        },
        {
            "managed": ("ifname", sorted(managed)),
            "known": (["ifname", "ether_addr"], known),
            "held": (["ifname", "ether_addr", "ipv4_addr"], held),
        },
    )


def _others() -> Expression:
    return [match(_IN, "@managed", "!="), ACCEPT]


def _any_address() -> list[Expression]:
    return [_others(), [match(concat(_IN, _SOURCE), "@known"), ACCEPT]]


def _own_address() -> list[Expression]:
    arp_mac, arp_ipv4 = payload("arp", "saddr ether"), payload("arp", "saddr ip")
    udp_from, udp_to = payload("udp", "sport"), payload("udp", "dport")
    return [
        _others(),
        [
            match(concat(_IN, _SOURCE, arp_ipv4), "@held"),
            match(concat(_IN, arp_mac, arp_ipv4), "@held"),
            ACCEPT,
        ],
        [
            match(arp_ipv4, _NOBODY),
            match(concat(_IN, _SOURCE), "@known"),
            match(concat(_IN, arp_mac), "@known"),
            ACCEPT,
        ],
        [match(udp_from, DHCP_SERVER), DROP],
        [
            match(payload("ip", "saddr"), _NOBODY),
            match(udp_from, DHCP_CLIENT),
            match(udp_to, DHCP_SERVER),
            match(concat(_IN, _SOURCE), "@known"),
            ACCEPT,
        ],
        [match(concat(_IN, _SOURCE, payload("ip", "saddr")), "@held"), ACCEPT],
    ]


def leaves_in(table: Table) -> dict[str, set[Leave]]:
    """Who may speak by each interface, as a table that was read says."""
    found: dict[str, set[Leave]] = {}
    for name in ("held", "known"):
        for element in table.sets.get(name, ("", ()))[1]:
            if not isinstance(element, dict):
                continue
            interface, mac, *address = element["concat"]
            found.setdefault(interface, set()).add(Leave(mac, address[0] if address else None))
    return found
