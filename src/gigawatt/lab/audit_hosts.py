"""Guests and machines, and what is left of them, by ``virsh``, ``ip`` and the file system."""

from collections.abc import Iterator
from pathlib import Path

from gigawatt.boundary.plane import Plane
from gigawatt.lab.audit_scene import AuditScene, Leftover
from gigawatt.lab.audit_shares import CONNECT, audit_shares

LIBVIRT_FOLDERS = ("/var/lib/libvirt/qemu", "/etc/libvirt/qemu", "/run/libvirt/qemu")
"""Where libvirt keeps what is a guest's own."""
LIBVIRT_OWN = frozenset({"driver.pid", "nvram", "channel", "networks", "autostart", "autostarted"})


def audit_hosts(scene: AuditScene) -> Iterator[Leftover]:
    """Domains, overlays, seeds, taps; machines that run, their disks, addresses and boot media.

    Raises:
        InputError: libvirtd does not answer.
    """
    folder = scene.folder.path
    if scene.spec.hypervisor_count:
        yield from _guests(scene)
    for row, node_id in enumerate(scene.layout.fleet.nodes.ids):
        if not scene.layout.is_hypervisor(row):
            yield from _machine(scene, row, folder / "machines" / str(node_id))
    for place in ("boot-media", "oob/media"):
        for path in scene.files(folder / place):
            yield Leftover(Plane.HOST, "boot medium", str(path.relative_to(folder)))


def _guests(scene: AuditScene) -> Iterator[Leftover]:
    names = scene.said([*CONNECT, "list", "--all", "--name"]).split()
    for name in names:
        yield Leftover(Plane.HOST, "guest", name)
    yield from audit_shares(scene, names)
    for line in scene.processes():
        if line.partition(" ")[0].endswith("qemu-system-x86_64"):
            yield Leftover(Plane.HOST, "process of a guest", line[:120])
    for link in scene.listed(["ip", "-json", "link"]):
        if link["ifname"].startswith("vnet"):
            yield Leftover(Plane.HOST, "tap", link["ifname"])
    for path in sorted((scene.folder.path / "guests").rglob("*")):
        yield Leftover(Plane.HOST, "file of a guest", str(path.relative_to(scene.folder.path)))
    for place in map(Path, LIBVIRT_FOLDERS):
        for path in scene.files(place):
            if not LIBVIRT_OWN & set(path.relative_to(place).parts):
                yield Leftover(Plane.HOST, "file of a guest", str(path))


def _machine(scene: AuditScene, row: int, folder: Path) -> Iterator[Leftover]:
    name = f"node{row}"
    for pid in scene.said(["ip", "netns", "pids", name]).split():
        yield Leftover(Plane.HOST, "process", f"{name} {pid}")
    for link in scene.listed(["ip", "-json", "-4", "address"], namespace=name):
        for address in link.get("addr_info", ()):
            if address.get("scope") != "host":
                yield Leftover(Plane.HOST, "address", f"{name} {address['local']}")
    disk = folder / "disk"
    for path in scene.files(disk):
        where = f"{folder.name} {path.relative_to(disk)}"
        yield Leftover(Plane.HOST, "file on the disk", where)
    for path in scene.files(folder / "medium"):
        yield Leftover(Plane.HOST, "seed", f"{folder.name} {path.name}")
