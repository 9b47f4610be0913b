"""The lab's hypervisors: one libvirtd, whose guests are told apart by node and slot in their name.

Starts after the storage: guests have the exports of its pools from the folders of the pools.

libvirtd runs as root in the room, without systemd, cgroups or a security driver, and keeps all it
writes in folders that are the room's own.
"""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
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
from gigawatt.lab.guests import debian
from gigawatt.lab.guests.acceleration import Acceleration, chosen_acceleration
from gigawatt.lab.guests.image import (
    COMMAND_LINE,
    READY_LINE,
    SmallImage,
    build_image,
    cache_folder,
    sha256_of,
)
from gigawatt.lab.layout import GuestImage
from gigawatt.lab.running import Running, tool_environment
from gigawatt.lab.storage.pool_folders import pool_folder

VIRTIOFSD: str = HypervisorSettings.model_fields["virtiofsd"].default
PACKAGE_OF_TOOL = {
    "libvirtd": "libvirt-daemon",
    "virt-qemu-run": "libvirt-daemon-driver-qemu",
    "virsh": "libvirt-clients",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    VIRTIOFSD: "qemu-system-common",
    "unshare": "util-linux",
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

    def __init__(self, guest_image: GuestImage = "small", cache: Path | None = None) -> None:
        """Guests boot ``guest_image``; images are kept in ``cache``."""
        self._guest_image = guest_image
        self._cache = cache or cache_folder()

    @property
    def name(self) -> str:
        """What people call it."""
        return "guests"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        more = debian.PACKAGE_OF_TOOL if self._guest_image == "debian" else {}
        return {**PACKAGE_OF_TOOL, **more}

    def prepare(self) -> None:
        """Fetch and build the image where the Debian mirror is reached, before there is a room.

        Raises:
            InputError: it cannot be built.
        """
        build_image(self._cache)
        if self._guest_image == "debian":
            debian.build_debian_image(self._cache)

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
        booted = small_guest(image)
        if self._guest_image == "debian":
            booted = debian_guest(debian.debian_image(self._cache))
        settings = guests_settings(lab, booted, acceleration)
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


@dataclass(frozen=True, slots=True)
class Booted:
    """What every guest of a lab boots, and what it needs for it."""

    image: ImageSettings
    memory_mib: int
    disk_mib: int
    boot_s_max: float


def small_guest(image: SmallImage) -> Booted:
    """The small image."""
    small = ImageSettings(
        kernel=FileSettings(path=str(image.kernel), sha256=image.kernel_sha256),
        initrd=FileSettings(path=str(image.initrd), sha256=image.initrd_sha256),
        command_line=COMMAND_LINE,
        ready_line=READY_LINE,
    )
    return Booted(small, MEMORY_MIB, DISK_MIB, BOOT_S_MAX)


def debian_guest(image: debian.DebianImage) -> Booted:
    """A whole Debian."""
    files = {
        name: FileSettings(path=str(path), sha256=sha256_of(path))
        for name, path in (("kernel", image.kernel), ("initrd", image.initrd), ("disk", image.disk))
    }
    whole = ImageSettings(
        kernel=files["kernel"],
        initrd=files["initrd"],
        disk=files["disk"],
        command_line=debian.COMMAND_LINE,
        ready_line=READY_LINE,
    )
    return Booted(whole, debian.MEMORY_MIB, debian.DISK_MIB, debian.BOOT_S_MAX)


def guests_settings(lab: Running, booted: Booted, acceleration: Acceleration) -> GuestsSettings:
    """Settings of the driver for every hypervisor of a lab; every image's name boots the same."""
    board = BoardSettings(
        accelerator=acceleration.accelerator, memory_mib=booted.memory_mib, cpu_count=CPU_COUNT
    )
    return GuestsSettings(
        driver="guests",
        hypervisors=tuple(
            _hypervisor(lab, node)
            for node in range(len(lab.fleet.nodes))
            if lab.layout.is_hypervisor(node)
        ),
        boards={"lab": board},
        images={row.host_image_id: booted.image for row in host_images()},
        has_whole_nodes=True,
        disk_mib=booted.disk_mib,
        boot_s_max=booted.boot_s_max,
    )


def _hypervisor(lab: Running, node: int) -> HypervisorSettings:
    layout, pools = lab.layout, lab.fleet.storage_pools.ids
    has_storage = bool(lab.settings.get(Plane.STORAGE))
    return HypervisorSettings(
        node_id=NodeId(lab.fleet.nodes.ids[node]),
        board="lab",
        folder=str(lab.folder.resolve() / "guests"),
        nic_of_slot={
            slot: NicSettings(mac=layout.mac_of(node, slot), bridge=layout.host_bridge(node, slot))
            for slot in layout.slots_of(node)
        },
        storage_pools={name: str(pool_folder(lab, name)) for name in pools if has_storage},
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
