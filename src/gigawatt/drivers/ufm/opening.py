"""The driver of a fabric under UFM, made of its settings."""

import numpy as np

from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.opensm.fabric_ports import FabricPorts
from gigawatt.drivers.opensm.subnet import Subnet
from gigawatt.drivers.ufm.client import UfmClient
from gigawatt.drivers.ufm.fabric import UfmFabric
from gigawatt.drivers.ufm.settings import UfmSettings, UfmSubnet
from gigawatt.errors import InputError
from gigawatt.fleet.model import Fleet
from gigawatt.ids import FabricId


class UfmDriver(FencedDriver):
    """``Driver`` of one fabric under UFM."""

    def __init__(self, fabric: UfmFabric, ledger: Ledger) -> None:
        """Serve ``fabric``; whose is what is noted in ``ledger``."""
        super().__init__(fabric, ledger)
        self._fabric = fabric

    def close(self) -> None:
        """End the processes that read the subnets."""
        self._fabric.close()


def open_ufm(settings: UfmSettings, opening: Opening) -> UfmDriver:
    """The driver of these settings.

    Raises:
        InputError: the fleet has no such fabric.
    """
    fabric_id = FabricId(settings.fabric_id)
    if fabric_id not in opening.fleet.fabrics.index_of:
        raise InputError(f"fleet {opening.fleet.name!r} has no fabric {fabric_id!r}")
    subnets = [_subnet(opening.fleet, fabric_id, subnet) for subnet in settings.subnets]
    ports = FabricPorts(opening.fleet, fabric_id, subnets, settings.manager_guids)
    client = UfmClient(settings, opening.secrets, opening.clock)
    fabric = UfmFabric(
        opening.fleet, fabric_id, client, ports, opening.clock, settings.change_s_max
    )
    return UfmDriver(fabric, Ledger(opening.folder / "ledger", opening.clock))


def _subnet(fleet: Fleet, fabric_id: FabricId, subnet: UfmSubnet) -> Subnet:
    row = fleet.fabrics.index_of[fabric_id]
    everywhere = fleet.nics.guid[np.asarray(fleet.fabric_of_node[fleet.nics.node] == row)]
    return Subnet(
        name=subnet.name,
        pid_paths=(),
        adapter=subnet.adapter,
        adapter_port=subnet.adapter_port,
        guids=frozenset(subnet.guids or everywhere.tolist()),
        environment=dict(subnet.environment),
    )
