"""One BMC as the operator uses it: power, boot, virtual media, firmware, console.

Every call opens a session, does its work and closes the session, within ``call_s_max``; it raises
``DriverRetryableError`` when it may or may not have happened and ``DriverPermanentError`` when the
BMC refused.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

import sushy

from gigawatt.boundary.entries import Power
from gigawatt.drivers.redfish.bounded import Bounded, Deadline
from gigawatt.drivers.redfish.connection import connected, said
from gigawatt.drivers.redfish.settings import BmcReach
from gigawatt.errors import DriverPermanentError
from gigawatt.ids import DeviceId, NodeId

T = TypeVar("T")
BootSource = Literal["none", "cd", "disk", "network"]
_SOURCE_OF = {
    "none": sushy.BOOT_SOURCE_TARGET_NONE,
    "cd": sushy.BOOT_SOURCE_TARGET_CD,
    "disk": sushy.BOOT_SOURCE_TARGET_HDD,
    "network": sushy.BOOT_SOURCE_TARGET_PXE,
}


@dataclass(frozen=True, slots=True)
class PowerState:
    """Power of a host, and how far its boot has come (a word of Redfish, or None)."""

    power: Power
    boot_progress: str | None


@dataclass(frozen=True, slots=True)
class ConsoleWay:
    """Where the serial console of a host is: an SSH port of the BMC, or none."""

    ipv4: str
    ssh_tcp_port: int | None


class Bmc:
    """The BMC of one node."""

    def __init__(self, reach: BmcReach, node_id: NodeId, bounded: Bounded | None = None) -> None:
        """Reach the BMC of ``node_id``; nothing is sent yet. See ``open_bmc``."""
        self._reach = reach
        self._node_id = node_id
        self._device = DeviceId(f"bmc/{node_id}")
        self._bounded = bounded or Bounded()

    async def power_state(self) -> PowerState:
        """Read now."""

        def read(root: sushy.Sushy) -> PowerState:
            system = root.get_system()
            progress = system.json.get("BootProgress", {}).get("LastState")
            is_off = system.power_state in {sushy.POWER_STATE_OFF, sushy.POWER_STATE_POWERING_OFF}
            return PowerState("off" if is_off else "on", progress)

        return await self._call("read the power", read)

    async def power_on(self) -> None:
        """Power on; nothing to do if it is on."""
        await self._call("power on", lambda root: _reset(root, sushy.RESET_TYPE_ON))

    async def power_off(self, *, graceful: bool = False) -> None:
        """Power off at once, or ask the operating system to; nothing to do if it is off."""
        how = sushy.RESET_TYPE_GRACEFUL_SHUTDOWN if graceful else sushy.RESET_TYPE_FORCE_OFF
        await self._call("power off", lambda root: _reset(root, how))

    async def reset(self) -> None:
        """Off and on again, at once."""
        await self._call(
            "reset", lambda root: root.get_system().reset_system(sushy.RESET_TYPE_FORCE_RESTART)
        )

    async def boot_once_from(self, source: BootSource) -> None:
        """Boot from there at the next power on, and only then; "none" takes this back."""
        enabled = (
            sushy.BOOT_SOURCE_ENABLED_DISABLED
            if source == "none"
            else sushy.BOOT_SOURCE_ENABLED_ONCE
        )

        def override(root: sushy.Sushy) -> None:
            root.get_system().set_system_boot_options(_SOURCE_OF[source], enabled=enabled)

        await self._call(f"boot from {source}", override)

    async def insert_media(self, url: str) -> None:
        """Put the image at ``url``, which the BMC can fetch, in the virtual CD drive.

        What is in the drive is taken out first.
        """

        def insert(root: sushy.Sushy) -> None:
            drive = _cd_drive(root)
            if drive.inserted:
                drive.eject_media()
            drive.insert_media(url)

        await self._call(f"insert {url}", insert)

    async def eject_media(self) -> None:
        """Take out what is in the virtual CD drive; nothing to do if it is empty."""

        def eject(root: sushy.Sushy) -> None:
            drive = _cd_drive(root)
            if drive.inserted:
                drive.eject_media()

        await self._call("eject media", eject)

    async def firmware_versions(self) -> dict[str, str]:
        """Version of each firmware that the BMC knows of, by its Redfish id."""

        def read(root: sushy.Sushy) -> dict[str, str]:
            found = root.get_update_service().firmware_inventory.get_members()
            return {str(item.identity): str(item.version) for item in found}

        return await self._call("read the firmware", read)

    async def console(self) -> ConsoleWay:
        """Where the host's serial console is."""
        ipv4 = str(self._reach.bmcs[self._node_id].ipv4)

        def read(root: sushy.Sushy) -> ConsoleWay:
            ssh = root.get_system().json.get("SerialConsole", {}).get("SSH", {})
            return ConsoleWay(ipv4, ssh.get("Port") if ssh.get("ServiceEnabled") else None)

        return await self._call("read the console", read)

    async def _call(self, what: str, work: Callable[[sushy.Sushy], T]) -> T:
        def run(deadline: Deadline) -> T:
            with said(self._device, what), connected(self._reach, self._node_id, deadline) as root:
                return work(root)

        return await self._bounded.run(self._device, self._reach.call_s_max, run)


def open_bmc(reach: BmcReach, node_id: NodeId, bounded: Bounded | None = None) -> Bmc:
    """The BMC of a node; one ``Bounded`` for many BMCs limits what is stuck at each.

    Raises:
        DriverPermanentError: the settings do not know the node.
    """
    if node_id not in reach.bmcs:
        raise DriverPermanentError(f"the settings have no BMC of node {node_id!r}")
    return Bmc(reach, node_id, bounded)


def _reset(root: sushy.Sushy, how: sushy.ResetType) -> None:
    """Power on or off unless it is so already: BMCs answer 4xx to the second "on"."""
    system = root.get_system()
    is_off = system.power_state == sushy.POWER_STATE_OFF
    if is_off != (how != sushy.RESET_TYPE_ON):
        system.reset_system(how)


def _cd_drive(root: sushy.Sushy) -> sushy.resources.manager.virtual_media.VirtualMedia:
    """The first virtual drive that takes a CD: below the system, or below its manager.

    Raises:
        DriverPermanentError: it has none.
    """
    system = root.get_system()
    if "VirtualMedia" in system.json:
        drives = system.virtual_media.get_members()
    else:
        drives = [d for m in system.managers for d in m.virtual_media.get_members()]
    for drive in drives:
        if sushy.VIRTUAL_MEDIA_CD in drive.media_types:
            return drive
    raise DriverPermanentError("the BMC has no virtual CD drive")
