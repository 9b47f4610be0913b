"""The bare-metal nodes of a lab: a machine behind each BMC, and the server of their boot media."""

import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.cleaning import HookSettings
from gigawatt.drivers.metal.settings import (
    CleaningSettings,
    HookName,
    MediaSettings,
    MetalSettings,
)
from gigawatt.drivers.redfish.settings import RedfishSettings
from gigawatt.errors import InputError
from gigawatt.ids import NodeId
from gigawatt.lab.layout import MANAGEMENT_BMC_SIDE, MEDIA_PORT
from gigawatt.lab.machine.config import MachineConfig, MachinesConfig, config_text
from gigawatt.lab.redfish.config import BmcConfig
from gigawatt.lab.running import Running
from gigawatt.lab.storage.pool_folders import pool_folder

CONFIG_NAME = "machines.json"
PROGRAM = "media"
POWER_COMMAND = (sys.executable, "-m", "gigawatt.lab.machine", "--config", CONFIG_NAME)
"""What the simulated BMCs run, in the lab's folder."""

ON_S_MAX, GRACEFUL_S_MAX, OFF_S_MAX = 60.0, 20.0, 20.0
"""A machine is on in a second; the rest is for a busy lab. Ours."""


class MachinesPart:
    """Starts after the out-of-band network, the storage and the in-band network."""

    @property
    def name(self) -> str:
        """What people call it."""
        return "machines"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        return {
            "xorriso": "xorriso",
            "osirrox": "xorriso",
            "busybox": "busybox-static",
            "sshd": "openssh-server",
            "ssh-keygen": "openssh-client",
            "unshare": "util-linux",
            "nsenter": "util-linux",
            "setpriv": "util-linux",
            "ip": "iproute2",
        }

    def start(self, lab: Running) -> None:
        """Write down the machines, all off, serve media, and declare the driver.

        Raises:
            InputError: there is no out-of-band network, or the media server does not come up.
        """
        declared = lab.settings.get(Plane.OUT_OF_BAND)
        if not declared:
            raise InputError("machines are powered by BMCs: the out-of-band network starts first")
        oob = RedfishSettings.model_validate(declared[0])
        config = machines_of(lab)
        for host in config.hosts.values():
            Path(host.folder).mkdir(parents=True, exist_ok=True)
        path = lab.folder / CONFIG_NAME
        path.write_text(config_text(config), encoding="utf-8")
        media = MediaSettings(
            folder=lab.folder / "boot-media", url=f"http://{MANAGEMENT_BMC_SIDE}:{MEDIA_PORT}"
        )
        _serve(lab, media)
        settings = MetalSettings(
            nodes=tuple(config.hosts),
            reach=oob.reach,
            media=media,
            cleaning=CleaningSettings(
                golden_accounts=oob.golden_accounts,
                golden_firmware=BmcConfig.model_fields["firmware_versions"].default,
                hooks=lab_hooks(path),
            ),
            on_s_max=ON_S_MAX,
            graceful_s_max=GRACEFUL_S_MAX,
            off_s_max=OFF_S_MAX,
        )
        lab.declare(Plane.HOST, "metal", settings.model_dump(mode="json", exclude={"driver"}))

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now; a machine that is off is well."""
        program = lab.programs.get(PROGRAM)
        if program is None or program.poll() is not None:
            return f"the server of boot media has ended; see {lab.log_path(PROGRAM)}"
        return ""


def machines_of(lab: Running) -> MachinesConfig:
    """A machine for each node that runs no guests."""
    layout, rows = lab.layout, range(len(lab.fleet.nodes))
    found = {
        NodeId(lab.fleet.nodes.ids[row]): MachineConfig(
            node_id=NodeId(lab.fleet.nodes.ids[row]),
            netns=f"/run/netns/node{row}",
            leaf_netns=f"/run/netns/{layout.leaf_of(row)}",
            leaf_port=layout.leaf_port(row, 0),
            folder=str(lab.folder / "machines" / lab.fleet.nodes.ids[row]),
        )
        for row in rows
        if not layout.is_hypervisor(row)
    }
    pools = {name: str(pool_folder(lab, name)) for name in lab.fleet.storage_pools.ids}
    mounted = pools if lab.settings.get(Plane.STORAGE) else {}
    return MachinesConfig(found, mounted, (str(lab.folder), *mounted.values()))


def lab_hooks(config_path: Path) -> dict[HookName, HookSettings]:
    """What stands in for the site's commands: the machine's state, and its disk."""
    words = (sys.executable, "-m", "gigawatt.lab.machine", "--config", str(config_path))
    verbs: dict[HookName, str] = {
        "prove_off": "prove-off",
        "sanitise_disk": "sanitise",
        "sample_disk": "sample",
    }
    return {
        hook: HookSettings(command=(*words, verb, "{node}"), time_s_max=120.0)
        for hook, verb in verbs.items()
    }


def _serve(lab: Running, media: MediaSettings) -> None:
    media.folder.mkdir(mode=0o700, exist_ok=True)
    where = (MANAGEMENT_BMC_SIDE, MEDIA_PORT)
    words = [sys.executable, "-m", "gigawatt.lab.machine.media", str(media.folder)]
    program = lab.spawn(PROGRAM, [*words, where[0], str(where[1])])

    def is_up() -> bool:
        with socket.socket() as trying:
            return program.poll() is not None or trying.connect_ex(where) == 0

    lab.until(is_up, "the server of boot media")
    if program.poll() is not None:
        raise InputError(f"the server of boot media did not start; see {lab.log_path(PROGRAM)}")
