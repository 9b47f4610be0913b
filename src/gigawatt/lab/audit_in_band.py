"""What is left on switches and gateways of the in-band network, by ``ip``, ``nft`` and ``ps``."""

from collections.abc import Iterator
from pathlib import Path

from gigawatt.boundary.plane import Plane
from gigawatt.lab.audit_scene import AuditScene, Leftover

FIXED_SETS = frozenset({"managed"})
"""Sets that name what a switch is responsible for, whoever holds it."""
CABLES = ("lo", "fab", "down", "wan0", "eth0")
"""Interfaces of the site's own network begin so."""
NAMESPACES = ("gw-", "probe-")
"""Namespaces that come and go with clusters begin so."""
RUN_FOLDER = Path("/run/gigawatt/evpn")


def audit_in_band(scene: AuditScene) -> Iterator[Leftover]:
    """Bridges, VXLANs, ports, set elements, gateways, DHCP and addresses of clusters.

    Raises:
        InputError: a switch does not answer.
    """
    layout = scene.layout
    for switch in (*layout.leaves, *layout.spines, "gateway", "outside"):
        yield from _links(scene, switch)
        yield from _elements(scene, switch)
    for line in scene.said(["ip", "netns"]).splitlines():
        name = line.split()[0]
        if name.startswith(NAMESPACES):
            yield Leftover(Plane.IN_BAND, "namespace", name)
    for line in scene.processes():
        if line.startswith("dnsmasq "):
            yield Leftover(Plane.IN_BAND, "DHCP server", line)
    for path in (*scene.files(RUN_FOLDER), *scene.files(Path("/etc/netns"))):
        yield Leftover(Plane.IN_BAND, "file of a gateway", str(path))


def _links(scene: AuditScene, switch: str) -> Iterator[Leftover]:
    for link in scene.listed(["ip", "-json", "link"], namespace=switch):
        name, is_port = link["ifname"], link["ifname"][0] in "pc"
        if name.startswith(CABLES):
            continue
        if not is_port:
            yield Leftover(Plane.IN_BAND, "interface", f"{switch} {name}")
        elif "UP" in link["flags"] or "master" in link or link.get("ifalias"):
            network = link.get("master") or link.get("ifalias") or "no network"
            yield Leftover(Plane.IN_BAND, f"switch port in {network}", f"{switch} {name}")


def _elements(scene: AuditScene, switch: str) -> Iterator[Leftover]:
    for row in scene.listed(["nft", "-j", "list", "ruleset"], namespace=switch)["nftables"]:
        own = row.get("set") or {}
        if own.get("name") in FIXED_SETS:
            continue
        for element in own.get("elem", ()):
            what = f"element of {own['name']}"
            yield Leftover(Plane.IN_BAND, what, f"{switch} {element_words(element)}")


def element_words(element: object) -> str:
    """An element of a set as ``nft -j`` lists it, in words."""
    value = element
    while isinstance(value, dict):
        value = value.get("elem") or value.get("val") or value.get("concat") or str(value)
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)
