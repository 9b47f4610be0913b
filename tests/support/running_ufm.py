"""The UFM emulator and a driver of it for tests, over a running OpenSM or over a file alone."""

from pathlib import Path

from gigawatt.app.clock import SystemClock
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.opensm.conf_file import ConfFile
from gigawatt.drivers.opensm.subnet import ManagedFabric
from gigawatt.drivers.ufm.opening import UfmDriver, open_ufm
from gigawatt.drivers.ufm.settings import UfmSettings, UfmSubnet
from gigawatt.errors import UnknownIdError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import FabricId
from gigawatt.lab.ufm import UfmEmulator

SECRET = "correct horse battery staple"  # noqa: S105 - of the emulator


class OneSecret:
    """``Secrets`` with one secret in it."""

    def read(self, secret_ref: str) -> str:
        if secret_ref not in ("ufm",):
            raise UnknownIdError(f"no secret {secret_ref!r}")
        return SECRET


def file_only(fleet: Fleet, folder: Path) -> ManagedFabric:
    """A fabric of which there is nothing but its ``partitions.conf``."""
    fabric_id = FabricId(fleet.fabrics.ids[0])
    ConfFile(folder / "partitions.conf", fabric_id).lay_down()
    return ManagedFabric(fabric_id, folder / "partitions.conf", ())


def emulator_of(fabric: ManagedFabric) -> UfmEmulator:
    return UfmEmulator(fabric, "admin", SECRET)


def settings_of(emulator: UfmEmulator, **more: object) -> UfmSettings:
    """Settings for the emulator, with the subnets that its fabric has."""
    fabric = emulator.fabric
    subnets = tuple(
        UfmSubnet(
            name=subnet.name,
            adapter=subnet.adapter,
            adapter_port=subnet.adapter_port,
            environment=subnet.environment,
            guids=tuple(sorted(subnet.guids)),
        )
        for subnet in fabric.subnets
    )
    given = {
        "fabric_id": fabric.fabric_id,
        "url": emulator.url,
        "username": "admin",
        "secret_ref": "ufm",
        "subnets": subnets,
        "is_ufm_enough": not subnets,
        "change_s_max": 20.0,
    }
    return UfmSettings.model_validate({**given, **more})


def driver_of(fleet: Fleet, settings: UfmSettings, folder: Path) -> UfmDriver:
    return open_ufm(settings, Opening(fleet, SystemClock(), OneSecret(), None, folder))
