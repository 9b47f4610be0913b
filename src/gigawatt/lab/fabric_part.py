"""The lab's compute fabric: one ibsim and OpenSM for each rail, and, if wanted, a UFM over them.

That UFM is our emulator (``lab.ufm``); its driver reads the ports beside it all the same.
"""

import secrets
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from gigawatt.boundary.plane import Plane
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.opening import settings_of
from gigawatt.drivers.ufm.settings import UfmSettings, UfmSubnet
from gigawatt.ids import FabricId
from gigawatt.lab import fabric
from gigawatt.lab.fabric import FabricLab, LabSubnet, fabric_lab, reader_guids
from gigawatt.lab.running import Running
from gigawatt.lab.ufm import UfmEmulator

UFM_ACCOUNT, UFM_SECRET = "gigawatt", "ufm/password"
"""Who signs in at the emulator, and the name of the password."""


class FabricPart:
    """OpenSM over ibsim for the fleet's first fabric."""

    def __init__(self, manager: Literal["opensm", "ufm"] = "opensm") -> None:
        """A fabric that is not started."""
        self._manager = manager
        self._stack = ExitStack()
        self._started: FabricLab | None = None

    @property
    def name(self) -> str:
        """What people call it."""
        return "fabric"

    @property
    def package_of_tool(self) -> Mapping[str, str]:
        """Debian package of each program that it needs."""
        return {**fabric.PACKAGE_OF_TOOL, "ibnetdiscover": "infiniband-diags"}

    def start(self, lab: Running) -> None:
        """Start simulators and managers, wait until every subnet is up, and declare the driver.

        Raises:
            InputError: one does not come up.
        """
        fabric_id = FabricId(lab.fleet.fabrics.ids[0])
        folder = lab.folder / fabric_id
        folder.mkdir(exist_ok=True)
        conf = ConfFile(folder / "partitions.conf", fabric_id)
        conf.lay_down(reader_guids(lab.fleet, 0))
        started = self._stack.enter_context(fabric_lab(lab.fleet, 0, folder))
        for subnet in started.subnets:
            if lab.layout.spec.has_standby and len(subnet.leaf_guids) > 1:
                subnet.start_manager(conf.path, 1)
            _link_logs(lab, subnet)
        if self._manager == "ufm":
            self._start_ufm(lab, started)
        else:
            settings = settings_of(lab.fleet, started.fabric)
            lab.declare(Plane.FABRIC, "opensm", {"fabrics": [settings.model_dump(mode="json")]})
        self._started = started

    def _start_ufm(self, lab: Running, started: FabricLab) -> None:
        """Start the emulator, and leave its password where the control plane takes it up."""
        emulator = UfmEmulator(started.fabric, UFM_ACCOUNT, secrets.token_urlsafe(24))
        emulator.start()
        self._stack.callback(emulator.stop)
        path = ufm_password_path(lab.folder)
        path.touch(mode=0o600)
        path.write_text(emulator.secret)
        subnets = [
            UfmSubnet(
                name=subnet.name,
                adapter=subnet.adapter,
                adapter_port=subnet.adapter_port,
                environment=subnet.environment,
                guids=tuple(sorted(subnet.guids)),
            )
            for subnet in started.fabric.subnets
        ]
        settings = UfmSettings(
            fabric_id=started.fabric.fabric_id,
            url=emulator.url,
            username=UFM_ACCOUNT,
            secret_ref=UFM_SECRET,
            subnets=tuple(subnets),
        )
        words = settings.model_dump(mode="json", exclude={"driver"})
        lab.declare(Plane.FABRIC, "ufm", words)

    def ailment(self, lab: Running) -> str:
        """What is wrong with it now."""
        del lab
        for subnet in () if self._started is None else self._started.subnets:
            if subnet.ibsim.poll() is not None:
                return f"ibsim of {subnet.subnet.name} has ended"
            if all(manager.poll() is not None for manager in subnet.managers):
                return f"no OpenSM of {subnet.subnet.name} is running"
        return ""

    def close(self) -> None:
        """End its programs."""
        self._stack.close()


def ufm_password_path(folder: Path) -> Path:
    """Where the emulator's password is left until the control plane has taken it up."""
    return folder / "ufm.password"


def _link_logs(lab: Running, subnet: LabSubnet) -> None:
    """Let the managers' logs be found beside all others."""
    for number in range(len(subnet.managers)):
        link = lab.log_path(f"fabric-{subnet.subnet.name}-opensm{number}")
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(Path("..") / subnet.folder.relative_to(lab.folder) / f"opensm{number}.log")
