"""The parts of a lab, in the order in which they start, and the Debian packages that they need.

``python -m gigawatt.lab.parts`` names packages that are missing, and fails if any are.
"""

import sys
from collections.abc import Callable, Mapping, Sequence

from gigawatt.errors import InputError
from gigawatt.lab import fabric, room
from gigawatt.lab.fabric_part import FabricPart
from gigawatt.lab.guests.part import GuestsPart
from gigawatt.lab.layout import LabSpec
from gigawatt.lab.machine.part import POWER_COMMAND, MachinesPart
from gigawatt.lab.network.part import NetworkPart
from gigawatt.lab.oob import OobPart
from gigawatt.lab.running import Part, missing_packages
from gigawatt.lab.storage.btrfs import BtrfsPart
from gigawatt.lab.storage.cephfs import CephfsPart

STORAGE_PARTS: Mapping[str, Callable[[LabSpec], Part]] = {
    "btrfs": lambda _: BtrfsPart(),
    "cephfs": lambda spec: CephfsPart(has_s3=spec.has_s3),
}
"""The part for each engine of the storage plane."""


def parts_of(spec: LabSpec) -> tuple[Part, ...]:
    """The parts of a lab of this kind; its control plane, which comes last, is not among them.

    Raises:
        InputError: no part holds file systems in this way.
    """
    if spec.is_fabric_only:
        return (FabricPart(spec.fabric),)
    if spec.storage not in STORAGE_PARTS:
        raise InputError(
            f"no part of a lab holds file systems on {spec.storage}",
            next_step=f"Use one of {', '.join(STORAGE_PARTS)}.",
        )
    storage = STORAGE_PARTS[spec.storage](spec)
    found: list[Part] = [FabricPart(spec.fabric), NetworkPart(), OobPart(POWER_COMMAND), storage]
    if spec.hypervisor_count:
        found.append(GuestsPart(spec.guest_image))
    if spec.hypervisor_count < spec.node_count:
        found.append(MachinesPart())
    return tuple(found)


def packages_missing(parts: Sequence[Part]) -> tuple[str, ...]:
    """Debian packages that these parts need and this machine does not have."""
    package_of_tool = dict(room.PACKAGE_OF_TOOL)
    for part in parts:
        package_of_tool |= part.package_of_tool
    return tuple(sorted({*missing_packages(package_of_tool), *fabric.missing_fabric_packages()}))


def install_line(packages: Sequence[str]) -> str:
    """The command that installs them."""
    return f"apt-get install -y --no-install-recommends {' '.join(packages)}"


def main() -> None:
    """Say what is missing for a lab with every part, and fail if anything is."""
    lost = packages_missing(parts_of(LabSpec()))
    if lost:
        sys.exit(f"error: not installed: {', '.join(lost)}\n  next: {install_line(lost)}")


if __name__ == "__main__":
    main()
