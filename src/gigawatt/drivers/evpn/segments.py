"""One network on one switch: a bridge and a VXLAN interface; how they come, go and are judged."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VXLAN_PORT = 4789
"""UDP port (RFC 7348, section 5)."""
FLOOD = "00:00:00:00:00:00"
"""MAC of the row that says where frames for unknown MACs go."""
ALIAS = "gigawatt"
"""First word of the alias of an interface that we use."""


def bridge_name(vni: int) -> str:
    """The bridge of a network on a switch."""
    return f"br{vni}"


def vxlan_name(vni: int) -> str:
    """The VXLAN interface of a network on a switch."""
    return f"vxlan{vni}"


def leg_name(vni: int) -> str:
    """The gateway's leg in a network."""
    return f"leg{vni}"


def vni_of(name: str | None, prefix: str = "br") -> int | None:
    """The network that a name of ours is of; None for other names."""
    number = (name or "").removeprefix(prefix)
    return int(number) if name != number and number.isdigit() else None


def opened(name: str, bridge: str | None = None) -> list[str]:
    """Lines for ``ip`` that put an interface into a bridge, if any, and switch it on.

    First of all it is told to make up no IPv6 address of its own: the kernel would switch it on
    before that if asked for both at once.
    """
    into = [] if bridge is None else [f"link set dev {name} master {bridge}"]
    return [f"link set dev {name} addrgenmode none", *into, f"link set dev {name} up"]


@dataclass(frozen=True)
class Links:
    """Interfaces of a switch as ``ip -j -d link`` lists them, and its flood rows.

    Fields: flood is by VXLAN interface.
    """

    by_name: Mapping[str, Mapping[str, Any]]
    flood: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def master(self, name: str) -> str | None:
        """The bridge that an interface is in."""
        found: str | None = self.by_name.get(name, {}).get("master")
        return found

    def is_up(self, name: str) -> bool:
        """Whether an interface is switched on."""
        return "UP" in self.by_name.get(name, {}).get("flags", ())

    def alias(self, name: str) -> tuple[str, ...]:
        """The words of an interface's alias behind ours."""
        first, *others = self.by_name.get(name, {}).get("ifalias", "").split(" ")
        return tuple(others) if first == ALIAS else ()

    def in_bridge(self, vni: int) -> frozenset[str]:
        """Interfaces in a network's bridge, its VXLAN interface left out."""
        return frozenset(
            name
            for name in self.by_name
            if self.master(name) == bridge_name(vni) and name != vxlan_name(vni)
        )


def read_links(links: str, fdb: str = "") -> Links:
    """What ``ip -j -d link show`` and ``bridge -j fdb show`` printed.

    Raises:
        ValueError: they printed something else.
    """
    flood: dict[str, set[str]] = {}
    for row in json.loads(fdb.strip() or "[]"):
        if row.get("mac") == FLOOD and "dst" in row:
            flood.setdefault(row["ifname"], set()).add(row["dst"])
    by_name = {link["ifname"]: link for link in json.loads(links)}
    return Links(by_name, {name: frozenset(rows) for name, rows in flood.items()})


@dataclass(frozen=True, slots=True)
class Wiring:
    """How networks are wired on one switch.

    Fields: vtep is its own address; others are those of all other switches; is_learning is False
    where BGP tells the switches where MACs are.
    """

    vtep: str
    others: tuple[str, ...]
    is_learning: bool

    def complaint(self, vni: int, links: Links) -> str:
        """What is wrong with a network on the switch; empty when nothing is."""
        bridge, vxlan = bridge_name(vni), vxlan_name(vni)
        data = links.by_name.get(vxlan, {}).get("linkinfo", {}).get("info_data", {})
        faults = {
            f"there is no {bridge}": bridge not in links.by_name,
            f"there is no {vxlan}": vxlan not in links.by_name,
            f"{bridge} is down": not links.is_up(bridge),
            f"{vxlan} is down": not links.is_up(vxlan),
            f"{vxlan} is not in {bridge}": links.master(vxlan) != bridge,
            f"{vxlan} is for VNI {data.get('id')} from {data.get('local')}": (
                (data.get("id"), data.get("local")) != (vni, self.vtep)
            ),
            f"{vxlan} does not flood to all switches": (
                self.is_learning and links.flood.get(vxlan, frozenset()) != frozenset(self.others)
            ),
        }
        return next((fault for fault, is_so in faults.items() if is_so), "")

    def up(self, vni: int, links: Links) -> tuple[Sequence[str], Sequence[str]]:
        """Lines for ``ip`` and for ``bridge`` that make a network whole; none if it is."""
        if not self.complaint(vni, links):
            return (), ()
        bridge, vxlan = bridge_name(vni), vxlan_name(vni)
        learning = "on" if self.is_learning else "off"
        how = f"id {vni} local {self.vtep} dstport {VXLAN_PORT} "
        how += "learning" if self.is_learning else "nolearning"
        suppress = "off" if self.is_learning else "on"
        lines = []
        if bridge not in links.by_name:
            lines.append(f"link add {bridge} type bridge mcast_snooping 0")
        if vxlan in links.by_name:
            lines.append(f"link del {vxlan}")
        lines += [
            *opened(bridge),
            f"link add {vxlan} type vxlan {how}",
            f"link set dev {vxlan} master {bridge}",
            f"link set dev {vxlan} type bridge_slave neigh_suppress {suppress} learning {learning}",
            *opened(vxlan),
        ]
        rows = [
            f"fdb append {FLOOD} dev {vxlan} dst {other} self permanent" for other in self.others
        ]
        return lines, rows if self.is_learning else ()

    def down(self, vni: int, links: Links, leaving: frozenset[str]) -> Sequence[str]:
        """Lines for ``ip`` that end a network whose last interfaces are ``leaving``."""
        if links.in_bridge(vni) - leaving:
            return ()
        names = (vxlan_name(vni), bridge_name(vni))
        return [f"link del {name}" for name in names if name in links.by_name]
