"""What guests have of storage pools, by ``virsh``, ``ps`` and, at the switch of each, ``ip``."""

from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree as Xml

from gigawatt.boundary.plane import Plane
from gigawatt.lab.audit_scene import AuditScene, Leftover

CONNECT = ("virsh", "--quiet", "--connect", "qemu:///system")
BRIDGE = "br"
"""A leaf's bridge of a network is named so, and then by its VNI."""
LINE_MAX = 240
"""Characters of a command line that are shown. Ours."""


def audit_shares(scene: AuditScene, guests: Sequence[str]) -> Iterator[Leftover]:
    """Shares of these guests, those that their network may not see apart, and servers of shares.

    Raises:
        InputError: libvirtd or a switch does not answer.
    """
    places = _places(scene) if guests else {}
    for name in guests:
        yield from _of_guest(scene, name, places.get(name))
    for line in scene.processes():
        if line.partition(" ")[0].endswith("virtiofsd"):
            yield Leftover(Plane.HOST, "server of a share", line[:LINE_MAX])


def _places(scene: AuditScene) -> Mapping[str, tuple[str, str]]:
    """Leaf and port of each guest's place, by the guest's name."""
    layout = scene.layout
    return {
        f"gw-{node_id}-s{slot}": (layout.leaf_of(row), layout.leaf_port(row, slot))
        for row, node_id in enumerate(layout.fleet.nodes.ids)
        if layout.is_hypervisor(row)
        for slot in layout.slots_of(row)
    }


def _of_guest(scene: AuditScene, name: str, place: tuple[str, str] | None) -> Iterator[Leftover]:
    said = scene.said([*CONNECT, "dumpxml", name])
    definition = Xml.fromstring(said)  # noqa: S314 - libvirt's own words, which it wrote itself
    found = [source.attrib for source in definition.findall("devices/filesystem/source")]
    sources = [source.get("dir") or str(source) for source in found]
    own = _own_folders(scene, *place) if sources and place else frozenset[str]()
    for source in sources:
        what = "share of a guest" if source in own else "share of another network"
        yield Leftover(Plane.HOST, what, f"{name} {source}")


def _own_folders(scene: AuditScene, leaf: str, port: str) -> frozenset[str]:
    """Folders of exports to the network that a leaf's port is in now; none if it is in none."""
    links = scene.listed(["ip", "-json", "link", "show", "dev", port], namespace=leaf)
    bridge = str(links[0].get("master", ""))
    if not bridge.startswith(BRIDGE):
        return frozenset()
    storage, vni = scene.folder.path / "storage", bridge.removeprefix(BRIDGE)
    pools = scene.layout.fleet.storage_pools.ids
    return frozenset(str(storage / str(pool_id) / "exports" / vni) for pool_id in pools)
