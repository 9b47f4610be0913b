"""Makes the bare-metal driver from its settings."""

from gigawatt.drivers.fenced import FencedDriver
from gigawatt.drivers.ledger import Ledger
from gigawatt.drivers.metal.bare_nodes import BareNodes
from gigawatt.drivers.metal.host_bmc import BmcOf, RedfishHostBmc
from gigawatt.drivers.metal.settings import MetalSettings
from gigawatt.drivers.opening import Opening
from gigawatt.drivers.redfish.bounded import Bounded
from gigawatt.errors import InputError

CLEANING_S_MAX = 3_600.0
"""How long others wait while a node is being cleaned. Ours: burn-in takes its time."""


def open_metal(
    settings: MetalSettings, opening: Opening, bmc_of: BmcOf | None = None
) -> FencedDriver:
    """The driver of the host plane for the settings' nodes; ``bmc_of`` instead of Redfish.

    Raises:
        InputError: a node is not in the fleet, or has no BMC in the settings.
    """
    for node_id in settings.nodes:
        if node_id not in opening.fleet.nodes.index_of:
            raise InputError(f"the fleet has no node {node_id!r}, which the settings name")
        if node_id not in settings.reach.bmcs:
            raise InputError(f"the settings have no BMC of node {node_id!r}")
    if bmc_of is None:
        bounded = Bounded()
        bmcs = {n: RedfishHostBmc(settings.reach, n, bounded) for n in settings.nodes}
        bmc_of = bmcs.__getitem__
    ledger = Ledger(opening.folder, opening.clock, CLEANING_S_MAX)
    return FencedDriver(BareNodes(settings, opening, ledger, bmc_of), ledger)
