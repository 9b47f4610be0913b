"""What a driver of the compute fabric can tell beyond entries: how links are, and how it is kept.

Not every driver can: the fake one has no links, and a fabric under UFM is kept by UFM.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gigawatt.fleet.discovery.port_health import PortReading
from gigawatt.ids import DeviceId


@dataclass(frozen=True, slots=True)
class FabricFinding:
    """One thing that is wrong with how a fabric is kept.

    Fields: rule is its name; where is a file with its line, or a port; next_step says what to do.
    """

    rule: str
    where: str
    reason: str
    next_step: str


@runtime_checkable
class FabricCare(Protocol):
    """A driver that knows links and keys of its fabrics."""

    async def health(self, device: DeviceId) -> list[PortReading]:
        """Link and counters of every port of one fabric.

        Raises:
            DriverRetryableError: the fabric cannot be read.
            DriverPermanentError: there is no such fabric.
        """
        ...

    async def lint(self, device: DeviceId) -> list[FabricFinding]:
        """What is wrong with the keys of one fabric, its managers' files, and its ports.

        Raises:
            DriverRetryableError: the fabric cannot be read.
            DriverPermanentError: there is no such fabric.
        """
        ...
