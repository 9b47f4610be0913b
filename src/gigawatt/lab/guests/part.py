"""The lab's hypervisors: one libvirtd, whose guests are told apart by node and slot in their name.

libvirtd runs as root in the room, without systemd, cgroups or a security driver, and keeps all it
writes in folders that are the room's own.
"""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.guests.settings import (
    BoardSettings,
    FileSettings,
    GuestsSettings,
    HypervisorSettings,
    ImageSettings,
    NicSettings,
)
from gigawatt.fleet.catalogue import host_images
from gigawatt.ids import NodeId
from gigawatt.lab.guests.acceleration import Acceleration, chosen_acceleration
from gigawatt.lab.guests.image import (
    COMMAND_LINE,
    READY_LINE,
    SmallImage,
    build_image,
    cache_folder,
)
from gigawatt.lab.running import Running, tool_environment

PACKAGE_OF_TOOL = {
    "libvirtd": "libvirt-daemon",
    "virt-qemu-run": "libvirt-daemon-driver-qemu",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "xorriso": "xorriso",
    "busybox": "busybox-static",
    "dropbear": "dropbear-bin",
}
CONFIGURATION = Path("/etc/libvirt")
DAEMON_SETTINGS = 'log_level = 3\nunix_sock_rw_perms = "0700"\nauth_unix_rw = "none"\n'
QEMU_SETTINGS = """user = "root"
group = "root"
security_driver = "none"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
"""
"""A room has neither systemd nor a log daemon, and is itself the cage."""
USER_LINE = "libvirt-qemu:x:64055:64055::/var/lib/libvirt:/usr/sbin/nologin"
GROUP_LINE = "libvirt-qemu:x:64055:"
"""As Debian's package of libvirt's system service makes them; without it they are missing."""
MEMORY_MIB, CPU_COUNT, DISK_MIB = 128, 1, 64
"""Of each guest, whatever its slice."""
BOOT_S_MAX = 60.0
"""A guest is up in 3 to 14 s, and took 39 s on a machine with twelve times its load. MEASURED"""
ANSWER_S_MAX = 10.0


class GuestsPart:
    """libvirtd, the small image, and the settings of the host plane for the lab's hypervisors."""

    def __init__(self, cache: Path | None = None) -> None:
        """Images are kept in ``cache``."""
        self._cache = cache or cache_folder()

    @property
    def name(self) -> str:
        """What people call it."""
        return "guests"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        return PACKAGE_OF_TOOL

    def prepare(self) -> None:
        """Fetch and build the image where the Debian mirror is reached, before there is a room.

        Raises:
            InputError: it cannot be built.
        """
        build_image(self._cache)

    def start(self, lab: Running) -> None:
        """Start libvirtd and wait until it answers; make bridges that are missing; declare.

        Raises:
            InputError: there is no image, or libvirtd does not answer.
        """
        image = build_image(self._cache)
        acceleration = chosen_acceleration(image, self._cache)
        path = lab.log_path("guests")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"accelerator {acceleration.accelerator}: {acceleration.reason}\n")
        (CONFIGURATION / "qemu.conf").write_text(QEMU_SETTINGS)
        (CONFIGURATION / "libvirtd.conf").write_text(DAEMON_SETTINGS)
        _add_user(lab)
        start_libvirtd(lab)
        _add_bridges(lab)
        settings = guests_settings(lab, image, acceleration)
        lab.declare(Plane.HOST, "guests", _declared(settings))

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        del lab
        return "" if answers() else f"libvirtd gave no answer within {ANSWER_S_MAX:g} s"


def _add_user(lab: Running) -> None:
    """Let the room know the user that libvirt insists on, though guests run as root."""
    for path, line in ((Path("/etc/passwd"), USER_LINE), (Path("/etc/group"), GROUP_LINE)):
        text = path.read_text()
        if f"\n{line.partition(':')[0]}:" not in text:
            ours = lab.folder / f"libvirt-{path.name}"
            ours.write_text(f"{text.rstrip()}\n{line}\n")
            lab.run(["mount", "--bind", str(ours), str(path)])


def start_libvirtd(lab: Running) -> None:
    """Start it, also again, and wait until it answers; guests that run are adopted.

    Raises:
        InputError: it does not answer in time.
    """
    configuration = str(CONFIGURATION / "libvirtd.conf")
    process_file = str(lab.folder / "libvirtd.pid")
    lab.spawn("libvirtd", ["libvirtd", "--config", configuration, "--pid-file", process_file])
    lab.until(answers, f"libvirtd; see {lab.log_path('libvirtd')}")


def answers() -> bool:
    """Whether libvirtd answers in time."""
    try:
        done = subprocess.run(
            ["virsh", "--quiet", "--connect", "qemu:///system", "version"],  # noqa: S607
            capture_output=True,
            timeout=ANSWER_S_MAX,
            env=tool_environment(),
            check=False,
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def guests_settings(lab: Running, image: SmallImage, acceleration: Acceleration) -> GuestsSettings:
    """Settings of the driver for every hypervisor of a lab; all images are the small one."""
    board = BoardSettings(
        accelerator=acceleration.accelerator, memory_mib=MEMORY_MIB, cpu_count=CPU_COUNT
    )
    small = ImageSettings(
        kernel=FileSettings(path=str(image.kernel), sha256=image.kernel_sha256),
        initrd=FileSettings(path=str(image.initrd), sha256=image.initrd_sha256),
        command_line=COMMAND_LINE,
        ready_line=READY_LINE,
    )
    return GuestsSettings(
        driver="guests",
        hypervisors=tuple(
            _hypervisor(lab, node)
            for node in range(len(lab.fleet.nodes))
            if lab.layout.is_hypervisor(node)
        ),
        boards={"lab": board},
        images={row.host_image_id: small for row in host_images()},
        has_whole_nodes=True,
        disk_mib=DISK_MIB,
        boot_s_max=BOOT_S_MAX,
    )


def _hypervisor(lab: Running, node: int) -> HypervisorSettings:
    layout = lab.layout
    return HypervisorSettings(
        node_id=NodeId(lab.fleet.nodes.ids[node]),
        board="lab",
        folder=str(lab.folder.resolve() / "guests"),
        nic_of_slot={
            slot: NicSettings(mac=layout.mac_of(node, slot), bridge=layout.host_bridge(node, slot))
            for slot in layout.slots_of(node)
        },
    )


def _add_bridges(lab: Running) -> None:
    """Make the bridges of slots that no other part made."""
    layout = lab.layout
    there = {link["ifname"] for link in json.loads(lab.run(["ip", "-json", "link"]))}
    for node in filter(layout.is_hypervisor, range(len(lab.fleet.nodes))):
        for slot in layout.slots_of(node):
            bridge = layout.host_bridge(node, slot)
            if bridge not in there:
                lab.run(["ip", "link", "add", bridge, "type", "bridge"])
            lab.run(["ip", "link", "set", bridge, "up"])


def _declared(settings: GuestsSettings) -> dict[str, Any]:
    return settings.model_dump(mode="json", exclude={"driver"})
