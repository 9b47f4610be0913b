"""In which in-band network a host is, which only the in-band plane knows."""

from dataclasses import dataclass
from typing import Protocol

from gigawatt.boundary.entries import NetworkPort
from gigawatt.errors import DriverRetryableError
from gigawatt.ids import DeviceId
from gigawatt.interfaces.driver import Driver, Endpoint


class Networks(Protocol):
    """Networks of hosts, read now."""

    async def vni_of(self, endpoint: Endpoint) -> int | None:
        """VNI of the host or guest; None when it is in no network.

        Raises:
            DriverRetryableError: its port does not answer.
        """
        ...


@dataclass(frozen=True, slots=True)
class PortNetworks:
    """Networks as the in-band plane's driver reads them from the ports."""

    in_band: Driver

    async def vni_of(self, endpoint: Endpoint) -> int | None:
        """See ``Networks.vni_of``.

        Raises:
            DriverRetryableError: its port does not answer.
        """
        device = DeviceId(f"port/{endpoint.node_id}")
        seen = await self.in_band.observe([device])
        if device in seen.unreachable:
            raise DriverRetryableError(
                f"{device} does not answer, so nobody knows what its host may mount", device=device
            )
        for entry in seen.entries[device]:
            if isinstance(entry, NetworkPort) and entry.slot == endpoint.slot:
                return entry.vni
        return None
